"""Request bodies: JSON as pydantic takes it; anything else is answered with 422."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from data_manager.http.errors import Refusal, invalid, invalid_value
from data_manager.http.params import items

JSON = "application/json"
BODY_S = 10.0  # for all of it to arrive
TOO_SLOW = f"The body did not arrive within {BODY_S:g} s."
NOT_JSON = f"send a JSON object, with the header Content-Type: {JSON}"

M = TypeVar("M", bound=BaseModel)


async def parse_body(model: type[M], request: web.Request) -> M:
    """The request's body as `model`; raises a 422 Refusal, with every `loc` beginning with `body`, or 408.

    The header must say JSON: a form or a script of a foreign page cannot send that without asking first, so that
    no page that an operator happens to visit can use a service that has no token.
    """
    if request.content_type != JSON or "Content-Type" not in request.headers:
        raise invalid_value(("body",), NOT_JSON, request.headers.get("Content-Type"))
    try:
        async with asyncio.timeout(BODY_S):
            content = await request.read()
    except TimeoutError:
        raise Refusal(408, TOO_SLOW, headers={"Connection": "close"}) from None
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise invalid(items(error, "body")) from None

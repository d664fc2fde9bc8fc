"""Errors as clients see them: JSON with `detail`, and `type` and `title` as in RFC 9457.

A handler raises Refusal; the boundary (middleware.py) turns it, and everything else, into a response. No
response ever carries the text of an exception that was not written for the client.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus

import orjson
from aiohttp import web

from data_manager.system.errors import StoreError

RETRY_AFTER_S = 2
SERVER = {"Server": "data-manager"}  # and not what it is made of, as aiohttp would say
INTERNAL_SENTENCE = "The service failed to answer; the error is in its log under this request id."

Item = dict[str, object]  # one validation error: type, loc, msg, input, sometimes ctx


class Refusal(Exception):
    """A request that is answered with an error. `kind` names it in metrics and in the body's `type`."""

    def __init__(
        self,
        status: int,
        detail: str | Sequence[Item],
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind or HTTPStatus(status).phrase.lower().replace(" ", "_")
        self.headers = dict(headers or {})


def invalid(items: Sequence[Item]) -> Refusal:
    """422 in the list form."""
    return Refusal(422, items, "validation")


def invalid_value(loc: tuple[str, ...], msg: str, value: object) -> Refusal:
    """422 for one value that is wrong in relation to others."""
    if isinstance(value, str):
        value = value.encode(errors="replace").decode()  # a header may hold what is not UTF-8
    return invalid([{"type": "value_error", "loc": list(loc), "msg": msg, "input": value}])


def unavailable(sentence: str) -> Refusal:
    """503 for a part that is away for now."""
    return Refusal(503, sentence, "unavailable", {"Retry-After": str(RETRY_AFTER_S)})


@contextmanager
def store_errors(name: str) -> Iterator[None]:
    """Turn a StoreError inside into a 503; its own sentence is for the operator, so the checks log that."""
    try:
        yield
    except StoreError as error:
        raise unavailable(f"The {name} is not available now; try again in a few seconds.") from error


def problem(refusal: Refusal) -> web.Response:
    """The response for a refusal."""
    body: dict[str, object] = {
        "detail": refusal.detail,
        "type": f"urn:data-manager:{refusal.kind}",
        "title": HTTPStatus(refusal.status).phrase,
    }
    if refusal.status == 500:
        body["error"] = "Internal server error"
    return web.Response(
        body=orjson.dumps(body),
        status=refusal.status,
        headers={"Content-Type": "application/json", **refusal.headers},
    )

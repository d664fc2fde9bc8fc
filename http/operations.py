"""What the API can be asked. A route is made from its Operation, so none can be served that is not described.

What a family's module declares is data: OpenAPI is written from it (openapi.py) without stores, settings or a server.
The words are those of the handler's docstring, the parameters those of the models that it validates with.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from inspect import cleandoc
from types import MethodType
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from data_manager.http.params import Params

JSON = "application/json"
CONSTRAINT = re.compile(r":[^{}]*(?=\})")  # of a part of a path: `{name:.+}`

Handler = Callable[[Any, web.Request], Awaitable[web.StreamResponse]]


class Access(Enum):
    """Who may ask: everybody, whoever has the token, or everybody until a token is set."""

    OPEN = "open"
    TOKEN = "token"  # noqa: S105
    TOKEN_IF_SET = "token if set"  # noqa: S105


class Header(Enum):
    """What an answer's head may tell beside the usual; the value says what."""

    LINK = ("Link", "Where the neighbouring pages are (RFC 8288): `prev` and `next`, relative to the host.")
    ETAG = ("ETag", "The tag of these rows, for `If-None-Match`.")
    VARY = ("Vary", "By which header of the request the answer differs.")


@dataclass(frozen=True)
class Answer:
    """One way in which an operation is answered.

    `body` is the type of the JSON, as pydantic's TypeAdapter takes it; None for an answer without JSON.
    """

    body: Any
    description: str = "What was asked for."
    others: tuple[str, ...] = ()  # media types beside JSON
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked.

    `path` is the router's template, `handler` a method of the family's class. `names` are the path's parts, `query`
    the parameters and `body` the JSON that it takes, each as the model that validates it: what does not fit is 422.
    `refuses` are the statuses of its errors beyond 422 and those that `access` brings.
    """

    method: str
    path: str
    handler: Handler
    tag: str
    answers: Mapping[int, Answer]
    names: type[Params] | None = None
    query: type[Params] | None = None
    body: type[BaseModel] | None = None
    access: Access = Access.OPEN
    refuses: tuple[int, ...] = ()

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it: `/gaps/{gap_id}`."""
        return CONSTRAINT.sub("", self.path)

    @property
    def words(self) -> tuple[str, str]:
        """A summary, which is the first sentence of what the handler promises, and the rest of it."""
        first, _, rest = cleandoc(self.handler.__doc__ or "").partition("\n\n")
        return " ".join(first.split()), rest.strip()


def routes_of(operations: Iterable[Operation], family: object) -> list[web.RouteDef]:
    """The routes of a family, whose handlers are methods of `family`. What takes GET takes HEAD too."""
    return [
        web.route(operation.method, operation.path, MethodType(operation.handler, family)) for operation in operations
    ]

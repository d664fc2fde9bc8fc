"""`/openapi.json`, the API's description, and `/docs`, a page that shows it and asks for nothing elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import orjson
from aiohttp import web

from data_manager import __version__
from data_manager.http import ui
from data_manager.http.openapi import document
from data_manager.http.operations import JSON, Operation

PAGE = "docs.html"
# What the page's own style sheet draws its arrows with are images inside it.
HEADERS = {
    **ui.HEADERS,
    "Content-Security-Policy": f"{ui.HEADERS['Content-Security-Policy']}; img-src 'self' data:",
}


class DocsRoutes:
    """Handlers."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations

    @cached_property
    def _file(self) -> ui.Asset:
        """The description, made when it is asked for first: that takes some tenths of a second, once."""
        body = written(self._operations)
        return ui.Asset(body, JSON, hashlib.sha256(body).hexdigest()[:32])

    async def description(self, request: web.Request) -> web.Response:
        """The OpenAPI document, or 304 to a client that has it."""
        return ui.send(request, self._file)

    async def page(self, request: web.Request) -> web.Response:
        """The page."""
        return ui.send(request, ui.named(PAGE), HEADERS)


def written(operations: Sequence[Operation]) -> bytes:
    """The description of this version as JSON for people to read, too."""
    return orjson.dumps(document(operations, __version__), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def routes(operations: Sequence[Operation]) -> list[web.RouteDef]:
    """Both; what describes the operations is none of them."""
    docs = DocsRoutes(operations)
    return [web.get("/openapi.json", docs.description), web.get("/docs", docs.page)]

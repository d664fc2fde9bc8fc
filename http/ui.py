"""`/ui`: the dashboard, a page without a build step whose files are all in `static/` and ask for nothing elsewhere.

The files are read once and found by name in a table, so that no path leads out of the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
PAGE = "index.html"
ICON = "favicon.svg"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",  # at / the client's wish decides between page and JSON
    "Cache-Control": "no-cache",  # kept, but asked for again: a new version shows at once
}


class Asset(NamedTuple):
    """One file as it is served."""

    body: bytes
    content_type: str
    etag: str


def routes() -> list[web.RouteDef]:
    """The family's routes."""
    return [
        web.get("/ui", page),
        web.get("/ui/{name:.*}", asset),
        web.get("/favicon.ico", icon),
    ]


async def page(request: web.Request) -> web.Response:
    """The dashboard."""
    return send(request, named(PAGE))


async def icon(request: web.Request) -> web.Response:
    """What browsers ask for unbidden."""
    return send(request, named(ICON))


async def asset(request: web.Request) -> web.Response:
    """One of its files."""
    return send(request, named(request.match_info["name"] or PAGE))


def named(name: str) -> Asset:
    """The file of that name; raises HTTPNotFound for what is none of ours."""
    found = assets().get(name)
    if found is None:
        raise web.HTTPNotFound
    return found


def send(request: web.Request, found: Asset, policy: Mapping[str, str] = HEADERS) -> web.Response:
    """The file, or 304 to a client that has it."""
    headers = {**policy, "ETag": f'"{found.etag}"'}
    if any(given.value in (found.etag, "*") for given in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.body, headers={**headers, "Content-Type": found.content_type})


@cache
def assets() -> dict[str, Asset]:
    """All that may be asked for, by its path below `/ui/`."""
    return {
        path.relative_to(FOLDER).as_posix(): Asset(
            body := path.read_bytes(), TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32]
        )
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in TYPES
    }


def is_for_a_person(request: web.Request) -> bool:
    """Whether the client says that it takes a page: browsers do, programs ask for JSON or for anything."""
    return "text/html" in request.headers.get("Accept", "")

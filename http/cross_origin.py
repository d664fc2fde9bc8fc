"""Pages of other origins (CORS): which may read the API in a browser, by API_CORS_ORIGINS. None may, unless it is set.

Credentials are never allowed: whoever may change something sends a token, not a cookie.
"""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from data_manager.http.middleware import Handler
from data_manager.system.addresses import ANY_ORIGIN

ALLOWED_HEADERS = "Authorization, Content-Type, If-None-Match, X-Request-Id, traceparent"
EXPOSED_HEADERS = "ETag, Link, Retry-After, X-Request-Id, traceparent"
PREFLIGHT_S = 600  # for which a browser may remember the answer to its question


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer what a browser asks before it sends a page's request; `CrossOrigin` says for whom it holds."""
    refused = request.match_info.http_exception
    if (
        request.method != "OPTIONS"
        or "Access-Control-Request-Method" not in request.headers
        or not isinstance(refused, web.HTTPMethodNotAllowed)
    ):
        return await handler(request)
    headers = {
        "Access-Control-Allow-Methods": ", ".join(sorted(refused.allowed_methods)),
        "Access-Control-Allow-Headers": ALLOWED_HEADERS,
        "Access-Control-Max-Age": str(PREFLIGHT_S),
    }
    return web.Response(status=204, headers=headers)


class CrossOrigin:
    """Tells browsers, in the head of every answer, whose pages may read it."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    async def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """To be called when a response's head is about to be sent."""
        headers = response.headers
        if ANY_ORIGIN in self._origins:
            headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
        else:
            headers["Vary"] = f"{headers['Vary']}, Origin" if "Vary" in headers else "Origin"
            origin = request.headers.get("Origin", "")
            if origin not in self._origins:
                return
            headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS

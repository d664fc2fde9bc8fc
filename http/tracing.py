"""A span for each request that is worth one, in the caller's trace where it names one.

The span is the current one while its handler runs: what is logged meanwhile carries its ids.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Middleware

from data_manager.http.middleware import METHODS, UNMATCHED, Handler
from data_manager.system.tracing import Tracer

PARENT = "traceparent"
UNTRACED = ("/metrics", "/health", "/system/events")  # asked every few seconds by machines, or open for hours


def traced(tracer: Tracer) -> Middleware:
    """The middleware; to be put around the boundary, whose answers tell how it ended."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = template(request)
        if route.startswith(UNTRACED):
            return await handler(request)
        method = request.method if request.method in METHODS else "_OTHER"
        attributes = {"http.request.method": method, "http.route": route, "url.path": request.path}
        with tracer.request(f"{method} {route}", request.headers.get(PARENT, ""), attributes) as span:
            response = await handler(request)
            span.note({"http.response.status_code": response.status})
            if response.status >= 500:
                span.failed(response.reason or "")
        return response

    return middleware


def template(request: web.Request) -> str:
    """The route's template: a raw path would be a name per guess."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else UNMATCHED

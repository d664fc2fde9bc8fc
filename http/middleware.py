"""The boundary around every handler: request id, place in a trace, errors as responses, metrics."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from data_manager.http.errors import INTERNAL_SENTENCE, SERVER, Refusal, problem
from data_manager.http.ports import Services
from data_manager.system.logs import log
from data_manager.system.trace_context import SpanId, parse, traceparent
from data_manager.system.tracing import CURRENT

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TRACE_CHARS = 3000  # the end of a trace, which names the error

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
ID_KEY = web.RequestKey("request_id", str)
SPAN_KEY = web.RequestKey("span", SpanId)
UNMATCHED = "unmatched"  # the endpoint label where no route fits: a raw path would be a series per guess


def boundary(services: Services) -> Middleware:
    """The middleware; nothing a handler raises passes it."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = services.clock.monotonic()
        request_id = request[ID_KEY] = request_id_of(request, services)
        request[SPAN_KEY] = CURRENT.get() or span_of(request, services)
        try:
            response, error = await handler(request), ""
        except Exception as raised:  # noqa: BLE001  the HTTP boundary: a bug in one handler is one response
            refusal = refusal_for(request, raised, request_id)
            response, error = problem(refusal), refusal.kind
        count(services, request, response, services.clock.monotonic() - started, error)
        return response

    return middleware


async def name_request(request: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id and trace into the response's head before that is sent, which a stream does by itself."""
    response.headers.update(SERVER)
    if ID_KEY in request:
        response.headers["X-Request-Id"] = request[ID_KEY]
        response.headers["traceparent"] = traceparent(request[SPAN_KEY])


def refusal_for(request: web.Request, raised: Exception, request_id: str) -> Refusal:
    """What the client hears; a bug's own text goes to the log only."""
    if isinstance(raised, Refusal):
        return raised
    if isinstance(raised, web.HTTPException):
        return from_aiohttp(request, raised)
    trace = "".join(traceback.format_exception(raised))[-TRACE_CHARS:]
    log("request_failed", logging.ERROR, request_id=request_id, path=request.path, trace=trace)
    return Refusal(500, INTERNAL_SENTENCE, "internal")


def request_id_of(request: web.Request, services: Services) -> str:
    """The client's own id when it is short and plain, else a new one."""
    given = request.headers.get("X-Request-Id", "")
    return given if REQUEST_ID.fullmatch(given) else f"{services.rng.getrandbits(64):016x}"


def span_of(request: web.Request, services: Services) -> SpanId:
    """Our part of the client's trace, or of a new one, while nobody records it."""
    span_id = f"{services.rng.getrandbits(64) or 1:016x}"  # zero is none
    parent = parse(request.headers.get("traceparent", ""))
    if parent is not None:
        return parent._replace(span_id=span_id)
    return SpanId(f"{services.rng.getrandbits(128) or 1:032x}", span_id, sampled=False)


def from_aiohttp(request: web.Request, refused: web.HTTPException) -> Refusal:
    """What aiohttp itself refuses: unknown paths, methods, bodies that are too large."""
    if refused.status == 404:
        return Refusal(404, f"There is nothing at {request.path}.")
    if isinstance(refused, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refused.allowed_methods))
        return Refusal(405, f"{request.path} answers {allowed} only.", headers={"Allow": allowed})
    return Refusal(refused.status, f"{refused.reason}.")


def count(services: Services, request: web.Request, response: web.StreamResponse, seconds: float, error: str) -> None:
    """Count one request under its route's template."""
    resource = request.match_info.route.resource
    endpoint = resource.canonical if resource is not None else UNMATCHED
    method = request.method if request.method in METHODS else "other"
    metrics = services.metrics
    metrics.inc("data_manager_requests_total", method=method, endpoint=endpoint, status_code=str(response.status))
    if isinstance(response, web.Response):  # how long a stream takes says nothing of how quickly we answer
        metrics.observe("data_manager_request_duration_seconds", seconds, method=method, endpoint=endpoint)
        size = response.content_length or 0
        metrics.observe("data_manager_response_size_bytes", size, method=method, endpoint=endpoint)
    size = request.content_length or 0
    metrics.observe("data_manager_request_size_bytes", size, method=method, endpoint=endpoint)
    if error:
        metrics.inc("data_manager_errors_total", method=method, endpoint=endpoint, error_type=error)

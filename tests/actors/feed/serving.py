"""WebSocket servers that misbehave as a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def socket_that(act: Callable[[web.WebSocketResponse, web.Request], Awaitable[object]]) -> Handler:
    """A handler that accepts, and then acts."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=0.5)
        await socket.prepare(request)
        await act(socket, request)
        return socket

    return handle


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """An exchange that does nothing but this on every path; yields its address."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()

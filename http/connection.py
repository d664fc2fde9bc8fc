"""One connection of a client, with what aiohttp leaves open: clients that do not read, and those that speak no HTTP."""

from __future__ import annotations

import asyncio

from aiohttp import web

from data_manager.http.errors import INTERNAL_SENTENCE, SERVER, Refusal, problem

CONNECTIONS_MAX = 1000  # at a time; each takes a descriptor
WRITE_S = 30.0  # a client that does not take its answer in this time is gone
MALFORMED = "This is not a request in HTTP/1.1, or its head is too large."


class Connection(web.RequestHandler):
    """A connection beyond CONNECTIONS_MAX is closed at once."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=0)  # an answer is sent when the kernel has it: only then is it timed
        assert self._manager is not None
        if len(self._manager.connections) > CONNECTIONS_MAX:
            transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the rest of an answer, within WRITE_S."""
        try:
            async with asyncio.timeout(WRITE_S):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if self.transport is not None:
                self.transport.abort()
            return resp, True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no handler has seen; the parser's own words repeat what was sent, so they are not passed on."""
        super().handle_error(request, status, exc, message)  # which logs it, and raises where an answer has begun
        malformed = status == web.HTTPBadRequest.status_code
        response = problem(Refusal(status, MALFORMED) if malformed else Refusal(status, INTERNAL_SENTENCE, "internal"))
        response.headers.update(SERVER)
        response.force_close()
        return response


class Listener(web.Server):
    """Makes a Connection for each client."""

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Serves an application over such connections."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Listener(made.request_handler, request_factory=made.request_factory, loop=made._loop, **made._kwargs)

"""A small exchange on a real socket: it answers what a test says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from data_manager.actors.backfill.binance import Binance
from data_manager.actors.backfill.budget import Budget, BudgetState
from data_manager.actors.backfill.conf import exchange_conf
from tests.actors.backfill.clocks import SleptClock

Answer = Callable[[web.Request], web.StreamResponse | Awaitable[web.StreamResponse]]

CONF = exchange_conf()
TIME = CONF.routes.time.path


class ExchangeServer:
    """Answers by path; `queue` goes first and each of its answers is given once, to requests for anything but time."""

    def __init__(self, clock: SleptClock) -> None:
        self.clock = clock
        self.ahead_ms = 0  # of its clock
        self.answers: dict[str, Answer] = {}
        self.queue: list[Answer] = []
        self.asked: list[web.Request] = []  # without those for the time
        self.times = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any path."""
        if request.path == TIME and TIME not in self.answers:
            self.times += 1
            return web.json_response({"serverTime": self.clock.now_ms() + self.ahead_ms})
        self.asked.append(request)
        answer = self.queue.pop(0) if self.queue else self.answers[request.path]
        given = answer(request)
        return given if isinstance(given, web.StreamResponse) else await given


@asynccontextmanager
async def exchange_server(clock: SleptClock) -> AsyncIterator[ExchangeServer]:
    """Serves on a free port until the end."""
    server = ExchangeServer(clock)
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(
    server: ExchangeServer, state: BudgetState | None = None, timeout_s: float = 10, weight: int = 1200
) -> AsyncIterator[tuple[Binance, Budget]]:
    """A client with a budget of its own and the server's clock, which moves when the client waits."""
    clock = server.clock
    budget = Budget(CONF, weight, clock, state, clock.sleep)
    made = Binance(server.url, CONF, budget, clock, random.Random(1), timeout_s=timeout_s, sleep=clock.sleep)
    async with made as client:
        yield client, budget


def with_json(body: object, status: int = 200, **headers: str) -> Answer:
    """An answer with that body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: web.Response(
        body=json.dumps(body).encode(), status=status, headers=named, content_type="application/json"
    )


def with_bytes(body: bytes, status: int = 200) -> Answer:
    """An answer with exactly these bytes."""
    return lambda request: web.Response(body=body, status=status)


def refusing(status: int, code: int, **headers: str) -> Answer:
    """One of the exchange's own errors."""
    return with_json({"code": code, "msg": "No."}, status, **headers)


def truncated(body: bytes) -> Answer:
    """Half of a body of announced length, and then the end of the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def never(request: web.Request) -> Awaitable[web.StreamResponse]:
    """No answer at all."""

    async def wait() -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return wait()

"""How connections of one channel follow one another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.feed import subscription as module
from data_manager.actors.feed.channels import Channel
from data_manager.actors.feed.subscription import PAUSE_S, Subscription, pause_s
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.actors.feed.feeding import streams
from tests.actors.feed.serving import served
from tests.eventually import eventually

CHANNEL = Channel("market", "/market/stream", ("btcusdt@aggTrade",))


class Exchange:
    """Keeps when it was asked and how many are connected; the n-th request is answered by `answers[n]` or the last."""

    def __init__(self, *answers: Callable[[Exchange, web.Request], Awaitable[web.StreamResponse]]) -> None:
        self._answers = answers
        self.asked: list[float] = []
        self.connected = 0
        self.most = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(asyncio.get_running_loop().time())
        assert request.query["streams"] == "btcusdt@aggTrade"
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        return await answer(self, request)


async def stay(exchange: Exchange, request: web.Request) -> web.StreamResponse:
    """Send a frame every 50 ms until the client goes."""
    socket = web.WebSocketResponse(timeout=0.5)
    await socket.prepare(request)
    exchange.connected += 1
    exchange.most = max(exchange.most, exchange.connected)
    with suppress(ConnectionResetError):
        while not socket.closed:
            await socket.send_str("frame")
            with suppress(TimeoutError):
                await socket.receive(timeout=0.05)
    exchange.connected -= 1
    return socket


async def send_one(_: Exchange, request: web.Request) -> web.StreamResponse:
    """Send one frame and say goodbye."""
    socket = web.WebSocketResponse(timeout=0.5)
    await socket.prepare(request)
    await socket.send_str("frame")
    await socket.close()
    return socket


async def refuse(_: Exchange, request: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def ban(_: Exchange, request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "1"})


class Kept:
    """A subscription at work, what it hears, and how often its connection was replaced."""

    def __init__(self, url: str, session: aiohttp.ClientSession, hear: Callable[[bytes], None], **changes: Any) -> None:
        self._metrics = Metrics()
        clock, rng = SystemClock(), random.Random(1)
        context = Context("feed", 1, None, Settings(), clock, rng, self._metrics, lambda message: None, Symbols(()))
        self.subscription = Subscription(context, session, url, CHANNEL, streams(**changes), hear)

    @property
    def reconnects(self) -> float:
        return sum(self._metrics.totals().counters.values())


@asynccontextmanager
async def kept(exchange: Exchange, **changes: Any) -> AsyncIterator[Kept]:
    async with served(exchange.serve) as url, aiohttp.ClientSession() as session, asyncio.timeout(30):
        one = Kept(url, session, lambda frame: None, **changes)
        keeping = asyncio.create_task(one.subscription.keep())
        try:
            yield one
            assert not keeping.done(), keeping.result()
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})


def test_who_refuses_is_asked_ever_more_rarely_and_a_connection_that_does_not_last_counts_as_a_failure() -> None:
    async def run() -> None:
        exchange = Exchange(refuse, send_one, refuse, send_one)
        async with kept(exchange):
            await eventually(lambda: len(exchange.asked) == 5)
        gaps = [later - time for time, later in pairwise(exchange.asked)]
        assert all(gap >= 0.5 * PAUSE_S[0] * 2**n for n, gap in enumerate(gaps))

    asyncio.run(run())


def test_a_connection_that_lasted_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEALTHY_S", 0.0)
    monkeypatch.setattr(module, "PAUSE_S", (0.01, 1000.0))

    async def run() -> None:
        exchange = Exchange(send_one)
        async with kept(exchange):
            await eventually(lambda: len(exchange.asked) > 20)  # doubled each time, that would take hours

    asyncio.run(run())


def test_nothing_is_asked_while_the_exchange_forbids_it() -> None:
    async def run() -> None:
        exchange = Exchange(ban, stay)
        async with kept(exchange) as one:
            await eventually(lambda: one.subscription.alive)
        first, second = exchange.asked
        assert second - first >= 0.99  # its own word; the clocks differ

    asyncio.run(run())


def test_the_old_connection_goes_only_when_the_new_one_brings_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OVERLAP_S", 0.1)

    async def run() -> None:
        exchange = Exchange(stay)
        async with kept(exchange, reconnect_hours=0.2 / 3600) as one:
            await eventually(lambda: one.reconnects >= 3)
            assert exchange.most == 2
            assert one.subscription.alive
        await eventually(lambda: exchange.connected == 0)

    asyncio.run(run())


def test_the_old_connection_stays_while_no_new_one_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", (0.02, 0.02))
    monkeypatch.setattr(module, "OVERLAP_S", 0.0)

    async def run() -> None:
        exchange = Exchange(stay, *([refuse] * 10), stay)
        async with kept(exchange, reconnect_hours=0.2 / 3600) as one:
            await eventually(lambda: len(exchange.asked) >= 8)
            assert one.subscription.alive
            assert exchange.connected == 1
            assert one.reconnects == 0
            await eventually(lambda: one.reconnects >= 1)
            assert one.subscription.alive

    asyncio.run(run())


def test_a_fault_of_ours_ends_it() -> None:
    def hear(frame: bytes) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with served(Exchange(stay).serve) as url, aiohttp.ClientSession() as session, asyncio.timeout(10):
            with pytest.raises(ZeroDivisionError):
                await Kept(url, session, hear).subscription.keep()

    asyncio.run(run())


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 10_000), st.integers())
def test_pauses_grow_with_the_failures_and_are_bounded(failures: int, seed: int) -> None:
    first, longest = PAUSE_S
    pause, next_pause = (pause_s(count, random.Random(seed)) for count in (failures, failures + 1))
    assert 0.5 * first <= pause <= next_pause <= 1.5 * longest

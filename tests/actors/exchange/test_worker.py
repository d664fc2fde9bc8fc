"""The exchange against a real NATS server: what it counts is what the stream has."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import nats
import orjson
import pytest

from data_manager.actors.exchange.schedule import DEFAULT_TYPES
from data_manager.actors.exchange.worker import FINISH_S, MAX_BEHIND_MS, ExchangeWorker
from data_manager.system.clock import SystemClock
from data_manager.system.errors import ConfigError
from data_manager.system.messages import Ping
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.eventually import eventually
from tests.servers.nats import NatsServer

SUBJECT = "binance.futures.websocket.data"


class ShiftableClock(SystemClock):
    """The machine's clock with a wall time that can be set forward."""

    ahead_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.ahead_us


def context(url: str, folder: Path, clock: SystemClock | None = None, **changes: Any) -> Context:
    settings = Settings(nats_url=url, data_dir=folder, **({"supported_pairs": ("BTCUSDT", "ETHUSDT")} | changes))
    rng = random.Random(1)
    return Context(
        "exchange",
        1,
        None,
        settings,
        clock or SystemClock(),
        rng,
        Metrics(),
        lambda message: None,
        Symbols(settings.supported_pairs),
    )


def counted(context: Context) -> Counter[str]:
    totals = context.metrics.totals().counters
    return Counter({labels[0][1]: int(n) for (_, labels), n in totals.items()})


@asynccontextmanager
async def running(worker: ExchangeWorker) -> AsyncIterator[Callable[[], Any]]:
    """The worker at work; calling what it yields stops it and waits."""
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))

    async def finish() -> None:
        stop.set()
        await task

    try:
        yield finish
    finally:
        await asyncio.wait_for(finish(), 3 * FINISH_S)


async def stored(url: str, stream: str = "data_manager_feed") -> list[dict[str, Any]]:
    """Everything in the stream, in order."""
    client = await nats.connect(url)
    try:
        js = client.jetstream()
        count = (await js.stream_info(stream)).state.messages
        subscription = await js.subscribe(SUBJECT, ordered_consumer=True, pending_msgs_limit=0)
        return [orjson.loads((await subscription.next_msg(timeout=5)).data) for _ in range(count)]
    finally:
        await client.close()


def test_what_it_counts_is_what_the_stream_holds(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        its = context(url, tmp_path)
        async with running(ExchangeWorker(its)) as finish:
            await eventually(lambda: set(counted(its)) == DEFAULT_TYPES and counted(its).total() > 500)
            await finish()
        messages = await stored(url)
        assert counted(its) == Counter(message["data"]["e"] for message in messages)
        assert {message["data"]["s"] for message in messages} == {"BTCUSDT", "ETHUSDT"}
        assert len({message["message_id"] for message in messages}) == len(messages)

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server.url))


def test_trades_come_in_real_time_with_unbroken_ids(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        its = context(url, tmp_path, supported_pairs=("BTCUSDT",))
        async with running(ExchangeWorker(its)):
            await eventually(lambda: counted(its)["trade"] > 300)
        messages = [m for m in await stored(url) if m["data"]["e"] == "trade"]
        ids = [message["data"]["t"] for message in messages]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        span_s = (messages[-1]["data"]["E"] - messages[0]["data"]["E"]) / 1000
        assert 200 < len(ids) / span_s < 400
        now_ms = SystemClock().now_us() // 1000
        assert now_ms - 5000 < messages[-1]["data"]["E"] <= now_ms

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server.url))


def test_it_waits_for_nats_and_starts_at_the_current_time(tmp_path: Path) -> None:
    async def scenario(server: NatsServer) -> None:
        its = context(server.url, tmp_path)
        worker = ExchangeWorker(its)
        async with running(worker):
            assert (worker.status().state, worker.status().detail) == ("waiting", "nats")
            assert worker.busy_since() is None
            up_ms = SystemClock().now_us() // 1000
            server.start()
            await eventually(lambda: counted(its).total() > 50)
            assert (worker.status().state, worker.status().lag) == ("running", None)
        assert min(message["data"]["E"] for message in await stored(server.url)) >= up_ms

    with NatsServer(tmp_path) as server:
        server.stop()
        asyncio.run(scenario(server))


def test_an_outage_is_a_gap_in_the_ids_and_the_count_stays_exact(tmp_path: Path) -> None:
    async def scenario(server: NatsServer) -> None:
        its = context(server.url, tmp_path, supported_pairs=("BTCUSDT",))
        worker = ExchangeWorker(its)
        async with running(worker):
            await eventually(lambda: counted(its)["trade"] > 100)
            server.kill()
            await eventually(lambda: worker.status().state == "waiting")
            before = counted(its).total()
            await asyncio.sleep(1)
            assert counted(its).total() == before
            server.start()
            await eventually(lambda: counted(its).total() > before + 300)
        messages = await stored(server.url)
        assert counted(its) == Counter(message["data"]["e"] for message in messages)
        ids = sorted(m["data"]["t"] for m in messages if m["data"]["e"] == "trade")
        assert len(set(ids)) == len(ids)
        assert ids[-1] - ids[0] + 1 > len(ids) + 150  # about 230 trades a second

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server))


def test_what_is_overdue_for_too_long_is_never_published(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        clock = ShiftableClock()
        its = context(url, tmp_path, clock, supported_pairs=("BTCUSDT",))
        async with running(ExchangeWorker(its)):
            await eventually(lambda: counted(its)["trade"] > 50)
            clock.ahead_us = 10 * 1000 * MAX_BEHIND_MS
            before = counted(its)["trade"]
            await eventually(lambda: counted(its)["trade"] > before + 50)
        ids = [m["data"]["t"] for m in await stored(url) if m["data"]["e"] == "trade"]
        jumps = [b - a for a, b in pairwise(ids) if b != a + 1]
        assert len(jumps) == 1
        assert jumps[0] > 2000

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server.url))


def test_without_jetstream_subscribers_hear_all_it_counts(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        heard: list[bytes] = []

        async def hear(message: Any) -> None:
            heard.append(message.data)

        client = await nats.connect(url)
        await client.subscribe(SUBJECT, cb=hear)
        await client.flush()
        its = context(url, tmp_path)
        async with running(ExchangeWorker(its)) as finish:
            await eventually(lambda: counted(its).total() > 300)
            await finish()
        await eventually(lambda: len(heard) >= counted(its).total())
        assert len(heard) == counted(its).total()
        await client.close()

    with NatsServer(tmp_path, jetstream=False) as server:
        asyncio.run(scenario(server.url))


def test_it_stops_within_its_time_while_nats_is_away(tmp_path: Path) -> None:
    async def scenario(server: NatsServer) -> None:
        its = context(server.url, tmp_path)
        worker = ExchangeWorker(its)
        async with running(worker) as finish:
            await eventually(lambda: counted(its).total() > 100)
            server.kill()
            await eventually(lambda: worker.status().state == "waiting")
            await asyncio.wait_for(finish(), 2 * FINISH_S)

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server))


def test_a_stop_before_nats_is_there_ends_it_at_once(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        worker = ExchangeWorker(context(url, tmp_path))
        async with running(worker) as finish:
            await asyncio.sleep(0)
            await asyncio.wait_for(finish(), 2)

    with NatsServer(tmp_path) as server:
        server.stop()
        asyncio.run(scenario(server.url))


def test_rest_and_streams_are_there_while_it_runs_and_agree_with_the_feed(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        its = context(url, tmp_path, supported_pairs=("BTCUSDT",))
        async with running(ExchangeWorker(its)) as finish, aiohttp.ClientSession() as session:
            await eventually(its.settings.exchange_file.exists)
            told = orjson.loads(its.settings.exchange_file.read_bytes())
            assert told["pid"] == os.getpid()
            base = f"127.0.0.1:{told['port']}"
            await eventually(lambda: counted(its)["trade"] > 200)
            async with session.ws_connect(f"ws://{base}/market/stream?streams=btcusdt@trade") as stream:
                streamed = orjson.loads(await stream.receive_str(timeout=10))["data"]
            await eventually(lambda: counted(its)["trade"] > 400)
            await finish()
            assert not its.settings.exchange_file.exists()
        trades = {m["data"]["t"]: m["data"] for m in await stored(url) if m["data"]["e"] == "trade"}
        assert trades[streamed["t"]] == streamed

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server.url))


def test_rest_answers_while_nats_is_away(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        its = context(url, tmp_path)
        async with running(ExchangeWorker(its)), aiohttp.ClientSession() as session:
            await eventually(its.settings.exchange_file.exists)
            port = orjson.loads(its.settings.exchange_file.read_bytes())["port"]
            async with session.get(f"http://127.0.0.1:{port}/fapi/v1/exchangeInfo") as response:
                assert [one["symbol"] for one in (await response.json())["symbols"]] == ["BTCUSDT", "ETHUSDT"]

    with NatsServer(tmp_path) as server:
        server.stop()
        asyncio.run(scenario(server.url))


def test_a_silence_keeps_the_events_of_one_symbol_from_the_subject_for_ever(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        its = context(url, tmp_path)
        async with running(ExchangeWorker(its)), aiohttp.ClientSession() as session:
            await eventually(lambda: counted(its)["trade"] > 100)
            faults = f"http://127.0.0.1:{orjson.loads(its.settings.exchange_file.read_bytes())['port']}/faults"
            await session.post(faults, json={"kind": "silence", "symbol": "BTCUSDT"})
            await asyncio.sleep(1)
            await session.delete(faults)
            before = counted(its)["trade"]
            await eventually(lambda: counted(its)["trade"] > before + 200)
        messages = await stored(url)
        assert counted(its) == Counter(message["data"]["e"] for message in messages)
        trades = [message["data"] for message in messages if message["data"]["e"] == "trade"]
        missing = {}
        for symbol in ("BTCUSDT", "ETHUSDT"):
            ids = [trade["t"] for trade in trades if trade["s"] == symbol]
            missing[symbol] = ids[-1] - ids[0] + 1 - len(ids)
        assert missing["ETHUSDT"] == 0
        assert missing["BTCUSDT"] > 30

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server.url))


def test_regular_outages_silence_all_symbols(tmp_path: Path) -> None:
    async def scenario(url: str) -> None:
        its = context(url, tmp_path, exchange_outage_every_s=1, exchange_outage_s=0.6)
        started_ms = SystemClock().now_us() // 1000
        async with running(ExchangeWorker(its)):
            await eventually(lambda: SystemClock().now_us() // 1000 > started_ms + 2500)
        times = sorted(message["data"]["E"] for message in await stored(url))
        assert sum(later - time > 500 for time, later in pairwise(times)) >= 1

    with NatsServer(tmp_path) as server:
        asyncio.run(scenario(server.url))


def test_a_port_that_is_taken_is_the_operator_s_to_change(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            worker = ExchangeWorker(context("nats://127.0.0.1:1", tmp_path, exchange_port=port))
            with pytest.raises(ConfigError, match=f"port {port} is in use .* EXCHANGE_PORT"):
                await worker.run(asyncio.Event())

    asyncio.run(scenario())


def test_nobody_writes_to_it(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="exchange does not understand Ping"):
        ExchangeWorker(context("nats://127.0.0.1:1", tmp_path)).receive(Ping(1))

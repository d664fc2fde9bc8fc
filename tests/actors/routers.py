"""A router on the test's own loop, between a real nats-server and real SQLite files."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StreamConfig

from data_manager.actors.router import RouterWorker
from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Query
from data_manager.storage.records import ALL_SYMBOLS, Quarantined
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.frames import Batch, Frame, decode
from data_manager.system.messages import Message, Suspected
from data_manager.system.metrics import Metrics, series
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.eventually import eventually

SUBJECT = "binance.futures.websocket.data"
FEED, MARKET = "data_manager_feed", "data_manager_market"


def trade(number: int, symbol: str = "BTCUSDT") -> dict[str, Any]:
    return {"e": "trade", "E": 1760918400123, "s": symbol, "t": number, "p": "1.5", "q": "2", "m": False}


def compact(message: object) -> bytes:
    return message if isinstance(message, bytes) else json.dumps(message, separators=(",", ":")).encode()


def settings_for(url: str, folder: Path, **changes: object) -> Settings:
    """Fast ones: what is not acknowledged comes again after a second."""
    fast = {"supported_pairs": "BTCUSDT,ETHUSDT", "ack_wait_s": 1, "linger_ms": 5, "drain_timeout_s": 4}
    return Settings(nats_url=url, data_dir=folder, store_timeout_s=0.1, **{**fast, **changes})


def market_config(max_msgs: int) -> StreamConfig:
    return StreamConfig(
        name=MARKET,
        subjects=["data_manager.market.*"],
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        max_msgs=max_msgs,
    )


class Router:
    """One run of a RouterWorker: `async with Router(settings) as router`; a clean stop at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.sent: list[Message] = []
        self.symbols = Symbols(settings.supported_pairs)
        clock = SystemClock()
        store = SqliteMarketStore(settings.market_dir, clock=clock, timeout_s=settings.store_timeout_s)
        context = Context(
            "router",
            1,
            None,
            settings,
            clock,
            random.Random(1),
            self.metrics,
            self.sent.append,
            self.symbols,
        )
        self.worker = RouterWorker(context, store)
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Router:
        self.task = asyncio.create_task(self.worker.run(self._stop))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self.task.cancelled():
            await self.stop()
        else:
            await self.vanish()

    async def stop(self) -> None:
        self._stop.set()
        async with asyncio.timeout(15):
            await self.task

    async def vanish(self) -> None:
        """End in the middle of things; to the server it is as a crash."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def running(self) -> Router:
        await eventually(lambda: self.worker.status().state == "running" or self.task.done())
        assert not self.task.done(), self.task.result()
        return self

    def suspected(self, reason: str) -> list[Suspected]:
        return [m for m in self.sent if isinstance(m, Suspected) and m.reason == reason]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.totals().counters.get(series(f"data_manager_{name}", labels), 0)


class Broker:
    """The test's own connection: publishes to the feed and looks at what the router did."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = AsyncExitStack()
        self.client: Client
        self.js: JetStreamContext

    async def __aenter__(self) -> Broker:
        self.client = await nats.connect(self._url, reconnect_time_wait=0.05, max_reconnect_attempts=-1)
        self.js = self.client.jetstream(timeout=2)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.close()

    async def publish(self, *messages: object, **headers: str) -> None:
        """Each acknowledged by FEED, in this order."""
        for message in messages:
            await self.js.publish(SUBJECT, compact(message), headers=headers or None)

    async def refuse_batches(self) -> None:
        """Make MARKET as an operator may have made it: with room for one message, and that taken."""
        await self.js.add_stream(market_config(max_msgs=1))
        await self.js.publish("data_manager.market.OTHER", b"")

    async def open_market(self) -> None:
        """Undo `refuse_batches`."""
        await self.js.purge_stream(MARKET)
        await self.js.update_stream(market_config(max_msgs=1_000))

    async def batches(self) -> list[tuple[str, Batch]]:
        """All that MARKET holds, as (symbol, batch)."""
        state = (await self.js.stream_info(MARKET)).state
        held = []
        for sequence in range(max(1, state.first_seq), state.last_seq + 1):
            message = await self.js.get_msg(MARKET, sequence)
            held.append((str(message.subject).rsplit(".", 1)[1], decode(message.data or b"")))
        return held

    async def frames(self, symbol: str) -> list[Frame]:
        """All frames of a symbol, by position, copies included."""
        frames = [frame for name, batch in await self.batches() if name == symbol for frame in batch.frames]
        return sorted(frames, key=lambda frame: frame.position)

    async def trade_ids(self, symbol: str) -> list[int]:
        return [json.loads(frame.raw)["t"] for frame in await self.frames(symbol)]

    async def routed(self, events: int, timeout: float = 10) -> None:
        """Wait until MARKET holds so many events."""

        async def enough() -> bool:
            return sum(len(batch.frames) for _, batch in await self.batches()) >= events

        await eventually(enough, timeout, every=0.05)

    async def unacknowledged(self) -> int:
        """FEED messages that the router has not acknowledged, or not been given yet."""
        info = await self.js.consumer_info(FEED, "router")
        return (info.num_ack_pending or 0) + (info.num_pending or 0)

    async def settled(self, timeout: float = 10) -> None:
        """Wait until everything is acknowledged, twice: the server counts what is pending after it has answered."""
        calm = 0

        async def done() -> bool:
            nonlocal calm
            calm = calm + 1 if await self.unacknowledged() == 0 else 0
            return calm == 2

        await eventually(done, timeout, every=0.05)


def stored(settings: Settings) -> tuple[dict[str, Counts], list[Quarantined]]:
    """The router's ledger and quarantine, as another process reads them."""
    store = SqliteMarketStore(settings.market_dir, clock=SystemClock(), read_only=True)
    try:
        ledger = store.ledger(ALL_SYMBOLS)
        assert all(counts.balanced for counts in ledger.by_type.values())
        return ledger.by_type, store.rows(ALL_SYMBOLS, Quarantined, Query(limit=10_000))
    finally:
        store.close()

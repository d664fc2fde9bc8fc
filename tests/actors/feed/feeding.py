"""A feed between a simulated exchange and a real nats-server, on the test's own loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import orjson

from data_manager.actors.backfill.conf import Streams, exchange_conf
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.schedule import Cadence
from data_manager.actors.exchange.server import SimulatedExchange
from data_manager.actors.feed.worker import BUFFER_BYTES, FINISH_S, FeedWorker
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.eventually import eventually
from tests.servers.nats import NatsServer, connected

FAST = Cadence(trades_per_minute=6000, book_ms=100, statistics_ms=1000)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
STREAMS = exchange_conf().streams
FEED = "data_manager_feed"


def simulated(symbols: tuple[str, ...] = SYMBOLS, **options: Any) -> SimulatedExchange:
    """About 110 events a second of each symbol."""
    return SimulatedExchange(Market(7, FAST.trades_per_minute), SystemClock(), symbols, cadence=FAST, **options)


def streams(**changes: Any) -> Streams:
    """The packaged ones, but for these."""
    return msgspec.structs.replace(STREAMS, **changes)


class Feeding:
    """One run of a FeedWorker: `async with Feeding(ws_url, nats, tmp_path) as feed`; a clean stop at the end."""

    def __init__(
        self,
        ws_url: str,
        nats: NatsServer,
        folder: Path,
        *,
        conf: Streams = STREAMS,
        buffer_bytes: int = BUFFER_BYTES,
        **changes: Any,
    ) -> None:
        self.nats = nats
        self.settings = Settings(
            nats_url=nats.url, data_dir=folder, binance_ws_url=ws_url, **({"supported_pairs": SYMBOLS} | changes)
        )
        self.metrics = Metrics()
        self.symbols = Symbols(self.settings.supported_pairs)
        context = Context(
            "feed",
            1,
            None,
            self.settings,
            SystemClock(),
            random.Random(1),
            self.metrics,
            lambda message: None,
            self.symbols,
        )
        self.worker = FeedWorker(context, conf, buffer_bytes)
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Feeding:
        self._task = asyncio.create_task(self.worker.run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.wait_for(self.stop(), 5 * FINISH_S)

    async def stop(self) -> None:
        self._stop.set()
        await self._task

    async def becomes(self, state: str, detail: str = "") -> None:
        """Wait for a status, or for the end of the worker, which is never expected."""

        def so() -> bool:
            status = self.worker.status()
            return self._task.done() or (status.state, status.detail) == (state, detail)

        await eventually(so)
        assert not self._task.done(), self._task.result()

    def count(self, name: str) -> int:
        """A metric over all labels."""
        counters = self.metrics.totals().counters
        return int(sum(value for (key, _), value in counters.items() if key == f"data_manager_feed_{name}_total"))

    def counted(self, name: str) -> dict[str, int]:
        """A metric by its only label."""
        counters = self.metrics.totals().counters.items()
        return {labels[0][1]: int(n) for (key, labels), n in counters if key == f"data_manager_feed_{name}_total"}

    async def heard(self, more: int) -> None:
        """Wait until so many more events have come."""
        enough = self.count("messages") + more
        await eventually(lambda: self.count("messages") >= enough or self._task.done())
        assert not self._task.done(), self._task.result()

    async def captured(self) -> list[bytes]:
        """All that FEED holds, in order."""
        async with connected(self.settings) as connection:
            js = connection.client.jetstream()
            count = (await js.stream_info(FEED)).state.messages
            subscription = await js.subscribe(
                self.settings.nats_consumer_subject, ordered_consumer=True, pending_msgs_limit=0
            )
            return [(await subscription.next_msg(timeout=5)).data for _ in range(count)]


@asynccontextmanager
async def feeding(folder: Path, **options: Any) -> AsyncIterator[tuple[Feeding, SimulatedExchange]]:
    """A feed that runs, its exchange, and a NATS server with JetStream."""
    with NatsServer(folder) as nats:
        async with simulated() as exchange, Feeding(exchange.ws_url, nats, folder, **options) as feed:
            await feed.becomes("running")
            yield feed, exchange


def decoded(messages: Iterable[bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(message) for message in messages]


def agg_ids(messages: Iterable[bytes], symbol: str = "BTCUSDT") -> list[int]:
    """The ids of a symbol's aggregate trades, in order of arrival."""
    events = [message["data"] for message in decoded(messages)]
    return [event["a"] for event in events if event["e"] == "aggTrade" and event["s"] == symbol]


def missing(ids: list[int]) -> int:
    """How many ids between the first and the last are not there."""
    return max(ids) - min(ids) + 1 - len(set(ids))

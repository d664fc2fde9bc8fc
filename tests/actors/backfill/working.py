"""A backfill worker at work: against a simulated exchange over HTTP, on real SQLite stores, with time by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from data_manager.actors.backfill.worker import BackfillWorker
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.server import SimulatedExchange
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Catalog, Event, Gap, Job, JobReason, Query, Write
from data_manager.storage.records import Candle, Record, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import Clock
from data_manager.system.messages import GapFound, JobRequested, Message, RangeRepaired
from data_manager.system.metrics import Metrics, series
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.actors.backfill.clocks import SleptClock
from tests.eventually import eventually

R = TypeVar("R", bound=Record)

NOW = 1_760_918_400_000  # 2025-10-20 00:00 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
MARKET = Market(7, 96)  # pure, so tests may share its caches
PATIENCE_S = 20.0
ENDED = ("completed", "failed")


class Work:
    """What a test sees of it all: the exchange, the stores by connections of its own, and what the worker sent."""

    def __init__(self, folder: Path, exchange: SimulatedExchange, clock: SleptClock, **settings: Any) -> None:
        values: dict[str, Any] = {
            "data_dir": folder,
            "supported_pairs": (BTC,),
            "binance_fapi_base_url": exchange.url,
            "history_bootstrap": False,
            "binance_rate_limit": 2400,
        }
        self.settings = Settings(**{**values, **settings})
        self.exchange = exchange
        self.clock = clock
        self.metrics = Metrics()
        self.sent: list[Message] = []
        self.symbols = Symbols(self.settings.supported_pairs)
        self.market = SqliteMarketStore(folder / "market", clock=clock)
        self.catalog: Catalog = SqlCatalog(f"sqlite:///{folder}/catalog.sqlite3", clock=clock, rng=random.Random(2))
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    # -- the worker's life ----------------------------------------------------------------------------------

    def start(self, make: Callable[..., BackfillWorker] = BackfillWorker, **options: Any) -> BackfillWorker:
        """Start a worker, as after a restart of the process."""
        self._stop = asyncio.Event()
        self.worker = make(self.context(), sleep=self.clock.sleep, **options)
        self._running = asyncio.create_task(self.worker.run(self._stop))
        return self.worker

    def context(self) -> Context:
        clock: Clock = self.clock
        return Context(
            "backfill",
            1,
            None,
            self.settings,
            clock,
            random.Random(3),
            self.metrics,
            self.sent.append,
            self.symbols,
        )

    async def stop(self) -> None:
        """Stop it as the supervisor does; raises what it died of."""
        self._stop.set()
        if self._running is not None:
            running, self._running = self._running, None
            await running

    @property
    def crashed(self) -> bool:
        return self._running is not None and self._running.done()

    def close(self) -> None:
        self.market.close()
        self.catalog.close()

    # -- what is asked of it --------------------------------------------------------------------------------

    def request(self, job: Job) -> str:
        """Save it and tell the worker."""
        self.catalog.save_job(job)
        self.worker.receive(JobRequested(job.job_id))
        return job.job_id

    def find(self, *gaps: Gap) -> None:
        """Save gaps and tell the worker, as the auditor does."""
        self.catalog.save_gaps(gaps)
        self.worker.receive(GapFound(gaps[0].symbol))

    async def ended(self, job_id: str) -> Job:
        """The job once it has ended."""
        await self.until(lambda: self.job(job_id).status in ENDED)
        return self.job(job_id)

    async def completed(self, *job_ids: str) -> list[Job]:
        """All of them once they have ended, which they must have done well."""
        jobs = [await self.ended(job_id) for job_id in job_ids]
        assert [(job.status, job.error_message) for job in jobs] == [("completed", None)] * len(jobs)
        return jobs

    async def until(self, check: Callable[[], object], timeout: float = PATIENCE_S) -> None:
        def checked() -> object:
            done = check()
            if not done and self.crashed:
                assert self._running is not None
                self._running.result()
            return done

        await eventually(checked, timeout)

    # -- what there is --------------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job:
        job = self.catalog.job(job_id)
        assert job is not None
        return job

    def gap(self, gap_id: str) -> Gap:
        found = self.catalog.gap(gap_id)
        assert found is not None
        return found

    def rows(self, record: type[R], start_ms: int = 0, end_ms: int | None = None, **equal: str) -> list[R]:
        return self.market.rows(BTC, record, Query(start_ms, end_ms, tuple(equal.items()), 1_000_000))

    def bars(self, timeframe: str = "1m") -> list[Candle]:
        return self.rows(Candle, timeframe=timeframe)

    def store(self, *records: Record) -> None:
        """As ingest stores what the feed brings."""
        self.market.write(BTC, Write(events=[Event(type(row).dataset, row) for row in records]))

    def repaired(self) -> list[RangeRepaired]:
        return [message for message in self.sent if isinstance(message, RangeRepaired)]

    def requests(self, route: str) -> int:
        return self.exchange.requests[f"/fapi/v1/{route}"]

    def counter(self, name: str, **labels: str) -> float:
        return self.metrics.totals().counters.get(series(f"data_manager_{name}", labels), 0)

    def gauge(self, name: str, **labels: str) -> float | None:
        return self.metrics.totals().gauges.get(series(f"data_manager_{name}", labels))


@asynccontextmanager
async def at_work(
    folder: Path,
    *,
    begun: bool = True,
    weight_a_minute: int = 2400,
    clock: SleptClock | None = None,
    **settings: Any,
) -> AsyncIterator[Work]:
    """Everything, with a worker that has begun unless the test starts it."""
    clock = clock or SleptClock(NOW)
    async with AsyncExitStack() as cleanup:
        exchange = SimulatedExchange(MARKET, clock, weight_a_minute=weight_a_minute)
        await cleanup.enter_async_context(exchange)
        work = Work(folder, exchange, clock, **settings)
        cleanup.callback(work.close)
        cleanup.push_async_callback(work.stop)
        if begun:
            work.start()
        yield work


def working(folder: Path, scenario: Callable[[Work], Awaitable[None]], **options: Any) -> None:
    """Run a scenario on a loop of its own."""

    async def run() -> None:
        async with at_work(folder, **options) as work:
            await scenario(work)

    asyncio.run(run())


def job(name: str = "job-1", **fields: Any) -> Job:
    """An hour of bars of 1m that a user asked for, if nothing else is said."""
    values: dict[str, Any] = {
        "symbol": BTC,
        "data_type": "candles",
        "timeframe": "1m" if fields.get("data_type", "candles") == "candles" else None,
        "start_ms": NOW - 3 * HOUR,
        "end_ms": NOW - 2 * HOUR,
        "status": "pending",
        "created_ms": NOW,
        "reason": JobReason.USER.value,
    }
    return Job(name, **{**values, **fields})


def gap(name: str = "gap-1", **fields: Any) -> Gap:
    """Ten bars of 1m that are missing, if nothing else is said."""
    data_type = fields.get("data_type", "candles")
    timeframe = fields.setdefault("timeframe", "1m" if data_type == "candles" else None)
    values: dict[str, Any] = {
        "dataset_id": "_".join(filter(None, (data_type, BTC, timeframe))),
        "symbol": BTC,
        "data_type": data_type,
        "start_ms": NOW - 3 * HOUR,
        "end_ms": NOW - 3 * HOUR + 10 * MINUTE,
        "status": "open",
        "cause": "unknown",
        "evidence": "an audit",
        "first_seen_ms": NOW - MINUTE,
        "last_seen_ms": NOW - MINUTE,
    }
    return Gap(name, **{**values, **fields})

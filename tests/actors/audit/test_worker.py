"""The auditor's worker on real files, by the real clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data_manager.actors.audit import presence, rounds, worker
from data_manager.actors.audit.conf import audit_conf
from data_manager.actors.audit.worker import AuditWorker, until
from data_manager.actors.housekeeping import chores
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import catalog_url
from data_manager.storage.protocols import Event, Gap, Write
from data_manager.storage.records import MINUTE_MS
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.messages import AuditRequested, Disturbed, GapFound, Message, Pong, RangeRepaired, Suspected
from data_manager.system.metrics import Metrics, Totals, series
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.eventually import eventually
from tests.storage.examples import BTC, candle

CLOCK = SystemClock()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "CHECK_S", 0.05)
    monkeypatch.setattr(rounds, "FIRST_S", 0.01)
    for name in ("FIRST_S", "RETRY_FIRST_S", "RETRY_MAX_S"):
        monkeypatch.setattr(chores, name, 0.05)


class Hosted:
    """A worker, what it sends, and its stores from outside."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        (folder / "market").mkdir(exist_ok=True)
        self.settings = Settings(data_dir=folder, **settings)
        self.sent: list[Message] = []
        self.metrics = Metrics()
        self.market = SqliteMarketStore(folder / "market", clock=CLOCK)
        self.catalog = SqlCatalog(catalog_url(self.settings), clock=CLOCK)
        self.now = now_ms(CLOCK) // MINUTE_MS * MINUTE_MS
        self.worker = AuditWorker(
            Context(
                "auditor",
                1,
                None,
                self.settings,
                CLOCK,
                random.Random(1),
                self.metrics,
                self.sent.append,
                Symbols(self.settings.supported_pairs),
            )
        )

    def hold(self, *minutes: int) -> None:
        """1m bars that opened so many minutes before this one."""
        bars = [candle(0, open_time=self.now - n * MINUTE_MS, stored_ms=self.now) for n in minutes]
        self.market.write(BTC, Write(events=[Event("kline", bar) for bar in bars]))

    def gaps(self, *statuses: str) -> list[Gap]:
        return [gap for gap in self.catalog.gaps(statuses=statuses)[0] if gap.timeframe == "1m"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        work = asyncio.create_task(self.worker.run(stop))
        try:
            await eventually(lambda: self.worker.status().state == "running" or work.done())
            yield
        finally:
            stop.set()
            async with asyncio.timeout(10):
                await work
            self.market.close()
            self.catalog.close()


def test_it_audits_and_keeps_house_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        hosted = Hosted(tmp_path)
        hosted.hold(9, 8, 6, 5, 4)
        assert hosted.worker.status().state == "waiting"
        async with hosted.running():
            await eventually(lambda: len(hosted.gaps("open")) == 2)
            await eventually(lambda: GapFound(BTC) in hosted.sent)
            await eventually(lambda: hosted.catalog.dataset("candles_BTCUSDT_1m"))
            assert (hosted.worker.status().detail, hosted.worker.busy_since()) == ("", None)

    asyncio.run(run())


def test_what_others_tell_it_is_looked_at(tmp_path: Path) -> None:
    async def run() -> None:
        hosted = Hosted(tmp_path)
        hosted.hold(9, 8, 7, 6)
        hosted.hold(4, 3, 2, 1)
        async with hosted.running():
            await eventually(lambda: len(hosted.gaps("open")) == 1)
            hosted.hold(5)
            start = hosted.now - 5 * MINUTE_MS
            hosted.worker.receive(RangeRepaired(BTC, "candles_BTCUSDT_1m", start, start + MINUTE_MS))
            await eventually(lambda: len(hosted.gaps("closed")) == 1)
            hosted.worker.receive(Suspected("ingest/BTCUSDT", 1, BTC, "restart", "the process was another one"))
            hosted.worker.receive(AuditRequested())

    asyncio.run(run())


def test_a_break_in_the_chain_of_depth_updates_that_ingest_tells_is_kept_once_with_both_ids(tmp_path: Path) -> None:
    async def run() -> None:
        hosted = Hosted(tmp_path)
        ids = "the chain ended at 7, the next update follows 9"
        async with hosted.running():
            for _ in range(2):
                hosted.worker.receive(Suspected("ingest/BTCUSDT", 1, BTC, "depth_chain", ids))
            await eventually(lambda: hosted.catalog.gaps(dataset_id="depth_BTCUSDT")[1] == 1)
            hosted.worker.receive(Suspected("ingest/BTCUSDT", 1, BTC, "depth_chain", "others", 5, 9))
            await eventually(lambda: hosted.catalog.gaps(dataset_id="depth_BTCUSDT")[1] == 2)
        told, now = hosted.catalog.gaps(dataset_id="depth_BTCUSDT", descending=False)[0], now_ms(CLOCK)
        assert [(gap.status, gap.evidence) for gap in told] == [("unfillable", "others"), ("unfillable", ids)]
        assert (told[0].start_ms, told[0].end_ms) == (5, 9)
        assert now - 60_000 < told[1].start_ms < told[1].end_ms <= now

    asyncio.run(run())


def test_a_symbol_of_which_nothing_arrives_is_an_incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = audit_conf()
    quiet = msgspec.structs.replace(impatient.quiet, after_s=0.05, sample_s=0.02)
    monkeypatch.setattr(worker, "audit_conf", lambda: msgspec.structs.replace(impatient, quiet=quiet))

    async def run() -> None:
        hosted = Hosted(tmp_path, supported_pairs="BTCUSDT,ETHUSDT")
        async with hosted.running():
            await eventually(lambda: [each.kind for each in hosted.catalog.incidents(open_only=True)] == ["feed_down"])

    asyncio.run(run())


def test_switched_off_it_keeps_house_only_and_takes_no_hint(tmp_path: Path) -> None:
    async def run() -> None:
        hosted = Hosted(tmp_path, enable_auditor=False)
        hosted.hold(9, 8, 6, 5)
        async with hosted.running():
            assert hosted.worker.status().detail == "audit=off"
            told = (
                Suspected("x", 1, BTC, "restart", ""),
                Disturbed(BTC),
                AuditRequested(),
                RangeRepaired(BTC, "d", 0, 1),
            )
            for message in told:
                hosted.worker.receive(message)
            await eventually(lambda: hosted.catalog.dataset("candles_BTCUSDT_1m"))
            await eventually(
                lambda: series("data_manager_store_data_bytes", {"store": "market"}) in hosted.metrics.totals().gauges
            )
            assert hosted.gaps() == []

    asyncio.run(run())


def test_a_message_it_does_not_know_is_an_error(tmp_path: Path) -> None:
    hosted = Hosted(tmp_path)
    with pytest.raises(TypeError, match="Pong"):
        hosted.worker.receive(Pong("router", 1, 1, "running", "", None, 0.0, Totals()))
    hosted.catalog.close()


def test_a_bug_in_one_part_ends_the_others_with_its_own_words() -> None:
    cancelled: list[str] = []

    async def works() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append("works")
            raise

    async def breaks() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a bug")

    async def run() -> None:
        with pytest.raises(RuntimeError, match="a bug"):
            await until(asyncio.Event(), works(), breaks())
        stop = asyncio.Event()
        stop.set()
        await until(stop, works())

    asyncio.run(run())
    assert cancelled[0] == "works"

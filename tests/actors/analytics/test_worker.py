"""The analytics worker on real files, by the real clock."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from data_manager.actors.analytics import worker as worker_module
from data_manager.actors.analytics.worker import SETTLE_MS, AnalyticsWorker, due_ms
from data_manager.actors.audit import presence
from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.backfill.history import bootstrap_id
from data_manager.actors.backfill.plan import bootstrap
from data_manager.actors.housekeeping import chores
from data_manager.storage.computed import METRICS
from data_manager.storage.protocols import Job, JobReason, JobStatus
from data_manager.storage.records import ALL_SYMBOLS, CATEGORIES, Candle
from data_manager.system.messages import Detected, DetectRequested, Pong
from data_manager.system.metrics import Totals
from data_manager.system.settings import Settings
from data_manager.system.tree import ANALYTICS, specs_of
from tests.actors.analytics.computing import SYMBOLS, Computing, body, history
from tests.log_capture import logs_to

BTC, ETH = SYMBOLS[:2]
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "CHECK_S", 0.05)
    monkeypatch.setattr(worker_module, "HISTORY_POLL_S", 0.02)
    for name in ("RETRY_FIRST_S", "RETRY_MAX_S"):
        monkeypatch.setattr(chores, name, 0.05)


def test_a_cycle_writes_83_documents_of_five_symbols_each_with_its_coverage(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path)) as computing:
            computing.fill()
            computing.books(300, 200, 100, 5)
            async with computing.running() as worker:
                assert worker.status().state == "waiting"
                await computing.until(lambda: computing.gauge("analytics_cycle_seconds"))
                await computing.until(lambda: worker.status().state == "running")
            documents = computing.documents()
            assert len(documents) == 16 * len(SYMBOLS) + 3 == 83
            kinds = Counter((each.category, each.timeframe) for each in documents)
            assert kinds == {
                **{(category, timeframe): 5 for category in CATEGORIES for timeframe in ("1h", "1d")},
                ("correlation_matrix", "1h"): 1,
                ("correlation_matrix", "1d"): 1,
                ("market_overview", "1h"): 1,
            }
            for each in documents:
                said = body(each)
                about = said["metadata"]
                assert set(said) == {*(metric.name for metric in METRICS[each.category]), "metadata"}
                assert 0 < about["completeness"] <= 100
                assert about["n"] > 0
                assert each.state in ("complete", "partial")
                assert {name for name in said if said[name] is None} <= set(about["reasons"])
            states = Counter(each.state for each in documents)
            for state in ("complete", "partial", "empty"):
                assert computing.gauge("analytics_documents", state=state) == states[state]
            assert computing.metrics.totals().counters["data_manager_analytics_cycles_total", ()] == 1

    asyncio.run(run())


def test_bars_of_the_same_hour_make_the_same_documents_and_each_cycle_has_spreads_of_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path, (BTC,), analytics_interval=1)) as computing:
            computing.fill()
            computing.books(30, 5)
            async with computing.running():
                await computing.until(lambda: len(computing.documents()) >= 16 + 3)
                known = computing.documents()  # of the first cycle, and perhaps of the next
                first = {(each.category, each.timeframe): each for each in known}
                await computing.until(lambda: len(computing.documents()) >= len(known) + 4)
            spreads = [each for each in computing.documents(BTC) if each.category == "spread"]
            others = [each for each in computing.documents() if each.category != "spread"]
            hours = [each for each in spreads if each.timeframe == "1h"]
            assert len(others) == 16 + 3 - 2
            assert all(each.computed_ms > first[each.category, each.timeframe].computed_ms for each in others)
            for earlier, later in pairwise(hours):
                assert body(later)["metadata"]["since_ms"] == earlier.time_ms

    asyncio.run(run())


def test_the_next_cycle_is_of_the_symbols_that_there_are_then(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path, (BTC,), analytics_interval=1)) as computing:
            computing.fill()
            async with computing.running():
                await computing.until(lambda: len(computing.documents(BTC)) >= 16)
                computing.active.become((BTC, ETH))
                await computing.until(lambda: len(computing.documents(ETH)) >= 16)

    asyncio.run(run())


def test_without_any_data_each_document_says_why_each_of_its_numbers_is_missing(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path)) as computing:
            async with computing.running():
                await computing.until(lambda: computing.gauge("analytics_documents", state="empty") == 83)
            for each in computing.documents():
                said = body(each)
                reasons = said.pop("metadata")["reasons"]
                assert each.state == "empty"
                assert set(said.values()) == {None}
                assert reasons.keys() == said.keys()
            assert len(computing.documents()) == 83

    asyncio.run(run())


def test_a_damaged_file_costs_its_own_symbol_its_documents_and_is_an_incident(tmp_path: Path) -> None:
    async def run() -> None:
        lines = io.StringIO()
        with closing(Computing(tmp_path, analytics_interval=0.2)) as computing, logs_to(lines):
            computing.fill(timeframes=("1h",))
            (tmp_path / "market" / "ETHUSDT.sqlite3-wal").unlink(missing_ok=True)
            (tmp_path / "market" / "ETHUSDT.sqlite3").write_bytes(b"no database" * 1000)
            async with computing.running():
                await computing.until(lambda: computing.catalog.incidents(open_only=True))
                await computing.until(lambda: lines.getvalue().count("analytics_computed") > 1)
            found = Counter(symbol for symbol in SYMBOLS if symbol != ETH for _ in computing.documents(symbol))
            assert {symbol: n for symbol, n in found.items() if n < 16} == {}
            assert len(computing.documents(ALL_SYMBOLS)) == 3
            (incident,) = computing.catalog.incidents(open_only=True)
            assert (incident.kind, incident.subject) == ("analytics_failed", ETH)
            told = [json.loads(line) for line in lines.getvalue().splitlines() if '"analytics_failed"' in line]
            assert [line["symbol"] for line in told] == [ETH]

    asyncio.run(run())


def test_a_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path, store_timeout_s=0.2)) as computing:
            computing.fill(timeframes=("1h",))
            computing.market.check()
            with closing(sqlite3.connect(tmp_path / "market" / "_all.sqlite3", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with computing.running() as worker:
                    await computing.until(lambda: worker.status().detail == "market_store")
                    await computing.until(lambda: len(computing.documents(SYMBOLS[-1])) == 16)
                    assert worker.status().state == "waiting"
                    other.execute("ROLLBACK")
                    await computing.until(lambda: worker.status().state == "running")
                    await computing.until(lambda: len(computing.documents(ALL_SYMBOLS)) == 3)

    asyncio.run(run())


def test_a_cycle_that_is_stopped_is_done_again_at_the_next_start(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path)) as computing:
            computing.fill(timeframes=("1h",))
            async with computing.running():
                await computing.until(lambda: computing.documents(BTC))
            written = len(computing.documents())
            assert written < 83
            async with computing.running():
                await computing.until(lambda: len(computing.documents(ALL_SYMBOLS)) == 3)
            assert {len(computing.documents(symbol)) for symbol in SYMBOLS} <= {16, 18}

    asyncio.run(run())


def outlier(computing: Computing) -> list[Candle]:
    """The last hours, one of them with a jump of a tenth."""
    rows = history("1h", 120, computing.now, seed=3)
    jump = rows[-5]
    wild = msgspec.structs.replace(jump, close=repr(float(jump.close) * 1.1), high=repr(float(jump.high) * 1.2))
    return [*rows[:-5], wild, *rows[-4:]]


def test_anomalies_are_looked_for_on_demand_and_kept_once(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path, (BTC,))) as computing:
            rows = outlier(computing)
            for start in range(0, len(rows), 1000):
                computing.market.merge(BTC, rows[start : start + 1000])
            asked = [
                DetectRequested("1", BTC, "1h", "zscore"),
                DetectRequested("2", BTC, "1h", "zscore"),
                DetectRequested("3", BTC, "5m", "zscore"),
                DetectRequested("4", "XYZUSDT", "1h", "mad"),
            ]
            async with computing.running() as worker:
                await computing.until(lambda: len(computing.documents()) >= 16 + 3)
                for each in asked:
                    worker.receive(each)
                await computing.until(lambda: len(computing.sent) == len(asked))
            answers = {each.request_id: each for each in computing.sent if isinstance(each, Detected)}
            assert answers["1"].anomalies == answers["2"].anomalies
            assert rows[-5].open_time in [each.open_time for each in answers["1"].anomalies]
            assert {each.method for each in answers["1"].anomalies} == {"zscore"}
            assert answers["3"].note.startswith("zscore cannot judge BTCUSDT 5m: 0 returns")
            assert "0 returns before the judged ones" in answers["4"].note
            logs, total = computing.catalog.audit_logs(symbol=BTC, audit_type="anomaly", limit=1000)
            assert len({each.audit_id for each in logs}) == total
            (row,) = [
                each
                for each in logs
                if "method=zscore" in each.details and f"price={float(rows[-5].close):.2f}" in each.details
            ]
            assert row.severity == "critical"
            assert row.details.startswith("Anomaly detected at ")
            counted = computing.metrics.totals().counters
            assert sum(n for (name, _), n in counted.items() if name == "data_manager_anomalies_total") == total

    asyncio.run(run())


def test_what_is_asked_beyond_what_may_wait_is_refused_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path)) as computing:
            worker = AnalyticsWorker(computing.context())
            for number in range(worker_module.MAX_REQUESTS + 1):
                worker.receive(DetectRequested(str(number), BTC, "1h", "mad"))
            (refused,) = computing.sent
            assert isinstance(refused, Detected)
            assert (refused.request_id, refused.anomalies) == (str(worker_module.MAX_REQUESTS), ())
            assert "wait already" in refused.problem

    asyncio.run(run())


def test_the_first_cycle_waits_for_the_first_history(tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Computing(tmp_path, (BTC,), enable_backfiller=True)) as computing:
            works = bootstrap([BTC], exchange_conf().bootstrap, computing.now)
            jobs = [
                Job(bootstrap_id(work), BTC, "candles", work.timeframe, *work.within, status, computing.now,
                    reason=JobReason.BOOTSTRAP)
                for work, status in zip(works, [JobStatus.COMPLETED] * 5 + [JobStatus.RUNNING], strict=True)
            ]  # fmt: skip
            async with computing.running() as worker:
                await computing.until(lambda: worker.status().state == "running")
                for job in jobs:
                    computing.catalog.save_job(job)
                assert computing.documents() == []
                computing.fill()
                computing.catalog.save_job(msgspec.structs.replace(jobs[-1], status=JobStatus.FAILED.value))
                await computing.until(lambda: len(computing.documents()) >= 16 + 3)
            assert "empty" not in {each.state for each in computing.documents() if each.category != "spread"}

    asyncio.run(run())


def test_history_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "HISTORY_WAIT_S", 0.2)

    async def run() -> None:
        with closing(Computing(tmp_path, (BTC,), enable_backfiller=True)) as computing:
            async with computing.running():
                await computing.until(lambda: len(computing.documents()) >= 16 + 3)

    asyncio.run(run())


def test_a_message_it_does_not_know_is_an_error(tmp_path: Path) -> None:
    with closing(Computing(tmp_path)) as computing, pytest.raises(TypeError, match="Pong"):
        AnalyticsWorker(computing.context()).receive(Pong("router", 1, 1, "running", "", None, 0.0, Totals()))


def test_it_is_a_part_of_the_tree_that_can_be_switched_off_and_whose_end_is_not_the_trees() -> None:
    (spec,) = (spec for spec in specs_of(Settings(), ()) if spec.name == ANALYTICS == DetectRequested.to)
    assert not spec.essential
    assert spec.stage > max(each.stage for each in specs_of(Settings(), ()) if each.name != ANALYTICS)
    assert ANALYTICS not in {each.name for each in specs_of(Settings(enable_analytics=False), ())}


@pytest.mark.parametrize(
    ("now", "due"),
    [(0, SETTLE_MS), (SETTLE_MS - 1, SETTLE_MS), (SETTLE_MS, 900_000 + SETTLE_MS), (900_000, 900_000 + SETTLE_MS)],
)
def test_a_cycle_is_due_a_little_after_each_multiple_of_its_interval(now: int, due: int) -> None:
    assert due_ms(now, 900_000) == due

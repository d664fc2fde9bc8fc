"""Contract of every catalog: gaps and what audits said of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.catalog_rows import TEXT_BYTES
from data_manager.storage.protocols import AuditLog, Expiring, GapStatus
from tests.storage.catalogs import CATALOGS, empty_database, gap
from tests.storage.examples import T0, FixedClock

OPEN, BACKFILLING, CLOSED = GapStatus.OPEN, GapStatus.BACKFILLING, GapStatus.CLOSED


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(url, clock=FixedClock())
    yield catalog
    catalog.close()


def log(audit_id: str, at_ms: int = T0, **fields: str) -> AuditLog:
    values = {"dataset_id": "candles_BTCUSDT_1m", "symbol": "BTCUSDT", "audit_type": "gap", "severity": "medium"}
    return AuditLog(audit_id, **{**values, "details": "Gap from 1 to 2", **fields}, at_ms=at_ms)


def test_a_gap_comes_back_as_it_was_saved_with_and_without_its_nulls(catalog: SqlCatalog) -> None:
    full = gap("b", cause="ours", evidence="币安 🙂 '%_\\", job_id="j", closed_ms=T0 + 9, timeframe=None)
    catalog.save_gaps([gap("a"), full])
    assert catalog.gap("a") == gap("a")
    assert catalog.gap("b") == full
    assert catalog.gap("none") is None


def test_saved_again_it_changes_but_for_when_it_was_first_seen(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap("a")])
    later = gap("a", status="closed", closed_ms=T0 + 7, first_seen_ms=T0 + 5, last_seen_ms=T0 + 6, end_ms=T0 + 8)
    catalog.save_gaps([later])
    assert catalog.gap("a") == msgspec.structs.replace(later, first_seen_ms=T0 + 1)


def test_gaps_are_found_by_symbol_dataset_and_status_and_counted(catalog: SqlCatalog) -> None:
    catalog.save_gaps(
        [
            gap("a", start_ms=T0),
            gap("b", start_ms=T0 + 1, status="backfilling"),
            gap("c", start_ms=T0 + 2, status="closed"),
            gap("d", start_ms=T0 + 3, dataset_id="candles_BTCUSDT_5m", timeframe="5m"),
            gap("e", start_ms=T0 + 4, symbol="ETHUSDT", dataset_id="candles_ETHUSDT_1m"),
        ]
    )

    def ids(**asked: object) -> tuple[str, int]:
        found, total = catalog.gaps(**asked)  # type: ignore[arg-type]
        return "".join(each.gap_id for each in found), total

    assert ids() == ("edcba", 5)
    assert ids(symbol="ETHUSDT") == ("e", 1)
    assert ids(dataset_id="candles_BTCUSDT_1m", descending=False) == ("abc", 3)
    assert ids(statuses=("open", "backfilling")) == ("edba", 4)
    assert ids(symbol="BTCUSDT", statuses=("open",), limit=1) == ("d", 2)
    assert ids(symbol="BTCUSDT", statuses=("open",), limit=5, offset=1) == ("a", 2)
    assert ids(symbol="btcusdt") == ("", 0)


def test_no_gaps_are_no_trouble(catalog: SqlCatalog) -> None:
    catalog.save_gaps([])
    catalog.save_audit_logs([])
    assert catalog.gaps() == ([], 0)
    assert catalog.audit_logs() == ([], 0)
    assert catalog.count_audit_logs("gap") == {}


def test_what_an_audit_said_is_one_row_however_often_it_says_it(catalog: SqlCatalog) -> None:
    for times in range(3):
        catalog.save_audit_logs([log("a", T0 + times, severity=f"s{times}")])
    assert catalog.audit_logs() == ([log("a", T0, severity="s2")], 1)


def test_what_was_found_is_asked_for_by_symbol_type_severity_and_time_the_newest_first(catalog: SqlCatalog) -> None:
    catalog.save_audit_logs(
        [
            log("a", T0),
            log("b", T0 + 1, audit_type="anomaly"),
            log("c", T0 + 2, audit_type="anomaly", severity="critical"),
            log("d", T0 + 2, audit_type="anomaly"),
            log("e", T0 + 3, audit_type="anomaly", symbol="ETHUSDT"),
        ]
    )

    def ids(**asked: object) -> tuple[str, int]:
        found, total = catalog.audit_logs(**asked)  # type: ignore[arg-type]
        return "".join(each.audit_id for each in found), total

    assert ids() == ("edcba", 5)
    assert ids(descending=False) == ("abcde", 5)
    assert ids(symbol="BTCUSDT", audit_type="anomaly") == ("dcb", 3)
    assert ids(audit_type="anomaly", severity="critical") == ("c", 1)
    assert ids(from_ms=T0 + 1, to_ms=T0 + 3) == ("dcb", 3)
    assert ids(limit=2, offset=1) == ("dc", 5)
    assert ids(symbol="btcusdt") == ("", 0)


def test_what_was_found_is_counted_by_symbol_and_severity_within_its_type(catalog: SqlCatalog) -> None:
    anomalies = [log(f"{number}", audit_type="anomaly", severity="high") for number in range(3)]
    catalog.save_audit_logs([*anomalies, log("x", audit_type="anomaly", symbol="ETHUSDT"), log("gap")])
    assert catalog.count_audit_logs("anomaly") == {("BTCUSDT", "high"): 3, ("ETHUSDT", "medium"): 1}
    assert catalog.count_audit_logs("gap") == {("BTCUSDT", "medium"): 1}
    assert catalog.count_audit_logs("other") == {}


def test_gaps_that_nothing_will_come_of_and_old_audits_grow_old_and_others_never(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap(status.value, status=status.value, closed_ms=T0 + 3) for status in GapStatus])
    catalog.save_audit_logs([log("a", T0)])
    assert catalog.expire(Expiring.GAPS, T0 + 100) == 2
    # what the exchange never had is not asked for again, and so has to be known for good
    assert {each.gap_id for each in catalog.gaps()[0]} == {"open", "backfilling", "exchange_empty"}
    assert catalog.expire(Expiring.AUDIT_LOGS, T0 + 1) == 1


# -- what an audit sees -------------------------------------------------------------------------------------


def test_a_gap_that_is_seen_first_is_inserted_whole(catalog: SqlCatalog) -> None:
    catalog.see_gaps([gap("a"), gap("b", status="unfillable", cause="feed", closed_ms=T0 + 2)])
    assert catalog.gap("a") == gap("a")
    assert catalog.gap("b") == gap("b", status="unfillable", cause="feed", closed_ms=T0 + 2)


@pytest.mark.parametrize("status", GapStatus)
def test_a_gap_that_is_seen_again_keeps_its_status_its_job_and_its_end(catalog: SqlCatalog, status: GapStatus) -> None:
    there = gap("a", status=status.value, job_id="j", closed_ms=T0 + 5, cause="unknown", evidence="none")
    catalog.save_gaps([there])
    seen = gap("a", end_ms=T0 + 120_000, cause="feed", evidence="silence", first_seen_ms=T0 + 8, last_seen_ms=T0 + 9)
    catalog.see_gaps([seen])
    assert catalog.gap("a") == msgspec.structs.replace(
        there, end_ms=T0 + 120_000, cause="feed", evidence="silence", last_seen_ms=T0 + 9
    )


# -- the way of a gap ---------------------------------------------------------------------------------------


def test_a_gap_moves_from_open_to_closed_and_says_when_and_by_what(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap("a", evidence="silence"), gap("b")])
    assert catalog.move_gap("a", BACKFILLING, only_from=[OPEN], at_ms=T0 + 5, job_id="j")
    assert catalog.gap("a") == gap("a", status="backfilling", job_id="j", evidence="silence")
    assert catalog.move_gap("a", CLOSED, only_from=[OPEN, BACKFILLING], at_ms=T0 + 7, evidence="12 rows 币安")
    assert catalog.gap("a") == gap("a", status="closed", job_id="j", evidence="12 rows 币安", closed_ms=T0 + 7)
    assert catalog.move_gap("a", OPEN, only_from=[CLOSED], at_ms=T0 + 9)
    assert catalog.gap("a") == gap("a", job_id="j", evidence="12 rows 币安")
    assert catalog.gap("b") == gap("b")


@pytest.mark.parametrize("status", GapStatus)
def test_a_gap_ends_where_its_status_is_an_end(catalog: SqlCatalog, status: GapStatus) -> None:
    catalog.save_gaps([gap("a")])
    assert catalog.move_gap("a", status, only_from=[OPEN], at_ms=T0 + 5)
    moved = catalog.gap("a")
    assert moved is not None
    assert moved.closed_ms == (None if status in (OPEN, BACKFILLING) else T0 + 5)


def test_a_gap_of_another_status_stays_as_it_is(catalog: SqlCatalog) -> None:
    there = gap("a", status="backfilling", job_id="j")
    catalog.save_gaps([there])
    for only_from in ([OPEN], [OPEN, CLOSED], []):
        assert not catalog.move_gap("a", BACKFILLING, only_from=only_from, at_ms=T0 + 5, job_id="k", evidence="e")
        assert catalog.gap("a") == there
    assert not catalog.move_gap("A", OPEN, only_from=[BACKFILLING], at_ms=T0 + 5)


def test_a_move_that_changes_nothing_is_a_move(catalog: SqlCatalog) -> None:
    """MySQL counts rows that change, unless it is asked for those that it finds."""
    catalog.save_gaps([gap("a", status="backfilling", job_id="j")])
    for _ in range(2):
        assert catalog.move_gap("a", BACKFILLING, only_from=[OPEN, BACKFILLING], at_ms=T0 + 5, job_id="j")
    assert not catalog.move_gap("a", BACKFILLING, only_from=[OPEN], at_ms=T0 + 5, job_id="j")


def test_evidence_that_is_too_long_is_cut(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap("a")])
    assert catalog.move_gap("a", CLOSED, only_from=[OPEN], at_ms=T0, evidence="x" * (TEXT_BYTES + 1))
    moved = catalog.gap("a")
    assert moved is not None
    assert moved.evidence is not None
    assert len(moved.evidence.encode()) == TEXT_BYTES


def test_one_of_many_that_want_a_gap_gets_it(url: str, catalog: SqlCatalog) -> None:
    names = [f"gap {number}" for number in range(10)]
    catalog.save_gaps([gap(name) for name in names])
    barrier = threading.Barrier(4)
    taken: list[tuple[str, str]] = []

    def take(job_id: str) -> None:
        mine = SqlCatalog(url, clock=FixedClock())
        barrier.wait(30)
        for name in names:
            if mine.move_gap(name, BACKFILLING, only_from=[OPEN], at_ms=T0, job_id=job_id):
                taken.append((name, job_id))
        mine.close()

    takers = [threading.Thread(target=take, args=(job_id,)) for job_id in "abcd"]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(60)
    found, _ = catalog.gaps()
    assert sorted(taken) == sorted((each.gap_id, str(each.job_id)) for each in found)
    assert len(taken) == len(names)

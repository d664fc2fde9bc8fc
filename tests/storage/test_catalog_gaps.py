"""Contract of every catalog: gaps and what audits said of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import AuditLog, Expiring
from tests.storage.catalogs import CATALOGS, empty_database, gap
from tests.storage.examples import T0, FixedClock


@pytest.fixture(params=CATALOGS)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(empty_database(request.param, tmp_path, request), clock=FixedClock())
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
    assert catalog.audit_logs("BTCUSDT") == []


def test_what_an_audit_said_is_one_row_however_often_it_says_it(catalog: SqlCatalog) -> None:
    for _ in range(2):
        catalog.save_audit_logs([log("a", T0), log("b", T0 + 1), log("c", T0 + 2, symbol="ETHUSDT")])
    assert catalog.audit_logs("BTCUSDT") == [log("b", T0 + 1), log("a", T0)]
    assert catalog.audit_logs("BTCUSDT", limit=1) == [log("b", T0 + 1)]


def test_closed_gaps_and_old_audits_grow_old_and_open_gaps_never(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap("open"), gap("closed", status="closed", closed_ms=T0 + 3)])
    catalog.save_audit_logs([log("a", T0)])
    assert catalog.expire(Expiring.GAPS, T0 + 100) == 1
    assert [each.gap_id for each in catalog.gaps()[0]] == ["open"]
    assert catalog.expire(Expiring.AUDIT_LOGS, T0 + 1) == 1

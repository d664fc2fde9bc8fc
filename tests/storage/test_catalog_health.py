"""Contract of every catalog: health and its history, conflicts, and what is known of the exchange."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import ExchangeState, Expiring
from data_manager.system.errors import StoreError
from tests.storage.catalogs import CATALOGS, conflict, empty_database, health
from tests.storage.examples import T0, FixedClock


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(url, clock=FixedClock())
    yield catalog
    catalog.close()


# health

UNKNOWN: dict[str, Any] = dict.fromkeys(
    (
        "timeframe",
        "completeness",
        "freshness_seconds",
        "gaps_count",
        "duplicates_count",
        "consistency_score",
        "quality_score",
    )
)


@pytest.mark.parametrize("fields", [
    {},
    UNKNOWN,
    {"completeness": 0.0, "consistency_score": 0.0, "quality_score": 100.0, "gaps_count": 0, "freshness_seconds": 0},
    {"completeness": None, "quality_score": 50.0, "freshness_seconds": 2**31 - 1},
], ids=["all", "nothing", "zeros", "some"])  # fmt: skip
def test_what_was_measured_comes_back_and_what_was_not_is_none(catalog: SqlCatalog, fields: dict[str, Any]) -> None:
    """0 is a measurement; 50 and 50.0 are two texts in an API's body."""
    saved = health("a", **fields)
    catalog.save_health([saved])
    (found,) = catalog.latest_health()
    assert found == saved
    for name in saved.__struct_fields__:
        assert type(getattr(found, name)) is type(getattr(saved, name)), name


def test_the_same_metric_twice_is_one_row(catalog: SqlCatalog) -> None:
    catalog.save_health([health("a"), health("b", T0 + 1)])
    catalog.save_health([health("a", quality_score=1.0)])
    assert catalog.health_history("candles_BTCUSDT_1m") == [health("b", T0 + 1), health("a", quality_score=1.0)]
    catalog.save_health([])


def test_the_history_of_a_dataset_begins_with_the_newest(catalog: SqlCatalog) -> None:
    catalog.save_health([health(str(n), T0 + n) for n in (2, 0, 1)] + [health("x", dataset_id="trades_BTCUSDT")])
    assert [each.at_ms - T0 for each in catalog.health_history("candles_BTCUSDT_1m")] == [2, 1, 0]
    assert [each.metric_id for each in catalog.health_history("candles_BTCUSDT_1m", limit=1)] == ["2"]
    assert catalog.health_history("none") == []


def test_the_latest_of_each_dataset_come_by_dataset(catalog: SqlCatalog) -> None:
    eth = {"symbol": "ETHUSDT", "dataset_id": "candles_ETHUSDT_1m"}
    catalog.save_health(
        [
            *(health(f"b{n}", T0 + n) for n in (1, 3, 2)),
            *(health(f"e{n}", T0 + n, **eth) for n in (9, 8)),
            health("t", T0 - 5, dataset_id="trades_BTCUSDT", timeframe=None),
        ]
    )
    assert [each.metric_id for each in catalog.latest_health()] == ["b3", "e9", "t"]
    assert [each.metric_id for each in catalog.latest_health("BTCUSDT")] == ["b3", "t"]
    assert catalog.latest_health("btcusdt") == []


def test_of_two_metrics_of_one_moment_one_is_the_latest(catalog: SqlCatalog) -> None:
    catalog.save_health([health("a"), health("c"), health("b")])
    assert catalog.latest_health() == [health("c")]
    catalog.save_health([health("d", symbol="ETHUSDT")])
    assert catalog.latest_health("BTCUSDT") == [health("c")]


def test_the_latest_are_found_in_one_statement_by_an_index(url: str, catalog: SqlCatalog) -> None:
    """Not by reading every row: the newest are looked for in an index that has dataset and time."""
    names = [f"candles_S{number}_1m" for number in range(30)]
    catalog.save_health([health(f"{name} {n}", T0 + n, dataset_id=name) for name in names for n in range(40)])
    statements: list[tuple[str, Any]] = []
    engine = catalog._database._engine
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append((given[2], given[3])))
    assert len(catalog.latest_health()) == len(names)
    (asked,) = [each for each in statements if "health_metrics" in each[0]]
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    other = create_engine(url)
    with other.connect() as connection:
        plan = str(connection.exec_driver_sql(explain + asked[0], asked[1]).fetchall())
    other.dispose()
    assert plan.count("idx_health_metrics_dataset_timestamp") >= 2


def test_health_grows_old(catalog: SqlCatalog) -> None:
    catalog.save_health([health("a", T0), health("b", T0 + 1)])
    assert catalog.expire(Expiring.HEALTH_METRICS, T0 + 1) == 1
    assert catalog.latest_health() == [health("b", T0 + 1)]


# conflicts


def test_the_same_conflict_twice_is_one_row(catalog: SqlCatalog) -> None:
    catalog.save_conflicts([conflict("a"), conflict("b", T0 + 1)])
    catalog.save_conflicts([conflict("a", T0 + 2, offered_row='{"close":"币"}')])
    catalog.save_conflicts([])
    assert catalog.conflicts() == [conflict("a", T0 + 2, offered_row='{"close":"币"}'), conflict("b", T0 + 1)]


def test_conflicts_come_from_the_newest_on_and_by_dataset(catalog: SqlCatalog) -> None:
    catalog.save_conflicts([conflict(str(n), T0 + n) for n in (1, 3, 2)])
    catalog.save_conflicts([conflict("t", T0 + 9, dataset_id="trades_BTCUSDT")])
    assert [each.conflict_id for each in catalog.conflicts()] == ["t", "3", "2", "1"]
    assert [each.conflict_id for each in catalog.conflicts(dataset_id="candles_BTCUSDT_1m", limit=2)] == ["3", "2"]
    assert catalog.conflicts(dataset_id="none") == []


def test_conflicts_grow_old(catalog: SqlCatalog) -> None:
    catalog.save_conflicts([conflict("a"), conflict("b", T0 + 1)])
    assert catalog.expire(Expiring.CONFLICTS, T0 + 1) == 1
    assert catalog.conflicts() == [conflict("b", T0 + 1)]


# what is known of the exchange


def test_what_is_known_of_the_exchange_is_kept_by_name(catalog: SqlCatalog, url: str) -> None:
    assert catalog.exchange_state("budget") is None
    banned = ExchangeState("budget", '{"code":418}', T0 + 120_000, T0)
    catalog.save_exchange_state(banned)
    catalog.save_exchange_state(ExchangeState("symbols", "[]", None, T0 + 1))
    restarted = SqlCatalog(url, clock=FixedClock())
    assert restarted.exchange_state("budget") == banned
    restarted.close()
    free = ExchangeState("budget", "{}", None, T0 + 9)
    catalog.save_exchange_state(free)
    assert catalog.exchange_state("budget") == free
    assert catalog.exchange_state("symbols") == ExchangeState("symbols", "[]", None, T0 + 1)
    assert catalog.exchange_state("Budget") is None


def test_a_name_that_is_no_text_is_refused(catalog: SqlCatalog) -> None:
    with pytest.raises(StoreError, match="cannot hold"):
        catalog.save_exchange_state(ExchangeState("\udcff", "", None, T0))
    assert catalog.exchange_state("budget") is None

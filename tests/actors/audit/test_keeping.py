"""What an audit reads of the catalog, and what it leaves there, on a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.keeping import dataset_of, read_book
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Gap, Job
from data_manager.storage.records import Symbol
from tests.storage.examples import BTC, FixedClock


class Interrupted(SqlCatalog):
    """A catalog in which a job is made while somebody reads jobs."""

    made: Job | None = None

    def jobs(self, **query: Any) -> tuple[list[Job], int]:
        read = super().jobs(**query)
        if self.made is not None:
            self.save_job(self.made)
            self.made = None
        return read


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Interrupted]:
    opened = Interrupted(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=FixedClock())
    yield opened
    opened.close()


def job(job_id: str, start: int, end: int, **fields: Any) -> Job:
    told = {"symbol": BTC, "data_type": "candles", "timeframe": "1d", "status": "pending", "created_ms": 1, **fields}
    return Job(job_id=job_id, start_ms=start, end_ms=end, **told)


def gap(gap_id: str, status: str, **fields: Any) -> Gap:
    told = {"dataset_id": "trades_BTCUSDT", "symbol": BTC, "data_type": "trades", "timeframe": None, **fields}
    times = {"start_ms": 5, "end_ms": 9, "first_seen_ms": 1, "last_seen_ms": 1}
    return Gap(gap_id=gap_id, status=status, cause=None, evidence=None, **times, **told)


def test_a_book_holds_the_symbols_gaps_and_jobs_by_dataset(catalog: Interrupted) -> None:
    statuses = ("open", "backfilling", "closed", "unfillable", "exchange_empty")
    catalog.save_gaps([gap(status, status) for status in statuses])
    catalog.save_gaps([gap("other", "open", symbol="ETHUSDT", dataset_id="trades_ETHUSDT")])
    for made in (
        job("a", 10, 20),
        job("b", 15, 30, status="running"),
        job("c", 0, 99, status="completed"),
        job("d", 3, 4, data_type="trades", timeframe=None),
        job("e", 0, 99, symbol="ETHUSDT"),
    ):
        catalog.save_job(made)
    book = read_book(BTC, catalog)
    assert [each.gap_id for each in book.lasting["trades_BTCUSDT"]] == ["backfilling", "open"]
    assert {each.gap_id for each in book.settled["trades_BTCUSDT"]} == {"unfillable", "exchange_empty"}
    assert book.covered == {"candles_BTCUSDT_1d": [Range(10, 30)], "trades_BTCUSDT": [Range(3, 4)]}
    assert book.begins == {}


def test_a_bootstrap_tells_where_its_series_begins_whatever_became_of_it(catalog: Interrupted) -> None:
    catalog.save_job(job("a", 10, 20, reason="bootstrap", status="completed"))
    catalog.save_job(job("b", 5, 20, reason="bootstrap", status="failed"))
    catalog.save_job(job("c", 1, 20, reason="gap", status="completed"))
    assert read_book(BTC, catalog).begins == {"candles_BTCUSDT_1d": 5}


def test_a_job_that_is_made_while_jobs_are_read_never_begins_a_series_without_covering_it(catalog: Interrupted) -> None:
    catalog.made = job("a", 10, 20, reason="bootstrap")
    book = read_book(BTC, catalog)
    assert (book.begins, book.covered) == ({}, {"candles_BTCUSDT_1d": [Range(10, 20)]})


def test_jobs_name_their_dataset_as_the_catalog_does() -> None:
    assert dataset_of(job("a", 0, 1, timeframe="4h")) == "candles_BTCUSDT_4h"
    assert dataset_of(job("a", 0, 1, data_type="trades", timeframe=None)) == "trades_BTCUSDT"
    assert dataset_of(job("a", 0, 1, data_type="funding", timeframe=None)) == "funding_rates_BTCUSDT"


def test_of_a_symbol_that_nothing_is_known_of_the_book_is_empty(catalog: Interrupted) -> None:
    assert read_book(Symbol("NEWUSDT"), catalog) == ({}, {}, {}, {})

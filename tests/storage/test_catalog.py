"""Contract of every catalog, on each database. One more joins by its id in `CATALOGS`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert
from sqlalchemy.dialects import sqlite

from data_manager.storage import catalog_tables as tables
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.catalog_rows import TEXT_BYTES, cut
from data_manager.storage.catalog_tables import EpochMs
from data_manager.storage.protocols import Expiring
from data_manager.system.errors import StoreError
from tests.storage.catalogs import CATALOGS, dataset, empty_database, incident, job, lineage
from tests.storage.examples import T0, FixedClock


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(url, clock=FixedClock())
    yield catalog
    catalog.close()


# incidents


def test_an_incident_comes_back_as_it_was_saved(catalog: SqlCatalog) -> None:
    saved = incident("a", T0 + 123, T0 + 456, detail="Zeile 1\nZeile 2: 币安")
    catalog.save_incident(saved)
    assert catalog.incidents() == [saved]


def test_saving_it_again_updates_it(catalog: SqlCatalog) -> None:
    catalog.save_incident(incident("a"))
    catalog.save_incident(incident("a", ended_ms=T0 + 9, cause="signal 11"))
    assert catalog.incidents() == [incident("a", ended_ms=T0 + 9, cause="signal 11")]


def test_the_newest_come_first_and_only_as_many_as_asked(catalog: SqlCatalog) -> None:
    for name, started in (("b", T0 + 2), ("c", T0 + 3), ("a", T0 + 1), ("d", T0 + 2)):
        catalog.save_incident(incident(name, started))
    assert [each.incident_id for each in catalog.incidents()] == ["c", "b", "d", "a"]
    assert [each.incident_id for each in catalog.incidents(limit=2)] == ["c", "b"]


def test_open_ones_can_be_asked_for(catalog: SqlCatalog) -> None:
    catalog.save_incident(incident("over", ended_ms=T0 + 5))
    catalog.save_incident(incident("open"))
    assert [each.incident_id for each in catalog.incidents(open_only=True)] == ["open"]


def test_incidents_survive_reopening(url: str, catalog: SqlCatalog) -> None:
    catalog.save_incident(incident("a"))
    catalog.close()
    catalog.close()
    again = SqlCatalog(url, clock=FixedClock())
    assert again.incidents() == [incident("a")]
    again.close()


def test_catalogs_that_start_and_save_at_once_keep_everything(url: str) -> None:
    """As http and the supervisor do: all make the tables, all save the same incident."""
    catalogs = [SqlCatalog(url, clock=FixedClock()) for _ in range(4)]
    problems: list[StoreError] = []
    barrier = threading.Barrier(len(catalogs))

    def work(catalog: SqlCatalog, number: int) -> None:
        try:
            barrier.wait(10)
            for n in range(10):
                catalog.save_incident(incident(f"shared {n}", T0 + n))
                catalog.save_incident(incident(f"{number}-{n}", T0 + n))
        except StoreError as error:  # a thread would swallow it
            problems.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(catalogs, range(4), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert len(catalogs[0].incidents(limit=1000)) == 10 + 40
    for catalog in catalogs:
        catalog.close()


# datasets


def test_a_dataset_keeps_the_time_it_was_created(catalog: SqlCatalog) -> None:
    first = dataset("trades_BTCUSDT")
    assert catalog.save_datasets([first, dataset("depth_BTCUSDT")]) == 2
    later = dataset("trades_BTCUSDT", owner="someone", created_ms=T0 + 5, updated_ms=T0 + 5)
    assert catalog.save_datasets([later, dataset("tickers_BTCUSDT")]) == 1
    assert catalog.dataset("trades_BTCUSDT") == msgspec.structs.replace(later, created_ms=T0)
    assert catalog.dataset("trades_btcusdt") is None
    assert catalog.save_datasets([]) == 0


def test_datasets_are_listed_by_page_with_their_total(catalog: SqlCatalog) -> None:
    """More than one statement takes."""
    every = [dataset(f"d{number:04}") for number in range(1001)]
    assert catalog.save_datasets(every) == 1001
    assert catalog.datasets(limit=2, offset=3) == (every[3:5], 1001)
    assert catalog.datasets(limit=2, offset=1, descending=True) == ([every[999], every[998]], 1001)
    assert catalog.datasets(offset=2000) == ([], 1001)


def test_datasets_are_found_by_category_owner_and_words(catalog: SqlCatalog) -> None:
    catalog.save_datasets(
        [
            dataset("candles_BTCUSDT_1h", owner="us", description="100% of bars"),
            dataset("candles_ETHUSDT_1h", owner="them", name="Hourly_bars"),
            dataset("news", category="text", owner="them", description="1000 lines"),
        ]
    )

    def found(**asked: str) -> list[str]:
        page, total = catalog.datasets(**asked)  # type: ignore[arg-type]
        assert total == len(page)
        return [each.dataset_id for each in page]

    assert found(category="text") == ["news"]
    assert found(owner="them") == ["candles_ETHUSDT_1h", "news"]
    assert found(owner="Them") == []
    assert found(search="btcusdt_") == ["candles_BTCUSDT_1h"]
    assert found(search="100%") == ["candles_BTCUSDT_1h"]
    assert found(search="hourly_BARS") == ["candles_ETHUSDT_1h"]
    assert found(search="1000", owner="them") == ["news"]
    assert found(search="/") == []


# lineage


def test_lineage_is_listed_newest_first_and_repetition_changes_nothing(catalog: SqlCatalog) -> None:
    records = [lineage("b", T0), lineage("a", T0), lineage("c", T0 + 1, source_dataset_id=None, input_records=None)]
    catalog.save_lineage([*records, lineage("other", dataset_id="candles_ETHUSDT_1m")])
    catalog.save_lineage(records[:2])
    assert catalog.lineage("candles_BTCUSDT_1m") == [records[2], records[1], records[0]]
    assert catalog.lineage("candles_BTCUSDT_1m", limit=1) == [records[2]]
    catalog.save_lineage([lineage("c", T0 + 2, output_records=5)])
    assert catalog.lineage("candles_BTCUSDT_1m", limit=1) == [lineage("c", T0 + 2, output_records=5)]


# jobs


def test_a_job_is_found_by_its_id_as_it_was_saved_last(catalog: SqlCatalog) -> None:
    assert catalog.job("a") is None
    catalog.save_job(job("a"))
    catalog.save_job(job("b", timeframe=None, priority=9))
    running = job("a", status="running", progress=33.33, records_fetched=10, records_inserted=9, started_ms=T0 + 7)
    catalog.save_job(running)
    assert catalog.job("a") == running
    failed = msgspec.structs.replace(running, status="failed", error_message="it's over 🙂", completed_ms=T0 + 9)
    catalog.save_job(failed)
    assert (catalog.job("a"), catalog.job("b")) == (failed, job("b", timeframe=None, priority=9))


def test_whole_percentages_are_numbers_with_a_fraction(catalog: SqlCatalog) -> None:
    """They are in the API's bodies, where 50 and 50.0 are two texts."""
    catalog.save_job(job("a", progress=50.0))
    found = catalog.job("a")
    assert found is not None
    assert type(found.progress) is float


# what is too long


def test_free_text_is_cut_where_its_column_ends(catalog: SqlCatalog) -> None:
    catalog.save_incident(incident("a", cause="ü" * 600, detail="币" * 30_000))
    (found,) = catalog.incidents()
    assert found.cause == "ü" * 499 + "…"
    assert found.detail == "币" * 21_844 + "…"
    catalog.save_datasets([dataset("a", description="x" * 501)])
    kept = catalog.dataset("a")
    assert kept is not None
    assert kept.description == "x" * 499 + "…"


@given(st.text(max_size=12), st.integers(1, 12))
@settings(derandomize=True, deadline=None)
def test_a_cut_text_fits_begins_as_it_did_and_says_so(text: str, length: int) -> None:
    short = cut(text, length)
    assert len(short) <= length
    assert short == text if len(text) <= length else (short[-1] == "…" and text.startswith(short[:-1]))


@pytest.mark.parametrize("character", ["a", "ü", "币", "🙂"])
def test_text_without_a_length_is_cut_between_characters(character: str) -> None:
    whole = character * (TEXT_BYTES // len(character.encode()))
    assert cut(whole, None) == whole
    short = cut(whole + character, None)
    assert TEXT_BYTES - 4 < len(short.encode()) <= TEXT_BYTES
    assert short.lstrip(character) == "…"


def test_text_that_is_no_unicode_is_refused_and_the_catalog_goes_on(catalog: SqlCatalog) -> None:
    with pytest.raises(StoreError, match="cannot hold"):
        catalog.save_job(job("\udcff"))
    catalog.save_job(job("a"))
    assert catalog.job("a") == job("a")


# what grows old


def add(url: str, table: str, *rows: dict[str, object]) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(tables.metadata.tables[table]), list(rows))
    engine.dispose()


def test_what_ended_is_forgotten_and_what_lasts_never(catalog: SqlCatalog) -> None:
    for name, ended in (("old", T0 - 1), ("at the limit", T0), ("open", None)):
        catalog.save_incident(incident(name, T0 - 9, ended))
    assert catalog.expire(Expiring.INCIDENTS, T0) == 1
    assert {each.incident_id for each in catalog.incidents()} == {"at the limit", "open"}
    assert catalog.expire(Expiring.INCIDENTS, T0) == 0


def test_jobs_count_from_their_end(catalog: SqlCatalog) -> None:
    kept = [
        job("pending", created_ms=T0 - 9),
        job("running", status="running", created_ms=T0 - 9),
        job("late", status="completed", created_ms=T0 - 9, completed_ms=T0),
        job("no end", status="failed", created_ms=T0),
    ]
    gone = [
        job("early", status="completed", created_ms=T0 - 9, completed_ms=T0 - 1),
        job("no end either", status="failed", created_ms=T0 - 1),
    ]
    for each in (*kept, *gone):
        catalog.save_job(each)
    assert catalog.expire(Expiring.BACKFILL_JOBS, T0) == 2
    assert [catalog.job(each.job_id) for each in (*kept, *gone)] == [*kept, None, None]


def test_the_oldest_go_first_and_only_as_many_as_asked(catalog: SqlCatalog) -> None:
    for name, ended in (("a", T0 - 1), ("b", T0 - 3), ("c", T0 - 2), ("d", T0 - 4)):
        catalog.save_incident(incident(name, T0 - 9, ended))
    assert catalog.expire(Expiring.INCIDENTS, T0, limit=2) == 2
    assert [each.incident_id for each in catalog.incidents()] == ["a", "c"]


def test_more_go_than_one_statement_takes(catalog: SqlCatalog) -> None:
    catalog.save_lineage([lineage(f"{number:04}", T0 - number) for number in range(1, 1201)])
    assert catalog.expire(Expiring.LINEAGE, T0, limit=1190) == 1190
    assert [each.at_ms for each in catalog.lineage("candles_BTCUSDT_1m")] == [T0 - number for number in range(1, 11)]


GAP = {
    "dataset_id": "d",
    "symbol": "BTCUSDT",
    "data_type": "candles",
    "start_time": T0,
    "end_time": T0,
    "first_seen": T0 - 9,
}
AGEING: dict[Expiring, tuple[str, list[dict[str, object]], int]] = {  # table, rows, how many of them are old
    Expiring.AUDIT_LOGS: (
        "audit_logs",
        [
            {"audit_id": f"{at}", "dataset_id": "d", "symbol": "BTCUSDT", "audit_type": "gap", "timestamp": at}
            for at in (T0 - 1, T0)
        ],
        1,
    ),
    Expiring.HEALTH_METRICS: (
        "health_metrics",
        [{"metric_id": f"{at}", "dataset_id": "d", "symbol": "BTCUSDT", "timestamp": at} for at in (T0 - 1, T0)],
        1,
    ),
    Expiring.CONFLICTS: (
        "data_manager_conflicts",
        [
            {
                "conflict_id": f"{at}",
                "dataset_id": "d",
                "symbol": "BTCUSDT",
                "row_key": "1",
                "stored_row": "",
                "offered_row": "",
                "source": "rest",
                "timestamp": at,
            }
            for at in (T0 - 1, T0)
        ],
        1,
    ),
    Expiring.GAPS: (
        "data_manager_gaps",
        [
            {"gap_id": f"{status} {seen} {closed}", "status": status, "last_seen": seen, "closed_at": closed, **GAP}
            for status in ("open", "backfilling", "closed", "unfillable", "exchange_empty")
            for seen, closed in ((T0 - 1, None), (T0, None), (T0 - 9, T0), (T0, T0 - 1))
        ],
        2 * 2,  # those that are closed or unfillable
    ),
}


@pytest.mark.parametrize("table", AGEING)
def test_rows_nobody_here_writes_grow_old_too(url: str, catalog: SqlCatalog, table: Expiring) -> None:
    catalog.check()
    name, rows, old = AGEING[table]
    add(url, name, *rows)
    assert [catalog.expire(table, T0), catalog.expire(table, T0)] == [old, 0]


# all of it


def test_its_size_is_known_and_grows(catalog: SqlCatalog) -> None:
    before = catalog.data_bytes()
    assert before > 0
    for number in range(8):
        catalog.save_incident(incident(f"{number}", detail="x" * 60_000))
    assert catalog.data_bytes() >= before


def test_checking_changes_nothing(catalog: SqlCatalog) -> None:
    catalog.save_incident(incident("a", detail="what happened"))
    catalog.check()
    assert catalog.incidents() == [incident("a", detail="what happened")]


@given(st.integers(0, 4_102_444_800_000))
@settings(derandomize=True, deadline=None)
def test_times_are_exact_to_the_millisecond(ms: int) -> None:
    column, dialect = EpochMs(), sqlite.dialect()
    bound = column.process_bind_param(ms, dialect)
    assert column.process_result_value(bound, dialect) == ms

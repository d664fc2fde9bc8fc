"""Contract of every catalog: incidents, exact times, errors. A database joins by adding its URL to `url`."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, inspect
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from data_manager.storage import catalog as catalog_module
from data_manager.storage import catalog_tables
from data_manager.storage.catalog import INCIDENT_DAYS, SqlCatalog, catalog_url
from data_manager.storage.catalog_tables import EpochMs
from data_manager.storage.protocols import Incident
from data_manager.system.errors import StoreCorrupt, StoreError, StoreUnavailable
from tests.storage.examples import T0, FixedClock

DAY_MS = 86_400_000


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return {"sqlite": catalog_url(tmp_path)}[request.param]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def catalog(url: str, clock: FixedClock) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(url, clock=clock)
    yield catalog
    catalog.close()


def incident(name: str, started_ms: int = T0 + 1, ended_ms: int | None = None, **fields: str) -> Incident:
    values = {"kind": "actor_down", "subject": "ingest/BTCUSDT", "cause": "signal 9", **fields}
    return Incident(name, started_ms=started_ms, ended_ms=ended_ms, **values)


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


def test_incidents_that_ended_long_ago_are_forgotten_and_open_ones_never(
    catalog: SqlCatalog, clock: FixedClock
) -> None:
    catalog.save_incident(incident("over", T0, T0 + 1))
    catalog.save_incident(incident("open", T0))
    clock.ms = T0 + INCIDENT_DAYS * DAY_MS
    catalog.save_incident(incident("at the limit", clock.ms))
    assert [each.incident_id for each in catalog.incidents()] == ["at the limit", "open", "over"]
    clock.ms += 1
    catalog.save_incident(incident("later", clock.ms))
    assert [each.incident_id for each in catalog.incidents()] == ["later", "at the limit", "open"]


def test_incidents_survive_reopening(url: str, catalog: SqlCatalog) -> None:
    catalog.save_incident(incident("a"))
    catalog.close()
    catalog.close()
    again = SqlCatalog(url, clock=FixedClock())
    assert again.incidents() == [incident("a")]
    again.close()


def test_two_catalogs_that_start_and_save_at_once_keep_everything(url: str) -> None:
    """As http and the supervisor do: both make the tables, both save the same incident."""
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


def test_the_table_has_its_index_and_the_file_is_a_wal(url: str, catalog: SqlCatalog, tmp_path: Path) -> None:
    catalog.check()
    engine = create_engine(url)
    assert inspect(engine).get_table_names() == ["data_manager_incidents"]
    (index,) = inspect(engine).get_indexes("data_manager_incidents")
    assert index["column_names"] == ["started_at"]
    engine.dispose()
    connection = sqlite3.connect(tmp_path / "catalog.sqlite3")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_mysql_gets_microseconds_and_its_own_types() -> None:
    ddl = str(CreateTable(catalog_tables.incidents).compile(dialect=mysql.dialect()))
    assert "started_at DATETIME(6) NOT NULL" in ddl
    assert "ended_at DATETIME(6)" in ddl
    assert "incident_id VARCHAR(64) NOT NULL" in ddl
    assert "detail TEXT NOT NULL" in ddl
    (index,) = catalog_tables.incidents.indexes
    assert "(started_at)" in str(CreateIndex(index).compile(dialect=mysql.dialect()))


@given(st.integers(0, 4_102_444_800_000))
@settings(derandomize=True, deadline=None)
def test_times_are_exact_to_the_millisecond(ms: int) -> None:
    column, dialect = EpochMs(), sqlite.dialect()
    bound = column.process_bind_param(ms, dialect)
    assert column.process_result_value(bound, dialect) == ms


def test_a_locked_catalog_is_unavailable_and_well_again_afterwards(
    catalog: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "BUSY_S", 0)
    catalog.check()
    other = sqlite3.connect(tmp_path / "catalog.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"catalog\.sqlite3"):
        catalog.check()
    with pytest.raises(StoreUnavailable):
        catalog.save_incident(incident("a"))
    assert catalog.incidents() == []
    other.close()
    catalog.check()


def test_a_catalog_that_is_no_database_is_damaged(url: str, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite3").write_bytes(b"something else, not a database at all " * 100)
    catalog = SqlCatalog(url, clock=FixedClock())
    with pytest.raises(StoreCorrupt, match="damaged"):
        catalog.incidents()
    catalog.close()


def test_a_catalog_in_no_folder_is_unavailable_until_the_folder_is_there(tmp_path: Path) -> None:
    catalog = SqlCatalog(catalog_url(tmp_path / "none"), clock=FixedClock())
    with pytest.raises(StoreUnavailable):
        catalog.check()
    (tmp_path / "none").mkdir()
    catalog.check()
    catalog.close()


def test_a_database_server_that_is_away_is_unavailable_and_its_password_untold() -> None:
    catalog = SqlCatalog("mysql+pymysql://user:geheim@127.0.0.1:1/db", clock=FixedClock())
    with pytest.raises(StoreUnavailable) as away:
        catalog.check()
    assert "geheim" not in str(away.value)
    catalog.close()

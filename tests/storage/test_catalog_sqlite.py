"""The catalog as a file: what may be wrong with it, and how it is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import catalog_url
from data_manager.system.errors import StoreCorrupt, StoreUnavailable
from data_manager.system.settings import Settings
from tests.storage.catalogs import incident
from tests.storage.examples import FixedClock


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(catalog_url(Settings(data_dir=tmp_path)), clock=FixedClock(), timeout_s=0.1)
    yield catalog
    catalog.close()


def test_nothing_is_made_before_the_first_call(catalog: SqlCatalog, tmp_path: Path) -> None:
    assert list(tmp_path.iterdir()) == []
    catalog.check()
    assert (tmp_path / "catalog.sqlite3").exists()


def test_the_file_is_a_wal(catalog: SqlCatalog, tmp_path: Path) -> None:
    catalog.check()
    connection = sqlite3.connect(tmp_path / "catalog.sqlite3")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_locked_catalog_is_unavailable_and_well_again_afterwards(catalog: SqlCatalog, tmp_path: Path) -> None:
    catalog.check()
    other = sqlite3.connect(tmp_path / "catalog.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"catalog\.sqlite3"):
        catalog.save_incident(incident("a"))
    with pytest.raises(StoreUnavailable):
        catalog.check()
    other.execute("ROLLBACK")
    other.close()
    assert catalog.incidents() == []
    catalog.check()


def test_a_catalog_that_is_no_database_is_damaged(catalog: SqlCatalog, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite3").write_bytes(b"something else, not a database at all " * 100)
    with pytest.raises(StoreCorrupt, match="damaged"):
        catalog.incidents()


def test_a_catalog_in_no_folder_is_unavailable_until_the_folder_is_there(tmp_path: Path) -> None:
    catalog = SqlCatalog(catalog_url(Settings(data_dir=tmp_path / "none")), clock=FixedClock())
    with pytest.raises(StoreUnavailable):
        catalog.check()
    (tmp_path / "none").mkdir()
    catalog.check()
    catalog.close()


def test_its_size_is_the_files(catalog: SqlCatalog, tmp_path: Path) -> None:
    catalog.check()
    catalog.close()  # moves the log into the file
    assert catalog.data_bytes() == (tmp_path / "catalog.sqlite3").stat().st_size

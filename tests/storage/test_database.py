"""Transactions that are tried again, and those that are not."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from data_manager.storage.database import TRIES, Database
from data_manager.system.errors import StoreError, StoreFull, StoreUnavailable


class Impatient(random.Random):
    """Makes no pause, and remembers how many there were."""

    def __init__(self) -> None:
        super().__init__(1)
        self.pauses = 0

    def uniform(self, a: float, b: float) -> float:
        assert 0 < a < b <= 1
        self.pauses += 1
        return 0.0


@pytest.fixture
def rng() -> Impatient:
    return Impatient()


@pytest.fixture
def database(tmp_path: Path, rng: Impatient) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/file.sqlite3", rng=rng)
    database.run(lambda connection: connection.execute(text("CREATE TABLE t (a INTEGER)")))
    yield database
    database.close()


def busy(code: int = sqlite3.SQLITE_BUSY) -> OperationalError:
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorcode = code  # type: ignore[misc]
    return OperationalError("INSERT", None, cause)


def rows(database: Database) -> int:
    return database.run(lambda connection: connection.scalar(text("SELECT count(*) FROM t"))) or 0


class Failing:
    """Inserts a row and fails, so many times; then inserts one."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left, self.error, self.calls = times, error, 0

    def __call__(self, connection: Connection) -> str:
        self.calls += 1
        connection.execute(text("INSERT INTO t VALUES (1)"))
        if self.calls <= self.left:
            raise self.error
        return "done"


def test_what_may_pass_is_tried_again_after_a_pause_and_done_once(database: Database, rng: Impatient) -> None:
    work = Failing(TRIES - 1, busy())
    assert database.run(work) == "done"
    assert (work.calls, rng.pauses, rows(database)) == (TRIES, TRIES - 1, 1)


def test_what_does_not_pass_is_unavailable_after_the_last_try(database: Database) -> None:
    work = Failing(TRIES, busy())
    with pytest.raises(StoreUnavailable, match="another process is writing"):
        database.run(work)
    assert (work.calls, rows(database)) == (TRIES, 0)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (busy(sqlite3.SQLITE_FULL), StoreFull),
        (StoreUnavailable("said already"), StoreUnavailable),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), StoreError),
        (OverflowError("int too large"), StoreError),
    ],
)
def test_what_waiting_does_not_mend_is_tried_once_and_undone(
    database: Database, error: Exception, raised: type[StoreError]
) -> None:
    work = Failing(1, error)
    with pytest.raises(StoreError) as found:
        database.run(work)
    assert type(found.value) is raised
    assert (work.calls, rows(database)) == (1, 0)


def test_a_fault_of_our_own_passes_as_it_is(database: Database) -> None:
    with pytest.raises(KeyError):
        database.run(Failing(1, KeyError("a")))
    assert rows(database) == 0


def test_maintenance_has_connections_of_its_own_and_is_tried_again_too(database: Database) -> None:
    engines: list[Engine] = []

    def work(engine: Engine) -> int:
        engines.append(engine)
        with engine.begin() as connection:
            found = connection.scalar(text("SELECT count(*) FROM t"))
        if len(engines) == 1:
            raise busy()
        return int(found or 0)

    assert database.maintain(work) == 0
    assert [engine.pool.checkedin() for engine in engines] == [0, 0]  # type: ignore[attr-defined]


def test_a_read_only_database_refuses_to_be_changed(tmp_path: Path, database: Database) -> None:
    reader = Database(f"sqlite:///{tmp_path}/file.sqlite3", read_only=True)
    assert rows(reader) == 0
    with pytest.raises(StoreError):
        reader.run(Failing(0, busy()))
    assert rows(reader) == 0
    reader.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("mysql+pymysql://user:geheim@db.example/petrosa", "mysql://db.example:3306/petrosa"),
        ("mysql+pymysql://user:geheim@db.example:3307/petrosa?charset=latin1", "mysql://db.example:3307/petrosa"),
        ("sqlite:////var/lib/catalog.sqlite3", "/var/lib/catalog.sqlite3"),
    ],
)
def test_its_place_shows_no_user_and_no_password(url: str, place: str) -> None:
    database = Database(url)
    assert database.place == place
    database.close()

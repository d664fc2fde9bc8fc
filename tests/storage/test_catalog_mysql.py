"""The catalog on a MariaDB that times out, restarts, refuses and locks: nothing is lost, nothing doubled."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import msgspec
import pymysql
import pytest
from sqlalchemy import Engine, ExceptionContext, event

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Expiring, GapStatus, Job
from data_manager.system.errors import StoreError, StoreUnavailable
from tests.eventually import eventually_sync
from tests.servers.databases import PASSWORD, USER, MariaDbServer, free_port
from tests.storage.catalogs import dataset, driven, gap, incident, job
from tests.storage.examples import T0, FixedClock

Open = Callable[..., SqlCatalog]
Rows = tuple[tuple[object, ...], ...]

_numbers = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDbServer]:
    """One that these tests may stop, each leaving it as it was."""
    with MariaDbServer(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def url(server: MariaDbServer) -> Iterator[str]:
    name = f"catalog_{next(_numbers)}"
    yield driven(server.make_database(name))
    ask(server, f"DROP DATABASE {name}")


@pytest.fixture
def open_catalog(url: str) -> Iterator[Open]:
    opened: list[SqlCatalog] = []

    def open_catalog(at: str = url, timeout_s: float = 5) -> SqlCatalog:
        opened.append(SqlCatalog(at, clock=FixedClock(), timeout_s=timeout_s))
        return opened[-1]

    yield open_catalog
    for catalog in opened:
        catalog.close()


@pytest.fixture
def codes() -> Iterator[list[int]]:
    """The codes of all errors that the server or the driver raises meanwhile, in their order."""
    seen: list[int] = []

    def note(context: ExceptionContext) -> None:
        seen.append(context.original_exception.args[0])

    event.listen(Engine, "handle_error", note)
    yield seen
    event.remove(Engine, "handle_error", note)


@pytest.fixture
def other(server: MariaDbServer, open_catalog: Open, url: str) -> Iterator[pymysql.cursors.Cursor]:
    """Another client's transaction, in a database that has the catalog's tables."""
    open_catalog().check()
    with server.connect(database_of(url)) as connection, connection.cursor() as cursor:
        connection.begin()
        yield cursor


def ask(server: MariaDbServer, statement: str) -> Rows:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def database_of(url: str) -> str:
    return url.rpartition("/")[2]


def jobs_in(server: MariaDbServer, url: str) -> Rows:
    return ask(server, f"SELECT job_id, status, records_inserted FROM {database_of(url)}.backfill_jobs")


def running(inserted: int) -> Job:
    return job("a", status="running", records_inserted=inserted)


# the connection


def test_a_connection_that_idled_too_long_is_replaced(server: MariaDbServer, url: str, open_catalog: Open) -> None:
    ask(server, "SET GLOBAL wait_timeout = 1")
    catalog = open_catalog()
    catalog.save_job(running(10))
    ask(server, "SET GLOBAL wait_timeout = 28800")
    of_ours = f"SELECT id FROM information_schema.processlist WHERE db = '{database_of(url)}'"
    eventually_sync(lambda: ask(server, of_ours) == ())
    catalog.save_job(running(20))
    assert catalog.job("a") == running(20)
    assert jobs_in(server, url) == (("a", "running", 20),)


@pytest.mark.parametrize("end", [MariaDbServer.stop, MariaDbServer.kill])
def test_after_a_restart_of_the_server_the_next_write_succeeds(
    server: MariaDbServer, url: str, open_catalog: Open, end: Callable[[MariaDbServer], None]
) -> None:
    catalog = open_catalog()
    catalog.save_job(running(10))
    end(server)
    server.start()
    catalog.save_job(running(20))
    assert catalog.job("a") == running(20)
    assert jobs_in(server, url) == (("a", "running", 20),)


def test_while_the_server_is_down_calls_say_so_and_the_same_catalog_recovers(
    server: MariaDbServer, open_catalog: Open, codes: list[int]
) -> None:
    catalog, new = open_catalog(), open_catalog()
    catalog.save_job(running(10))
    server.stop()
    for each in (catalog, new):
        codes.clear()
        with pytest.raises(StoreUnavailable, match="cannot be reached") as down:
            each.save_job(running(20))
        assert PASSWORD not in str(down.value)
        assert codes[-1] == 2003
    server.start()
    assert catalog.job("a") == running(10)
    assert new.job("a") == running(10)


@pytest.fixture
def lost_answers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The answers of as many commits get lost as the first item says."""
    left = [0]
    commit = pymysql.connections.Connection.commit

    def commit_and_lose_the_answer(connection: pymysql.connections.Connection) -> None:
        commit(connection)
        if left[0]:
            left[0] -= 1
            raise pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")

    monkeypatch.setattr(pymysql.connections.Connection, "commit", commit_and_lose_the_answer)
    return left


def test_a_commit_whose_answer_is_lost_does_no_harm(
    server: MariaDbServer, url: str, open_catalog: Open, lost_answers: list[int], codes: list[int]
) -> None:
    catalog = open_catalog()
    catalog.check()
    codes.clear()
    lost_answers[0] = 2
    catalog.save_job(running(10))
    assert codes == [2013, 2013]
    assert jobs_in(server, url) == (("a", "running", 10),)


def test_who_has_moved_a_gap_learns_it_though_the_answer_was_lost(open_catalog: Open, lost_answers: list[int]) -> None:
    catalog = open_catalog()
    catalog.save_gaps([gap("a"), gap("b", status="backfilling", job_id="j")])
    take = partial(catalog.move_gap, to=GapStatus.BACKFILLING, only_from=[GapStatus.OPEN], at_ms=T0)
    lost_answers[0] = 2
    assert take("a", job_id="j")
    assert lost_answers[0] == 0
    for gap_id, job_id in (("a", "j"), ("a", "k"), ("b", "k"), ("c", "j")):
        lost_answers[0] = 1 if job_id == "k" else 0
        assert not take(gap_id, job_id=job_id), (gap_id, job_id)
    assert catalog.gap("a") == gap("a", status="backfilling", job_id="j")


def test_a_database_that_was_made_anew_gets_its_tables_again(
    server: MariaDbServer, url: str, open_catalog: Open
) -> None:
    catalog = open_catalog()
    catalog.save_job(running(10))
    ask(server, f"DROP DATABASE {database_of(url)}")
    with pytest.raises(StoreError):
        catalog.job("a")
    ask(server, f"CREATE DATABASE {database_of(url)}")
    assert catalog.job("a") is None
    catalog.save_job(running(20))
    assert catalog.job("a") == running(20)


# others


def test_a_deadlock_is_tried_again(
    open_catalog: Open, server: MariaDbServer, other: pymysql.cursors.Cursor, codes: list[int]
) -> None:
    catalog = open_catalog()
    catalog.save_datasets([dataset(name) for name in "abcdefgh"])
    other.execute("UPDATE datasets SET owner = 'other' WHERE dataset_id > 'a'")  # more work: the other one survives
    saving = threading.Thread(target=catalog.save_datasets, args=([dataset(name, owner="us") for name in "ba"],))
    saving.start()
    waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    eventually_sync(lambda: ask(server, waiting) != ())
    other.execute("UPDATE datasets SET owner = 'other' WHERE dataset_id = 'a'")
    other.connection.commit()
    saving.join(20)
    assert codes == [1213]
    assert [each.owner for each in catalog.datasets(limit=3)[0]] == ["us", "us", "other"]


def test_a_row_that_is_locked_too_long_is_tried_again(
    open_catalog: Open, other: pymysql.cursors.Cursor, codes: list[int]
) -> None:
    catalog = open_catalog(timeout_s=3)  # one second for a lock
    catalog.save_job(running(10))
    other.execute("UPDATE backfill_jobs SET status = 'failed'")
    saving = threading.Thread(target=catalog.save_job, args=(running(20),))
    saving.start()
    eventually_sync(lambda: codes == [1205])
    other.connection.rollback()
    saving.join(20)
    assert codes == [1205]
    assert catalog.job("a") == running(20)


def test_a_row_that_stays_locked_is_unavailable(open_catalog: Open, other: pymysql.cursors.Cursor) -> None:
    catalog = open_catalog(timeout_s=2.5)
    catalog.save_job(running(10))
    other.execute("UPDATE backfill_jobs SET status = 'failed'")
    with pytest.raises(StoreUnavailable, match="holds its rows"):
        catalog.save_job(running(20))
    other.connection.rollback()
    assert catalog.job("a") == running(10)


def save_many(url: str, first: int, ready: threading.Barrier) -> None:
    """What each of two processes does: the same job, with figures of its own."""
    catalog = SqlCatalog(url, clock=FixedClock())
    ready.wait(30)
    for inserted in range(first, first + 20):
        catalog.save_job(running(inserted))
        catalog.save_datasets([dataset(name, owner=str(inserted)) for name in "abc"])
    catalog.close()


def test_two_processes_save_the_same_job(server: MariaDbServer, url: str, open_catalog: Open) -> None:
    spawning = multiprocessing.get_context("spawn")
    ready = spawning.Barrier(2)
    processes = [spawning.Process(target=save_many, args=(url, first, ready)) for first in (100, 200)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    ((_, _, inserted),) = jobs_in(server, url)
    assert inserted in (119, 219)
    found, total = open_catalog().datasets()
    assert (len({each.owner for each in found}), total) == (1, 3)


# rights


@pytest.fixture
def clerk(server: MariaDbServer, url: str) -> Iterator[str]:
    """The same database for a user who has no rights yet."""
    ask(server, "CREATE USER clerk@'127.0.0.1' IDENTIFIED BY 'geheim'")
    yield url.replace(f"{USER}:{PASSWORD.replace(' ', '%20')}", "clerk:geheim")
    ask(server, "DROP USER clerk@'127.0.0.1'")


def refused(catalog: SqlCatalog) -> str:
    with pytest.raises(StoreUnavailable) as error:
        catalog.save_incident(incident("a"))
    assert "geheim" not in str(error.value)
    assert PASSWORD not in str(error.value)
    return str(error.value)


def test_a_wrong_password_a_missing_database_and_missing_rights_are_told_apart(
    server: MariaDbServer, url: str, clerk: str, open_catalog: Open
) -> None:
    assert "correct the user or the password" in refused(open_catalog(clerk.replace("geheim", "geheimer")))
    assert "create that database" in refused(open_catalog(f"{url}_none"))
    without_rights = open_catalog(clerk)
    assert "grant the user SELECT" in refused(without_rights)
    open_catalog().check()
    ask(server, f"GRANT SELECT ON {database_of(url)}.* TO clerk@'127.0.0.1'")
    assert "grant the user that command" in refused(without_rights)
    assert without_rights.incidents() == []
    with pytest.raises(StoreUnavailable, match="UPDATE"):
        without_rights.check()


def test_a_read_only_server_is_read_and_not_written(
    server: MariaDbServer, url: str, clerk: str, open_catalog: Open
) -> None:
    open_catalog().save_incident(incident("a"))
    ask(server, f"GRANT ALL ON {database_of(url)}.* TO clerk@'127.0.0.1'")
    catalog = open_catalog(clerk)
    catalog.check()
    ask(server, "SET GLOBAL read_only = 1")
    try:
        with pytest.raises(StoreUnavailable, match="read-only"):
            catalog.check()
        assert catalog.incidents() == [incident("a")]
        assert catalog.job("a") is None
    finally:
        ask(server, "SET GLOBAL read_only = 0")
    catalog.check()


def test_a_server_that_is_nowhere_is_unavailable(open_catalog: Open) -> None:
    message = refused(open_catalog(f"mysql+pymysql://user:geheim@127.0.0.1:{free_port()}/db"))
    assert message.startswith("mysql://127.0.0.1:")


# rows


def test_a_key_that_is_too_long_is_refused_though_the_server_would_cut_it(
    server: MariaDbServer, open_catalog: Open
) -> None:
    ask(server, "SET GLOBAL sql_mode = ''")
    catalog = open_catalog()
    catalog.check()
    ask(server, "SET GLOBAL sql_mode = DEFAULT")
    with pytest.raises(StoreError, match="too long"):
        catalog.save_datasets([dataset("a"), dataset("x" * 65)])
    assert catalog.datasets() == ([], 0)


def test_nulls_and_blank_dates_of_the_originals_rows_are_read(
    server: MariaDbServer, url: str, open_catalog: Open
) -> None:
    catalog = open_catalog()
    catalog.check()
    with server.connect(database_of(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        blank = "'0000-00-00 00:00:00'"
        cursor.execute(
            "INSERT INTO backfill_jobs (job_id, symbol, data_type, start_time, end_time, status, created_at)"
            f" VALUES ('a', '', '', {blank}, {blank}, 'pending', {blank})"
        )
        cursor.execute(
            "INSERT INTO datasets (dataset_id, name, category, storage_type, created_at, updated_at)"
            f" VALUES ('a', 'n', 'c', 'mongodb', {blank}, {blank})"
        )
    empty = job("a", symbol="", data_type="", timeframe=None, start_ms=0, end_ms=0, created_ms=None)
    assert catalog.job("a") == empty
    bare = dataset("a", name="n", category="c", created_ms=0, updated_ms=0)
    bare = msgspec.structs.replace(bare, description="", schema_id="", owner="", update_frequency="")
    assert catalog.dataset("a") == bare
    assert catalog.expire(Expiring.BACKFILL_JOBS, T0) == 0


def test_only_our_own_tables_count_as_ours(server: MariaDbServer, url: str, open_catalog: Open) -> None:
    catalog = open_catalog()
    before = catalog.data_bytes()
    others = f"{database_of(url)}.klines_m1"
    ask(server, f"CREATE TABLE {others} (a LONGTEXT) AS SELECT repeat('x', 1000000) AS a")
    assert int(str(ask(server, "SELECT sum(data_length) FROM information_schema.tables")[0][0])) > 1_000_000
    assert 0 < catalog.data_bytes() == before

"""MySQL's and SQLite's errors by who must act."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, TimeoutError  # noqa: A004

from data_manager.storage.database_errors import is_passing, store_error
from data_manager.system.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable

PLACE = "mysql://db.example:3306/petrosa"


def raised(code: int, text: str = "the server's words", kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    return kind("INSERT INTO t VALUES (%s)", ("a row",), Exception(code, text))


def of_sqlite(code: int) -> OperationalError:
    cause = sqlite3.OperationalError("its words")
    cause.sqlite_errorcode = code  # type: ignore[misc]
    return OperationalError("INSERT", None, cause)


@pytest.mark.parametrize("code", [2003, 2006, 2013, 4031, 1205, 1213])
def test_what_may_pass_is_tried_again_and_unavailable(code: int) -> None:
    assert is_passing(raised(code))
    assert type(store_error(raised(code), PLACE)) is StoreUnavailable


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (1040, "too many connections"),
        (1044, "grant the user SELECT, INSERT"),
        (1045, "correct the user or the password"),
        (1049, "create that database"),
        (1053, "shutting down"),
        (1142, "grant the user that command"),
        (1290, "read-only"),
        (1836, "read-only"),
        (2059, "words"),
    ],
)
def test_what_the_operator_must_change_is_unavailable_and_not_tried_again(code: int, says: str) -> None:
    error = store_error(raised(code), PLACE)
    assert not is_passing(raised(code))
    assert type(error) is StoreUnavailable
    assert says in str(error)
    assert str(error).startswith(f"{PLACE} is not available")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1021, "Disk full (/tmp/#sql)"),
        (1114, "The table 'audit_logs' is full"),
        (1030, "Got error 28 from storage engine"),
        (1026, "Error writing file 'x' (errno: 28)"),
    ],
)
def test_a_full_disk_has_its_own_error(code: int, text: str) -> None:
    assert type(store_error(raised(code, text), PLACE)) is StoreFull


@pytest.mark.parametrize(("code", "kind"), [(1406, DBAPIError), (1048, IntegrityError), (1054, OperationalError)])
def test_what_no_waiting_mends_is_an_error_for_good(code: int, kind: type[DBAPIError]) -> None:
    error = store_error(raised(code, "Data too long for column 'job_id' at row 1", kind), PLACE)
    assert type(error) is StoreError
    assert str(error) == f"{PLACE} cannot do what was asked: {code}, Data too long for column 'job_id' at row 1"


def test_no_message_shows_rows() -> None:
    assert "a row" not in str(store_error(raised(1406), PLACE))


def test_no_connection_is_unavailable_whoever_says_so() -> None:
    assert type(store_error(TimeoutError("QueuePool limit"), PLACE)) is StoreUnavailable
    assert type(store_error(InterfaceError("SELECT", None, Exception(0, "")), PLACE)) is StoreUnavailable


def test_sqlite_has_its_own_codes() -> None:
    busy, damaged = of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), of_sqlite(sqlite3.SQLITE_CORRUPT)
    assert (is_passing(busy), is_passing(damaged)) == (True, False)
    assert type(store_error(busy, "catalog.sqlite3")) is StoreUnavailable
    assert type(store_error(damaged, "catalog.sqlite3")) is StoreCorrupt


def test_an_error_that_is_no_databases_is_never_tried_again() -> None:
    assert not is_passing(ValueError(1213))

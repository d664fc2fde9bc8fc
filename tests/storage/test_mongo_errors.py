"""Errors of server and driver become the project's, by who must act; none of them shows a password."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.mongo.errors import refusals, store_error
from data_manager.system.errors import StoreError, StoreFull, StoreUnavailable
from tests.servers.databases import free_port
from tests.storage.examples import BTC, FixedClock

PLACE = "mongodb://db:27017/market"


@pytest.mark.parametrize("error", [
    AutoReconnect("connection closed"),
    ServerSelectionTimeoutError("no servers"),
    NetworkTimeout("timed out"),
    NotPrimaryError("not primary"),
    WTimeoutError("waiting for replication timed out", 64),
    WriteConcernError("not enough data-bearing nodes", 100),
    OperationFailure("not primary", 10107),
    OperationFailure("operation exceeded time limit", 50),
    OperationFailure("not authorized on market to execute command", 13),
])  # fmt: skip
def test_what_may_pass_is_unavailable(error: PyMongoError) -> None:
    found = store_error(PLACE, error)
    assert type(found) is StoreUnavailable
    assert PLACE in str(found)


def test_a_user_without_rights_is_told_what_to_grant() -> None:
    assert "readWrite" in str(store_error(PLACE, OperationFailure("not authorized", 13)))


@pytest.mark.parametrize("error", [
    OperationFailure("no space left on device", 14031),
    OperationFailure("you are over your space quota, using 513 MB of 512 MB", 8000),
])  # fmt: skip
def test_a_full_disk_or_quota_has_its_own_error(error: PyMongoError) -> None:
    assert type(store_error(PLACE, error)) is StoreFull


@pytest.mark.parametrize("error", [
    OperationFailure("unknown operator: $foo", 2),
    OperationFailure("some other rule of the host", 8000),
    PyMongoError("what else there may be"),
])  # fmt: skip
def test_all_else_is_for_good(error: PyMongoError) -> None:
    assert type(store_error(PLACE, error)) is StoreError


def test_an_unusable_url_is_not_quoted() -> None:
    found = store_error(PLACE, ConfigurationError("bad option in mongodb://me:secret@db"))
    assert type(found) is StoreError
    assert "secret" not in str(found)


def written(*codes: int, concerns: tuple[str, ...] = ()) -> dict[str, Any]:
    errors = [{"index": index, "code": code, "errmsg": f"code {code}"} for index, code in enumerate(codes)]
    return {"writeErrors": errors, "writeConcernErrors": [{"code": 64, "errmsg": text} for text in concerns]}


def test_only_keys_that_exist_are_no_refusal() -> None:
    assert refusals(PLACE, written(11000, 121, 11000)) == {1: "code 121"}
    assert refusals(PLACE, written(11000, 11000)) == {}


@pytest.mark.parametrize(("codes", "expected"), [
    ((11000, 10107), StoreUnavailable), ((121, 13), StoreUnavailable), ((14031, 121), StoreFull),
])  # fmt: skip
def test_a_store_that_fails_within_a_bulk_refuses_no_row(codes: tuple[int, ...], expected: type[StoreError]) -> None:
    with pytest.raises(expected) as found:
        refusals(PLACE, written(*codes))
    assert type(found.value) is expected
    assert type(store_error(PLACE, BulkWriteError(written(*codes)))) is expected


def test_rows_that_are_not_confirmed_are_unavailable_not_stored() -> None:
    with pytest.raises(StoreUnavailable, match="not confirm"):
        refusals(PLACE, written(11000, concerns=("waiting for replication timed out",)))


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    store = MongoMarketStore(
        f"mongodb://me:secret@127.0.0.1:{free_port()}/market", "market", clock=FixedClock(), timeout_s=0.2
    )
    with pytest.raises(StoreUnavailable) as error:
        store.ledger(BTC)
    assert "127.0.0.1" in str(error.value)
    assert "secret" not in str(error.value)
    with pytest.raises(StoreUnavailable):
        store.check()
    store.close()

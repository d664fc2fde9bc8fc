"""The server's and the driver's errors as the project's: by who must act (system/errors.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from data_manager.storage.mongo.documents import ROW_ERRORS
from data_manager.system.errors import StoreError, StoreFull, StoreUnavailable

DUPLICATE_KEY = 11000
OVER_QUOTA = 8000  # Atlas' own; its text says which of its rules was broken
FULL = (14031, 12501)  # out of disk space, quota exceeded
DENIED = (13, 18)  # unauthorized, authentication failed
PASSING = {
    6: "the host cannot be reached",
    7: "the host cannot be found",
    50: "it took too long",
    64: "the write was not confirmed by enough members in time",
    89: "the network took too long",
    91: "the server is shutting down",
    100: "there are too few members for the write concern",
    189: "the primary has stepped down",
    202: "the network took too long",
    262: "it took too long",
    9001: "the connection was closed",
    10058: "there is no primary",
    10107: "the server cannot be written, since it is not the primary",
    11600: "the server is shutting down",
    11602: "the primary has stepped down",
    13435: "there is no primary",
    13436: "the server is recovering",
}


def failure(place: str, code: int | None, text: str) -> StoreError | None:
    """The error of a whole store for a server's code; None for what concerns one row or one request."""
    if code in FULL or (code == OVER_QUOTA and "quota" in text):
        return StoreFull(f"no space is left for {place} ({text}): free some, or shorten the retention")
    if code in DENIED:
        return StoreUnavailable(f"{place} denies access ({text}): grant its user the role readWrite on that database")
    if code in PASSING:
        return StoreUnavailable(f"{place} is not available: {PASSING[code]} ({text})")
    return None


def store_error(place: str, error: PyMongoError) -> StoreError:
    """The error to raise for one that the driver raised on the store at `place`."""
    if isinstance(error, BulkWriteError):
        return _of_bulk(place, error.details)
    if isinstance(error, InvalidURI | ConfigurationError):  # its text may quote the URL, and so the password
        return StoreError(f"{place} cannot be used ({type(error).__name__}): check MONGODB_URL and its options")
    if isinstance(error, WriteConcernError):
        return StoreUnavailable(f"{place} did not confirm the write with its write concern: {_first_line(error)}")
    if isinstance(error, ConnectionFailure):
        return StoreUnavailable(f"{place} is not available: {_first_line(error)}")
    if isinstance(error, OperationFailure):
        known = failure(place, error.code, _first_line(error))
        return known or StoreError(f"{place} cannot do what was asked: {_first_line(error)} (code {error.code})")
    return StoreError(f"{place} cannot do what was asked: {_first_line(error)}")


def refusals(place: str, details: Mapping[str, Any]) -> dict[int, str]:
    """What the server says against single rows, by their place in the bulk, without duplicate keys.

    Raises the StoreError of a bulk that failed as a whole.
    """
    refused: dict[int, str] = {}
    for error in details.get("writeErrors", ()):
        code, text = error["code"], str(error["errmsg"])
        if known := failure(place, code, text):
            raise known
        if code != DUPLICATE_KEY:
            refused[error["index"]] = text
    if not refused and details.get("writeConcernErrors"):
        raise _of_bulk(place, details)
    return refused


@contextmanager
def translating(place: str) -> Iterator[None]:
    """Raise the project's errors for the driver's."""
    try:
        yield
    except PyMongoError as error:
        raise store_error(place, error) from error
    except ROW_ERRORS as error:
        raise StoreError(f"{place} cannot be asked for that value: {error}") from error


def _of_bulk(place: str, details: Mapping[str, Any]) -> StoreError:
    concerns = details.get("writeConcernErrors", ())
    if concerns:
        return StoreUnavailable(f"{place} did not confirm the write with its write concern: {concerns[0]['errmsg']}")
    for error in details.get("writeErrors", ()):
        if known := failure(place, error["code"], str(error["errmsg"])):
            return known
    first = next(iter(details.get("writeErrors", ())), {"errmsg": "no reason is given"})
    return StoreError(f"{place} cannot do what was asked: {first['errmsg']}")


def _first_line(error: Exception) -> str:
    """Without the topology that the driver appends to what it says."""
    return str(error).partition(", Timeout:")[0].partition(", full error:")[0][:500]

"""What becomes of bulks of rows: refusals of single ones in the project's terms, and races that do not end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pymongo.errors import BulkWriteError

from data_manager.storage.mongo.documents import ROW_ERRORS, Row, require_encodable
from data_manager.storage.mongo.errors import refusals
from data_manager.storage.mongo.grouping import refusal
from data_manager.system.errors import RowRefused, StoreUnavailable

ATTEMPTS = 10  # at a compare-and-set that other processes keep winning


def refuse(place: str, error: BulkWriteError, rows: Sequence[Row]) -> None:
    """Raise for whatever a bulk of those rows failed on, except keys that exist."""
    refused = refusals(place, error.details)
    if refused:
        first = min(refused)
        raise RowRefused(rows[first].number, refusal(type(rows[first].record), refused[first])) from error


def refuse_unencodable(rows: Iterable[Row]) -> None:
    """Raise RowRefused for the first of the rows that no message can carry."""
    for row in rows:
        try:
            require_encodable(row.document)
        except ROW_ERRORS as error:
            raise RowRefused(row.number, refusal(type(row.record), str(error))) from error


def outrun(place: str, name: str) -> StoreUnavailable:
    """The error after ATTEMPTS."""
    return StoreUnavailable(f"other processes keep writing {name} in {place}: try again")

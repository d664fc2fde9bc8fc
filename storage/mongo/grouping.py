"""Records as rows, sorted by where and how they are written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from data_manager.storage.mongo.documents import DOCUMENTS, ROW_ERRORS, Row
from data_manager.storage.protocols import Event
from data_manager.storage.records import Candle, Record, Series, Symbol, series_of_row
from data_manager.system.errors import RowRefused, StoreError


class Group(NamedTuple):
    """What is written together: rows of one collection under one policy."""

    series: Series
    keep_first: bool


def grouped(symbol: Symbol, events: Sequence[Event]) -> dict[Group, list[Row]]:
    """The events' rows, each group in order. Raises RowRefused."""
    return _refusing(symbol, ((event.record, event.keep_first) for event in events))


def offered(symbol: Symbol, records: Sequence[Record]) -> dict[Group, list[Row]]:
    """The same for rows of a merge."""
    return _refusing(symbol, ((record, False) for record in records))


def uncounted(symbol: Symbol, records: Sequence[Record]) -> dict[Group, list[Row]]:
    """The same for what comes along with events. Raises StoreError."""
    groups: defaultdict[Group, list[Row]] = defaultdict(list)
    for index, record in enumerate(records):
        try:
            group, row = _row(symbol, index, record, False)
        except ROW_ERRORS as error:
            raise not_an_event(symbol, str(error)) from error
        groups[group].append(row)
    return groups


def not_an_event(symbol: Symbol, reason: str) -> StoreError:
    """The error for a row that no event brought."""
    return StoreError(f"the store refuses what was derived for {symbol}, not an event: {reason}")


def refusal(record: type[Record], reason: str) -> str:
    """The sentence of a RowRefused."""
    return f"the store refuses a row of {record.dataset}: {reason}"


def _refusing(symbol: Symbol, records: Iterable[tuple[Record, bool]]) -> dict[Group, list[Row]]:
    groups: defaultdict[Group, list[Row]] = defaultdict(list)
    for index, (record, keep_first) in enumerate(records):
        try:
            group, row = _row(symbol, index, record, keep_first)
        except ROW_ERRORS as error:
            raise RowRefused(index, refusal(type(record), str(error))) from error
        groups[group].append(row)
    return groups


def _row(symbol: Symbol, index: int, record: Record, keep_first: bool) -> tuple[Group, Row]:
    row = DOCUMENTS[type(record)].row(symbol, index, record)
    if isinstance(record, Candle):
        _ = record.rank  # which an unknown source does not have
    return Group(series_of_row(symbol, record), keep_first), row

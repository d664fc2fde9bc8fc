"""Reading pages of rows: ranges, filters, order and limits are the server's work; what lies apart is merged here.

Candles lie in a collection for each timeframe, trades and tickers in the order of their kinds. A query over all of
them merges one ordered scan for each, so that its cost is that of the page, not of the collection.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from data_manager.storage.mongo.documents import DOCUMENTS, KINDS, SHARED, Document, Documents, collection_of
from data_manager.storage.protocols import Holding, Query
from data_manager.storage.records import Record, Series, Symbol, Trade, all_series_of
from data_manager.system.errors import StoreError

R = TypeVar("R", bound=Record)
Neighbours = tuple[Trade | None, Trade | None, Trade | None, Trade | None]


class Scan(NamedTuple):
    """Documents of one collection that lie in order."""

    collection: str
    condition: Document


def page(database: Database[Document], symbol: Symbol, record: type[R], query: Query) -> list[R]:
    """The rows that match, in order, at most `query.limit`."""
    documents: Documents[R] = DOCUMENTS[record]
    scans = _scans(symbol, documents, query)
    if query.limit <= 0 or not scans:
        return []
    first, last = query.offset, query.offset + query.limit
    direction = -1 if query.descending else 1
    found = [
        database[scan.collection].find(scan.condition).sort([(name, direction) for name in documents.order]).limit(last)
        for scan in scans
    ]
    if len(found) == 1:
        return [documents.record_of(each) for each in found[0].skip(first).limit(query.limit)]

    def place(document: Document) -> tuple[Any, ...]:
        return tuple(int(value) if isinstance(value, DatetimeMS) else value for value in _values(document, documents))

    merged = heapq.merge(*found, key=place, reverse=query.descending)
    return [documents.record_of(each) for each in islice(merged, first, last)]


def count(database: Database[Document], symbol: Symbol, record: type[Record], query: Query, cap: int) -> int:
    """How many rows match, counted no further than `cap`."""
    counted = 0
    for scan in _scans(symbol, DOCUMENTS[record], query):
        if counted < cap:
            counted += database[scan.collection].count_documents(scan.condition, limit=cap - counted)
    return counted


def trades_between(database: Database[Document], symbol: Symbol, start_ms: int, end_ms: int) -> list[Trade]:
    """Both kinds, by time and id."""
    documents: Documents[Trade] = DOCUMENTS[Trade]
    trades = [
        documents.record_of(each)
        for scan in _scans(symbol, documents, Query(start_ms, end_ms))
        for each in database[scan.collection].find(scan.condition)
    ]
    return sorted(trades, key=lambda trade: (trade.time_ms, trade.trade_id, trade.kind))


def neighbours(database: Database[Document], symbol: Symbol, start_ms: int, end_ms: int) -> Neighbours:
    """The nearest trade and aggTrade before `start_ms`, then at or after `end_ms`."""

    def nearest(kind: str, query: Query) -> Trade | None:
        of_kind = Query(query.start_ms, query.end_ms, (("kind", kind),), 1, 0, query.descending)
        return next(iter(page(database, symbol, Trade, of_kind)), None)

    before, after = Query(end_ms=start_ms, descending=True), Query(start_ms=end_ms)
    return (
        nearest("trade", before),
        nearest("aggTrade", before),
        nearest("trade", after),
        nearest("aggTrade", after),
    )


def holding(database: Database[Document], series: Series) -> Holding | None:
    """What there is of a series; None when it has no rows."""
    ends = [
        page(database, series.symbol, series.record, Query(equal=series.equal, limit=1, descending=descending))
        for descending in (False, True)
    ]
    if not all(ends):
        return None
    oldest, newest = (getattr(rows[0], series.record.time_field) for rows in ends)
    name = collection_of(series)
    rows = database[name].count_documents({})
    return Holding(series, rows, oldest, newest, int(database.command("collStats", name)["size"]))


def expired(database: Database[Document], series: Series, stored_before_ms: int, limit: int) -> tuple[str, list[str]]:
    """The collection of a series, and the ids of its rows that were stored before that time, oldest first."""
    name = collection_of(series)
    old: Document = {"stored_at": {"$lt": DatetimeMS(stored_before_ms)}}
    if series.record in SHARED:
        old["symbol"] = series.symbol
    found = database[name].find(old, {"_id": 1}).sort("stored_at", 1).limit(limit)
    return name, [document["_id"] for document in found]


def _scans(symbol: Symbol, documents: Documents[Any], query: Query) -> Sequence[Scan]:
    record, equal = documents.record, dict(query.equal)
    condition = _condition(symbol, documents, query)
    parts = [series for series in _series(symbol, record) if all(equal.get(*pair) == pair[1] for pair in series.equal)]
    names = [collection_of(series) for series in parts]
    if record in KINDS and KINDS[record].field not in equal:
        field, kinds = KINDS[record]
        return [Scan(name, {field: kind, **condition}) for name in names for kind in kinds]
    return [Scan(name, condition) for name in names]


def _series(symbol: Symbol, record: type[Record]) -> Sequence[Series]:
    """All that hold rows of that type."""
    return [each for each in all_series_of(symbol) if each.record is record] or [Series(symbol, record)]


def _condition(symbol: Symbol, documents: Documents[Any], query: Query) -> Document:
    condition: Document = {"symbol": symbol} if documents.record in SHARED else {}
    for field, value in query.equal:
        if field not in documents.names:
            known = ", ".join(documents.names)
            raise StoreError(f"{documents.record.dataset} has no column {field!r}; it has {known}")
        condition[documents.names[field]] = DatetimeMS(int(value)) if documents.is_date(field) else value
    bounds = (("$gte", query.start_ms), ("$lt", query.end_ms))
    within = {operator: DatetimeMS(bound) for operator, bound in bounds if bound is not None}
    if within:
        condition["$and"] = [{documents.time: within}]  # beside an equality on the same field
    return condition


def _values(document: Document, documents: Documents[Any]) -> Iterator[Any]:
    return (document[name] for name in documents.order)

"""Rows read from a store a page at a time, so that no read transaction is long and memory is constant."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import TypeVar

from data_manager.actors.audit.grid import Range
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import Record, Series, Symbol

PAGE_ROWS = 1_000

R = TypeVar("R", bound=Record)


def pages(
    symbol: Symbol, record: type[R], within: Range, market: MarketStore, equal: tuple[tuple[str, str], ...] = ()
) -> Iterator[list[R]]:
    """Every row of the range by time and key; rows of one time may be on two pages. Raises StoreError."""
    time_of = attrgetter(record.time_field)
    start, seen = within.start_ms, 0  # rows of the time `start` that are on earlier pages
    while start < within.end_ms:
        page = market.rows(symbol, record, Query(start, within.end_ms, equal, PAGE_ROWS, seen))
        if page:
            yield page
        if len(page) < PAGE_ROWS:
            return
        last: int = time_of(page[-1])
        seen = (seen if last == start else 0) + sum(time_of(row) == last for row in page)
        start = last


def edge_ms(series: Series, market: MarketStore, *, newest: bool = False) -> int | None:
    """The least (or the greatest) time of the series' rows; None without any."""
    equal = () if series.timeframe is None else (("timeframe", series.timeframe),)
    rows = market.rows(series.symbol, series.record, Query(equal=equal, limit=1, descending=newest))
    time_ms: int | None = getattr(rows[0], series.record.time_field) if rows else None
    return time_ms

"""What a cycle looks at, read once from the store: bars, the newest book, and the books since the cycle before."""

from __future__ import annotations

from collections.abc import Iterator

from data_manager.actors.analytics.bars import Bars, bars_of
from data_manager.actors.analytics.book import Book, book_of
from data_manager.actors.analytics.conf import AnalyticsConf
from data_manager.actors.analytics.documents import Summed, summed_in
from data_manager.actors.analytics.material import BOOKS_IN, Material, end_ms
from data_manager.actors.analytics.results import Unknown
from data_manager.actors.analytics.spread import SpreadParameters, Sums, added, sums_of
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.reading import pages
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import TIMEFRAMES, Analytics, Candle, Depth, Symbol

DAY_MS = TIMEFRAMES["1d"]


def material(store: MarketStore, symbol: Symbol, conf: AnalyticsConf, at_ms: int, reach_ms: int) -> Material:
    """Read a symbol, its books no further back than `reach_ms`. Raises StoreError."""
    bars = {timeframe: history(store, symbol, timeframe, conf, at_ms) for timeframe in conf.timeframes}
    inside = {
        timeframe: inside_newest(store, symbol, conf.timeframes[timeframe].inside, each)
        for timeframe, each in bars.items()
    }
    latest = store.latest_book(symbol)
    earlier = list(_earlier(store, symbol, at_ms))
    books = books_since(store, symbol, max(earlier[-1][0] if earlier else 0, at_ms - reach_ms), at_ms, conf.spread)
    return Material(
        at_ms=at_ms,
        bars=bars,
        inside=inside,
        newest_book=Unknown("no book is known") if latest is None else book_of(latest),
        books=books,
        day=added([*(each.sums for _, each in earlier if each.since_ms >= at_ms - DAY_MS), books.sums]),
    )


def history(store: MarketStore, symbol: Symbol, timeframe: str, conf: AnalyticsConf, at_ms: int) -> Bars:
    """The closed bars of the longest window that ends now, and those that recursive averages begin with."""
    end = end_ms(timeframe, at_ms)
    return bars_between(store, symbol, timeframe, Range(end - conf.history_ms(timeframe), end))


def bars_between(store: MarketStore, symbol: Symbol, timeframe: str, within: Range) -> Bars:
    """The closed bars that open within the range."""
    read = pages(symbol, Candle, within, store, (("timeframe", timeframe),))
    return bars_of((candle for page in read for candle in page), TIMEFRAMES[timeframe])


def inside_newest(store: MarketStore, symbol: Symbol, timeframe: str, bars: Bars) -> Bars:
    """The shorter bars inside the newest of `bars`; none without any."""
    start = int(bars.open_times[-1]) if len(bars) else 0
    return bars_between(store, symbol, timeframe, Range(start, start + bars.interval_ms if len(bars) else 0))


def books_since(
    store: MarketStore, symbol: Symbol, since_ms: int, until_ms: int, parameters: SpreadParameters
) -> Summed:
    """The sums of the stored books of that time, a page at a time; the one before it stands into its beginning.

    A book that is crossed or lacks a side is passed over.
    """
    before = Query(since_ms - parameters.holds_ms, since_ms, limit=1, descending=True)
    standing = _books(store.rows(symbol, Depth, before))
    parts: list[Sums] = []
    reached = since_ms
    for page in pages(symbol, Depth, Range(since_ms, until_ms), store):
        books = [*standing, *_books(page)]
        if not books:
            continue
        parts.append(sums_of(books, reached, books[-1].time_ms, parameters))
        standing, reached = books[-1:], books[-1].time_ms
    parts.append(sums_of(standing, reached, until_ms, parameters))
    return Summed(since_ms, added(parts))


def _books(rows: list[Depth]) -> list[Book]:
    return [book for book in map(book_of, rows) if isinstance(book, Book)]


def _earlier(store: MarketStore, symbol: Symbol, at_ms: int) -> Iterator[tuple[int, Summed]]:
    """The books that the cycles of the last 24 hours have summed up, and until when each did, the oldest first."""
    equal = (("category", "spread"), ("timeframe", BOOKS_IN))
    for page in pages(symbol, Analytics, Range(at_ms - DAY_MS, at_ms), store, equal):
        yield from ((each.time_ms, summed_in(each)) for each in page)

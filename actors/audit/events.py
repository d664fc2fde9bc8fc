"""Where the types were silent that the exchange gives no history of: order books, tickers, mark prices."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from operator import attrgetter

from data_manager.actors.audit.conf import AuditConf
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.measured import Hourly
from data_manager.actors.audit.reading import pages
from data_manager.actors.audit.silence import Alive, Silences
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import BookTicker, Depth, MarkPrice, Record, Series, Symbol, Ticker
from data_manager.storage.retention import DAY_MS, Retention
from data_manager.system.settings import Settings, StoragePolicy

TYPES: tuple[type[Record], ...] = (Depth, BookTicker, Ticker, MarkPrice)
CALL_PAGES = 20  # of one call, so that a store's thread is never held for long


class _Read:
    """One series, read through `through_ms`."""

    def __init__(self, begin_ms: int, silences: Silences) -> None:
        self.silences = silences
        self.counts = Hourly()
        self.through_ms = begin_ms


class EventAudit:
    """Keeps how far every series was read until `forget`."""

    def __init__(self, retention: Retention, conf: AuditConf, settings: Settings, grace_ms: int) -> None:
        self._retention = retention
        self._conf = conf
        self._intervals_ms = intervals_ms(conf, settings)
        self._grace_ms = grace_ms
        self._read: dict[Series, _Read] = {}

    def forget(self) -> None:
        """Begin at the beginning the next time."""
        self._read.clear()

    def stored(self, symbol: Symbol) -> Iterator[Series]:
        """Those of the symbol's series that the settings store and whose silence tells something."""
        return (Series(symbol, record) for record in TYPES if record in self._intervals_ms)

    def read(self, series: Series, now_ms: int, market: MarketStore, since_ms: int = 0) -> tuple[list[Range], bool]:
        """Read on, a bounded number of pages: the silences that rows have ended, and whether all is read.

        The first time from `since_ms`, but not before what retention keeps. Rows younger than the grace are left for
        the next time: until then others may come that are older. Raises StoreError.
        """
        known = self._read.get(series) or self._begin(series, now_ms, market, since_ms)
        rest, read, found = Range(known.through_ms, now_ms - self._grace_ms), 0, list[Range]()
        time_of = attrgetter(series.record.time_field)
        since = now_ms - self._conf.health.window_hours * 3_600_000
        for page in islice(pages(series.symbol, series.record, rest, market), CALL_PAGES):
            read += 1
            found += known.silences.found(map(time_of, page))
            known.counts.read(page, series.record.time_field, since)
            known.through_ms = time_of(page[-1]) + 1
        return found, read < CALL_PAGES

    def counts(self, series: Series) -> Hourly:
        """What was counted while it was read."""
        return self._read[series].counts if series in self._read else Hourly()

    def interval_s(self, series: Series) -> int | None:
        """Seconds between two of its rows as they are stored; None where its silence tells nothing."""
        interval = self._intervals_ms.get(series.record)
        return None if interval is None else interval // 1000

    def _begin(self, series: Series, now_ms: int, market: MarketStore, since_ms: int) -> _Read:
        days = self._retention.of(series)
        begin = max(since_ms, 0 if days is None else now_ms - days * DAY_MS)
        silence = self._conf.silence
        after_ms = silence.after_s[series.record.dataset] * 1000
        silences = Silences(after_ms, self._intervals_ms[series.record], silence.paces)
        last = market.rows(series.symbol, series.record, Query(end_ms=begin, limit=1, descending=True))
        silences.last_ms = getattr(last[0], series.record.time_field) if last else None
        return self._read.setdefault(series, _Read(begin, silences))


def intervals_ms(conf: AuditConf, settings: Settings) -> dict[type[Record], int]:
    """Milliseconds between two stored rows of each type that is stored at all."""
    policies: dict[type[Record], StoragePolicy] = {
        Depth: settings.store_depth,
        BookTicker: settings.store_book_ticker,
        Ticker: settings.store_ticker,
        MarkPrice: settings.store_mark_price,
    }
    return {
        record: 1000 * max(conf.interval_s[record.dataset], policy.seconds)
        for record, policy in policies.items()
        if policy.mode != "off" and record.dataset in conf.silence.after_s
    }


def alive(series: Series, silence: Range, others: list[Symbol], types: list[Series], market: MarketStore) -> Alive:
    """Of whom there are rows from the time of a silence."""
    symbols = [symbol for symbol in others if _has_rows(Series(symbol, series.record), silence, market)]
    kinds = [other.record.dataset for other in types if other != series and _has_rows(other, silence, market)]
    return Alive(symbols, kinds, len(others) + len(types) - (series in types), _traded(series.symbol, silence, market))


def still_silent(series: Series, silence: Range, market: MarketStore) -> bool:
    """Whether no row has come meanwhile that belongs into it."""
    return not _has_rows(series, silence, market)


def _has_rows(series: Series, within: Range, market: MarketStore) -> bool:
    return bool(market.rows(series.symbol, series.record, Query(within.start_ms, within.end_ms, limit=1)))


def _traded(symbol: Symbol, within: Range, market: MarketStore) -> bool | None:
    """Whether ids went on between the trades beside a time; None where one of them is unknown."""
    before_trade, before_aggregate, after_trade, after_aggregate = market.neighbours(
        symbol, within.start_ms, within.end_ms
    )
    before = [trade.last_id for trade in (before_trade, before_aggregate) if trade]
    after = [trade.first_id for trade in (after_trade, after_aggregate) if trade]
    return min(after) > max(before) + 1 if before and after else None

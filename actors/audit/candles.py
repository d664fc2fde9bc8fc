"""What is missing of a symbol's candles, read from the store a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from data_manager.actors.audit.gaps import Found
from data_manager.actors.audit.grid import Range, due_before, first_whole, joined, missing
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import TIMEFRAMES, Candle, Series, Source, Symbol, Trade
from data_manager.storage.retention import DAY_MS, Retention

PAGE_ROWS = 1_000  # no read transaction is longer
FINEST = "1m"
UNKNOWN = "unknown"


class Audited(NamedTuple):
    """What one look at a series found: `audited` is empty where nothing has to be there yet."""

    series: Series
    audited: Range
    found: list[Found]


class CandleAudit:
    """Looks at one series after the other. What was whole once is not read again, until `forget`."""

    def __init__(self, retention: Retention, grace_ms: int) -> None:
        self._retention = retention
        self._grace_ms = grace_ms
        self._whole_until: dict[Series, int] = {}

    def forget(self) -> None:
        """Begin at the beginning the next time."""
        self._whole_until.clear()

    def look(self, series: Series, now_ms: int, market: MarketStore) -> Audited:
        """The bars that should be there and are not, and the derived ones that miss trades. Raises StoreError.

        Begins at the symbol's first stored event, never before what retention keeps.
        """
        assert series.timeframe is not None
        length = TIMEFRAMES[series.timeframe]
        due = due_before(now_ms, length, self._grace_ms)
        begin = self._begin(series, length, now_ms, market)
        if begin is None or begin >= due:
            return Audited(series, Range(due, due), [])
        audited = Range(begin, due)
        found = sorted(self._holes(series, audited, length, market))
        self._whole_until[series] = min((each.missing.start_ms for each in found), default=due)
        return Audited(series, audited, found)

    def _begin(self, series: Series, length: int, now_ms: int, market: MarketStore) -> int | None:
        days = self._retention.of(series)
        kept = 0 if days is None else first_whole(now_ms - days * DAY_MS, length)
        if series in self._whole_until:
            return max(self._whole_until[series], kept)
        first = first_event_ms(series, length, market)
        return None if first is None else max(first_whole(first, length), kept)

    def _holes(self, series: Series, audited: Range, length: int, market: MarketStore) -> Iterator[Found]:
        incomplete: list[Range] = []

        def open_times() -> Iterator[int]:
            for bar in bars(series, audited, market):
                if not bar.complete and bar.source == Source.TRADES and series.timeframe == FINEST:
                    incomplete.append(Range(bar.open_time, bar.open_time + length))
                yield bar.open_time

        for hole in missing(open_times(), audited, length):
            if not nothing_traded(series.symbol, hole, market):
                yield Found(hole, UNKNOWN, f"{hole.bars(length)} of the bars that must be there are not stored")
        for each in joined(incomplete):
            evidence = f"trades are missing in or beside {each.bars(length)} bars that were derived from trades"
            yield Found(each, UNKNOWN, evidence)


def bars(series: Series, within: Range, market: MarketStore) -> Iterator[Candle]:
    """The stored bars of the range, oldest first."""
    equal = (("timeframe", str(series.timeframe)),)
    start = within.start_ms
    while page := market.rows(series.symbol, Candle, Query(start, within.end_ms, equal, PAGE_ROWS)):
        yield from page
        if len(page) < PAGE_ROWS:
            return
        start = page[-1].open_time + 1


def first_event_ms(series: Series, length: int, market: MarketStore) -> int | None:
    """When the symbol's data begins: its first trade, or the end of the series' own first bar; None without either."""
    trades = market.rows(series.symbol, Trade, Query(limit=1))
    own = market.rows(series.symbol, Candle, Query(equal=(("timeframe", str(series.timeframe)),), limit=1))
    begins = [*(trade.time_ms for trade in trades), *(bar.open_time + length for bar in own)]
    return min(begins, default=None)


def nothing_traded(symbol: Symbol, hole: Range, market: MarketStore) -> bool:
    """Whether the trades on both sides prove that there was none between them: a minute without any has no bar."""
    trade_before, aggregate_before, trade_after, aggregate_after = market.neighbours(symbol, hole.start_ms, hole.end_ms)
    if trade_before and trade_after and trade_before.last_id + 1 == trade_after.first_id:
        return True
    return bool(aggregate_before and aggregate_after and aggregate_before.trade_id + 1 == aggregate_after.trade_id)

"""Bars of one minute from trades that were repaired, as ingest derives them from those of the feed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from data_manager.actors.audit.grid import Range
from data_manager.actors.ingest.candles import derive
from data_manager.storage.protocols import MarketStore, Query, Write
from data_manager.storage.records import MINUTE_MS, Candle, Source, Symbol, Trade

CHUNK_MINUTES = 60  # of one call
GRACE_MS = 60_000  # a minute that has closed since is ingest's: its trades are on their way
FINEST = "1m"


def minute_chunks(within: Range, now_ms: int) -> Iterator[Range]:
    """Whole minutes that overlap the range and have closed for GRACE_MS, CHUNK_MINUTES at a time."""
    start = within.start_ms // MINUTE_MS * MINUTE_MS
    end = min(-(-within.end_ms // MINUTE_MS), (now_ms - GRACE_MS) // MINUTE_MS) * MINUTE_MS
    while start < end:
        yield Range(start, min(start + CHUNK_MINUTES * MINUTE_MS, end))
        start += CHUNK_MINUTES * MINUTE_MS


def minutes_beside(symbol: Symbol, within: Range, market: MarketStore) -> list[Range]:
    """The nearest minutes with trades around a range: whether their bars are whole depends on what is in it."""
    around = market.neighbours(symbol, *within)
    before = max(
        (minute for trade in around[:2] if trade and (minute := _minute(trade)) < within.start_ms), default=None
    )
    after = min((minute for trade in around[2:] if trade and (minute := _minute(trade)) >= within.end_ms), default=None)
    return [Range(minute, minute + MINUTE_MS) for minute in (before, after) if minute is not None]


def derive_minutes(symbol: Symbol, chunk: Range, stored_ms: int, market: MarketStore) -> int:
    """Derive the minutes whose bar is missing, or was derived from fewer trades; how many bars that were."""
    there = market.rows(symbol, Candle, Query(*chunk, (("timeframe", FINEST),), chunk.bars(MINUTE_MS)))
    good = {bar.open_time for bar in there if bar.complete or bar.source != Source.TRADES}
    minutes = (minute for minute in range(*chunk, MINUTE_MS) if minute not in good)
    derived = list(_derived(symbol, minutes, stored_ms, market))
    if derived:
        market.write(symbol, Write(derived=derived))
    return len(derived)


def _derived(symbol: Symbol, minutes: Iterable[int], stored_ms: int, market: MarketStore) -> Iterator[Candle]:
    for minute in minutes:
        trades = market.trades_between(symbol, minute, minute + MINUTE_MS)
        if not trades:
            continue
        around = market.neighbours(symbol, minute, minute + MINUTE_MS)
        if bar := derive(trades, minute, around, stored_ms):
            yield bar


def _minute(trade: Trade) -> int:
    return trade.time_ms - trade.time_ms % MINUTE_MS

"""Longer bars from the stored bars of the level below, over any range, a chunk at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from data_manager.actors.audit.grid import Range, first_whole
from data_manager.actors.ingest.candles import CHILD, roll_up
from data_manager.storage.deciding import derived_better
from data_manager.storage.protocols import MarketStore, Query, Write
from data_manager.storage.records import TIMEFRAMES, Candle, Source, Symbol

CHUNK_BARS = 1_000  # bars of the level below that are read at a time


def longer(timeframe: str) -> list[str]:
    """The timeframes above it, each of which is rolled up from the one before."""
    names = list(TIMEFRAMES)
    return names[names.index(timeframe) + 1 :]


def chunks(timeframe: str, within: Range, closed_before_ms: int) -> Iterator[Range]:
    """Ranges of whole bars of that timeframe that overlap `within` and have closed, in order."""
    length = TIMEFRAMES[timeframe]
    step = CHUNK_BARS // (length // TIMEFRAMES[CHILD[timeframe]]) * length
    start = within.start_ms // length * length
    end = min(first_whole(within.end_ms, length), closed_before_ms // length * length)
    while start < end:
        yield Range(start, min(start + step, end))
        start += step


def better_bars(
    children: Sequence[Candle], there: Sequence[Candle], timeframe: str, stored_ms: int
) -> Iterator[Candle]:
    """The bars of the children that should be stored, given the bars that are there.

    A bar is whole, or at least better than the incomplete one that it replaces: where children are missing and
    nothing is stored, nothing is made up.
    """
    length = TIMEFRAMES[timeframe]
    groups: defaultdict[int, list[Candle]] = defaultdict(list)
    for child in children:
        groups[child.open_time - child.open_time % length].append(child)
    stored = {bar.open_time: bar for bar in there}
    for open_time, group in groups.items():
        bar, old = roll_up(group, timeframe, open_time, stored_ms), stored.get(open_time)
        if bar is not None and (_improves(bar, old) if old else bar.complete):
            yield bar


def roll_up_chunk(symbol: Symbol, timeframe: str, chunk: Range, stored_ms: int, market: MarketStore) -> int:
    """Roll up one of `chunks` and write what is better than what is stored; how many bars that were."""
    children = _bars(symbol, CHILD[timeframe], chunk, market)
    better = list(better_bars(children, _bars(symbol, timeframe, chunk, market), timeframe, stored_ms))
    if better:
        market.write(symbol, Write(derived=better))
    return len(better)


def _improves(bar: Candle, there: Candle) -> bool:
    if there.source == Source.REST and there.complete:
        return False
    as_stored = msgspec.structs.replace(
        bar, stored_ms=there.stored_ms, feed_seq=there.feed_seq, market_seq=there.market_seq
    )
    return as_stored != there and derived_better(bar, there)


def _bars(symbol: Symbol, timeframe: str, within: Range, market: MarketStore) -> list[Candle]:
    limit = within.bars(TIMEFRAMES[timeframe])
    return market.rows(symbol, Candle, Query(*within, (("timeframe", timeframe),), limit))

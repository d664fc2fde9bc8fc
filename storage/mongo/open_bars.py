"""Open bars end when their closed form comes, and never come back after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bson.datetime_ms import DatetimeMS
from pymongo import DeleteMany

from data_manager.storage.deciding import closed_through
from data_manager.storage.mongo.documents import collection_of
from data_manager.storage.mongo.prepared import PreparedCollections
from data_manager.storage.records import Candle, OpenCandle, Record, Series, Source, Symbol

Bar = tuple[str, int]  # timeframe, open time


def bar_of(record: Any) -> Bar:
    """Which bar a candle or an open candle is."""
    return record.timeframe, record.open_time


def closes(record: Record) -> bool:
    """Whether it is the closed form of a bar; one derived from trades is not."""
    return isinstance(record, Candle) and record.source != Source.TRADES


def closed_before(
    collections: PreparedCollections,
    symbol: Symbol,
    bars: Iterable[Record],
    unaccounted: Callable[[Iterable[int]], set[int]],
) -> set[Bar]:
    """The bars whose closed form is stored, unless only an earlier attempt at the same write has stored it."""
    by_timeframe: defaultdict[str, set[int]] = defaultdict(set)
    for timeframe, open_time in map(bar_of, bars):
        by_timeframe[timeframe].add(open_time)
    closed: set[Bar] = set()
    for timeframe, times in by_timeframe.items():
        ids = [f"{symbol}_{time}" for time in times]
        candles = collections.database[collection_of(Series(symbol, Candle, timeframe))]
        rows = candles.find(
            {"_id": {"$in": ids}, "source": {"$ne": Source.TRADES.value}}, {"timestamp": 1, "feed_seq": 1}
        )
        found = {int(row["timestamp"]): row["feed_seq"] for row in rows}
        left = unaccounted(found.values())
        closed |= {(timeframe, time) for time, feed_seq in found.items() if feed_seq not in left}
    return closed


def remove_open_bars(collections: PreparedCollections, symbol: Symbol, bars: Sequence[Candle]) -> None:
    """Take away the open bars that these closed ones end."""
    deletions = [
        DeleteMany({"_id": f"{symbol}_{timeframe}", "timestamp": {"$lte": DatetimeMS(time)}})
        for timeframe, time in closed_through(bars).items()
    ]
    if deletions:
        collections.database[OpenCandle.dataset].bulk_write(deletions, ordered=False)

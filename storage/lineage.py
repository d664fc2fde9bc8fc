"""What derived bars and computed documents were made of, hour by hour, counted in the store.

The chain is trades -> 1m -> 5m -> 15m -> 1h -> 4h -> 1d. Bars that came from the exchange itself (kline events,
REST) are not derived: they count as input of the next longer bars, never as output. Documents are made of the bars
of their own timeframe, a spread of an hour of books, and those of the whole market of no single dataset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID, uuid5

from data_manager.storage.computed import bars_used
from data_manager.storage.protocols import Lineage, MarketStore, Query
from data_manager.storage.records import (
    ALL_SYMBOLS,
    MARKET_WIDE,
    TIMEFRAMES,
    Analytics,
    Candle,
    Depth,
    Series,
    Source,
    Symbol,
    Trade,
    documents_of,
)

NAMESPACE = UUID("b0f7c0de-5d0a-4a3c-8f0e-6a2c9c1d7e42")
HOUR_MS = TIMEFRAMES["1h"]
HOURS_BACK = 24  # made up for after a pause; trades are kept for at least as long
SETTLE_MS = 120_000  # after an hour's end; late trades and roll-ups have come by then, as a rule
DOCUMENTS = 10_000  # of one dataset and hour that are counted
EXACT = 2**31 - 1  # the cap of counts: the greatest that the catalog's column takes


class Step(NamedTuple):
    """One derivation of a symbol's: bars of `length_ms` from trades or from the next shorter bars."""

    source: Series
    target: Series
    length_ms: int
    transformation: str


def steps(symbol: Symbol) -> Iterator[Step]:
    """All of them, from the trades up."""
    source, transformation = Series(symbol, Trade), "derive_candles"
    for timeframe, length_ms in TIMEFRAMES.items():
        target = Series(symbol, Candle, timeframe)
        yield Step(source, target, length_ms, transformation)
        source, transformation = target, "roll_up"


def finished_hours(now_ms: int, through_ms: int = 0) -> range:
    """The ends of the hours after `through_ms` that have settled, at most those that began HOURS_BACK ago."""
    last = (now_ms - SETTLE_MS) // HOUR_MS * HOUR_MS
    first = -(-(now_ms - HOURS_BACK * HOUR_MS) // HOUR_MS) * HOUR_MS + HOUR_MS
    return range(max(first, through_ms + HOUR_MS), last + HOUR_MS, HOUR_MS)


def lineage_of(store: MarketStore, symbol: Symbol, end_ms: int) -> list[Lineage]:
    """One record for each of the symbol's datasets with bars derived, or documents computed for, the hour to `end_ms`.

    Ids and times follow from the dataset and the hour, so a repetition changes nothing but counts that grew.
    """
    derived = [] if symbol == ALL_SYMBOLS else _of_bars(store, symbol, end_ms)
    return [*derived, *(record for series in documents_of(symbol) for record in _of_documents(store, series, end_ms))]


def _of_bars(store: MarketStore, symbol: Symbol, end_ms: int) -> list[Lineage]:
    found = []
    for step in steps(symbol):
        span = max(HOUR_MS, step.length_ms)
        if end_ms % span:
            continue  # no bar of this length closes in this hour
        output = count(store, step.target, end_ms - span, end_ms, derived=True)
        if output:
            inputs = count(store, step.source, end_ms - span, end_ms)
            found.append(_record(step.target, step.source, step.transformation, inputs, output, end_ms))
    return found


def _of_documents(store: MarketStore, series: Series, end_ms: int) -> list[Lineage]:
    """One for each timeframe; of spreads for 1h alone, since a day's adds up those."""
    query = Query(end_ms - HOUR_MS, end_ms, series.equal, limit=DOCUMENTS)
    by_timeframe: defaultdict[str, list[Analytics]] = defaultdict(list)
    for document in store.rows(series.symbol, Analytics, query):
        by_timeframe[document.timeframe].append(document)
    found = []
    for timeframe, documents in by_timeframe.items():
        source: Series | None = Series(series.symbol, Candle, timeframe)
        inputs: int | None = sum(map(bars_used, documents))
        if series.category in MARKET_WIDE:
            source = inputs = None
        elif series.category == "spread":
            if timeframe != "1h":
                continue
            source = Series(series.symbol, Depth)
            inputs = count(store, source, end_ms - HOUR_MS, end_ms)
        found.append(_record(series, source, f"analyse_{timeframe}", inputs, len(documents), end_ms))
    return found


def _record(
    target: Series, source: Series | None, transformation: str, inputs: int | None, output: int, end_ms: int
) -> Lineage:
    dataset_id = target.dataset_id
    return Lineage(
        lineage_id=str(uuid5(NAMESPACE, f"{dataset_id}/{end_ms}/{transformation}")),
        dataset_id=dataset_id,
        source_dataset_id=None if source is None else source.dataset_id,
        transformation=transformation,
        input_records=inputs,
        output_records=output,
        at_ms=end_ms,
    )


def count(store: MarketStore, series: Series, start_ms: int, end_ms: int, *, derived: bool = False) -> int:
    """Rows with `start_ms <= time < end_ms`, or only the derived ones."""
    equal = (*series.equal, ("source", Source.TRADES.value)) if derived else series.equal
    return store.count(series.symbol, series.record, Query(start_ms, end_ms, equal), cap=EXACT)

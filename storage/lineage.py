"""What derived bars were made of, hour by hour, counted in the store.

The chain is trades -> 1m -> 5m -> 15m -> 1h -> 4h -> 1d. Bars that came from the exchange itself (kline events,
REST) are not derived: they count as input of the next longer bars, never as output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID, uuid5

from data_manager.storage.protocols import Lineage, MarketStore, Query
from data_manager.storage.records import TIMEFRAMES, Candle, Series, Source, Symbol, Trade

NAMESPACE = UUID("b0f7c0de-5d0a-4a3c-8f0e-6a2c9c1d7e42")
HOUR_MS = TIMEFRAMES["1h"]
HOURS_BACK = 24  # made up for after a pause; trades are kept for at least as long
SETTLE_MS = 120_000  # after an hour's end; late trades and roll-ups have come by then, as a rule
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
    """One record for each of the symbol's datasets with derived bars that closed in the hour up to `end_ms`.

    Ids and times follow from the dataset and the hour, so a repetition changes nothing but counts that grew.
    """
    found = []
    for step in steps(symbol):
        span = max(HOUR_MS, step.length_ms)
        if end_ms % span:
            continue  # no bar of this length closes in this hour
        output = count(store, step.target, end_ms - span, end_ms, derived=True)
        if output:
            dataset_id = step.target.dataset_id
            found.append(
                Lineage(
                    lineage_id=str(uuid5(NAMESPACE, f"{dataset_id}/{end_ms}/{step.transformation}")),
                    dataset_id=dataset_id,
                    source_dataset_id=step.source.dataset_id,
                    transformation=step.transformation,
                    input_records=count(store, step.source, end_ms - span, end_ms),
                    output_records=output,
                    at_ms=end_ms,
                )
            )
    return found


def count(store: MarketStore, series: Series, start_ms: int, end_ms: int, *, derived: bool = False) -> int:
    """Rows with `start_ms <= time < end_ms`, or only the derived ones."""
    equal: tuple[tuple[str, str], ...] = () if series.timeframe is None else (("timeframe", series.timeframe),)
    if derived:
        equal = (*equal, ("source", Source.TRADES.value))
    return store.count(series.symbol, series.record, Query(start_ms, end_ms, equal), cap=EXACT)

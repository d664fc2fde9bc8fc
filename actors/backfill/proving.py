"""What is still missing of a job's range once its pages are stored: the audit's own functions decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from data_manager.actors.audit.candles import bars, nothing_traded
from data_manager.actors.audit.coverage import Coverage
from data_manager.actors.audit.funding import unsettled
from data_manager.actors.audit.gaps import stamp
from data_manager.actors.audit.grid import Range, joined, missing
from data_manager.actors.audit.reading import pages
from data_manager.actors.audit.trades import range_of
from data_manager.actors.backfill.paging import whole_minutes
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Funding, Series, Source, Symbol

CHUNK_BARS = 1_000  # of one call
CHUNK_MINUTES = 10  # of trades, which are read a minute at a time


def bar_chunks(within: Range, length_ms: int) -> Iterator[Range]:
    """The range in order, CHUNK_BARS bars at a time."""
    for start in range(within.start_ms, within.end_ms, CHUNK_BARS * length_ms):
        yield Range(start, min(start + CHUNK_BARS * length_ms, within.end_ms))


def minute_chunks(within: Range) -> Iterator[Range]:
    """The range in order, CHUNK_MINUTES at a time."""
    step = CHUNK_MINUTES * MINUTE_MS
    for start in range(within.start_ms, within.end_ms, step):
        yield Range(start, min(start + step, within.end_ms))


def missing_bars(series: Series, chunk: Range, market: MarketStore) -> list[Range]:
    """The bars of a chunk that are not stored, or only as derived from fewer trades than there were."""
    assert series.timeframe is not None
    whole = (bar.open_time for bar in bars(series, chunk, market) if bar.complete or bar.source != Source.TRADES)
    return list(missing(whole, chunk, TIMEFRAMES[series.timeframe]))


def traded(series: Series, holes: Iterable[Range], market: MarketStore) -> list[Range]:
    """Those of the holes of which trades do not prove that nothing was traded."""
    return [hole for hole in holes if not nothing_traded(series.symbol, hole, market)]


def cover(coverage: Coverage, symbol: Symbol, chunk: Range, market: MarketStore) -> None:
    """Take the trades of a chunk, which is at most CHUNK_MINUTES long."""
    for start in range(chunk.start_ms, chunk.end_ms, MINUTE_MS):
        coverage.add(market.trades_between(symbol, start, min(start + MINUTE_MS, chunk.end_ms)))


def broken(coverage: Coverage) -> list[Range]:
    """Where ids are missing, with the trades on both sides."""
    return [range_of(hole) for hole in coverage.holes]


def missing_rates(symbol: Symbol, within: Range, market: MarketStore) -> list[Range]:
    """The funding rates of the range that should have settled and are not stored so."""
    rows = chain.from_iterable(pages(symbol, Funding, within, market))
    return list(unsettled(rows, whole_minutes(within)))


def verdict_of_places(what: str, holes: Sequence[Range]) -> str:
    """Where rows are missing in a sentence; empty when none are."""
    if not holes:
        return ""
    return (
        f"{what} are still missing in {len(holes)} places, from {stamp(holes[0].start_ms)} to "
        f"{stamp(holes[-1].end_ms)}: the exchange did not bring them, nor did it say that it has none."
    )


def verdict(holes: Iterable[Range], length_ms: int) -> str:
    """What is missing in a sentence; empty when nothing is."""
    found = list(joined(holes))
    if not found:
        return ""
    number = sum(hole.bars(length_ms) for hole in found)
    return (
        f"{number} of its bars are still missing, from {stamp(found[0].start_ms)} to "
        f"{stamp(found[-1].end_ms)}: the exchange did not bring them, nor did it say that it has none."
    )

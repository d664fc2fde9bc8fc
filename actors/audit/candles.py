"""What is missing of a symbol's candles, read from the store a page at a time.

A hole is looked for in every timeframe and told in the finest one that has it: what is missing of a longer bar is
then rolled up when that one is repaired. Only where the bars below are whole, or are not kept any more, is a hole of
a longer timeframe a gap of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from data_manager.actors.audit.gaps import Found
from data_manager.actors.audit.grid import Range, due_before, first_whole, joined, missing, without
from data_manager.actors.audit.measured import Hourly
from data_manager.actors.audit.reading import edge_ms, pages
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import TIMEFRAMES, Candle, Series, Source, Symbol, Trade
from data_manager.storage.retention import DAY_MS, Retention

UNKNOWN = "unknown"
MAX_HOLES = 1_000  # of one series that are kept in mind; those beyond count as one
BELOW = {longer: shorter for shorter, longer in pairwise(TIMEFRAMES)}


class Audited(NamedTuple):
    """What one look at a series found: in which ranges it looked, and the time before which nothing is kept."""

    series: Series
    audited: Sequence[Range]
    found: Sequence[Found]
    kept_ms: int = 0


class _Known(NamedTuple):
    """What is known of a series: all between its two times is whole, but for the holes."""

    begin: int
    through: int
    holes: tuple[Range, ...] = ()


class CandleAudit:
    """Looks at one series after the other. What was whole once is not read again, until `forget`."""

    def __init__(self, retention: Retention, grace_ms: int, look_back_ms: int = DAY_MS) -> None:
        """`look_back_ms` is for how long what is read is counted."""
        self._retention = retention
        self._grace_ms = grace_ms
        self._look_back_ms = look_back_ms
        self._known: dict[Series, _Known] = {}
        self._counts: dict[Series, Hourly] = {}

    def forget(self) -> None:
        """Begin at the beginning the next time."""
        self._known.clear()
        self._counts.clear()

    def counts(self, series: Series) -> Hourly:
        """What was counted while the series was read."""
        return self._counts.setdefault(series, Hourly())

    def holes(self, series: Series) -> tuple[Range, Sequence[Range]]:
        """What was audited of a series by now, and what of it is missing, told as a gap or not."""
        known = self._known.get(series, _Known(0, 0))
        return Range(known.begin, known.through), known.holes

    def look(
        self,
        series: Series,
        now_ms: int,
        market: MarketStore,
        *,
        since_ms: int | None = None,
        within: Range | None = None,
    ) -> Audited:
        """The bars that should be there and are not, and the derived ones that miss trades. Raises StoreError.

        Begins at the symbol's first stored event or at `since_ms`, whichever is earlier, but never before what
        retention keeps. Looks at what is new since the last look and at the holes of then; `within` a range, if
        one is given, at that alone. To be called for the shorter timeframes first.
        """
        length = length_of(series)
        due, kept = due_before(now_ms, length, self._grace_ms), self._kept(series, now_ms)
        begin = self._begin(series, market, since_ms, kept)
        if begin is None or begin >= due:
            return Audited(series, (), (), kept)
        known = self._known.get(series, _Known(begin, begin))
        ranges = self._ranges(known, begin, due, within, length)
        found: list[Found] = []
        holes: list[Range] = []
        for each in ranges:
            new = each.start_ms >= known.through or each.end_ms <= known.begin
            raw = list(self._raw(series, each, market, now_ms if new else None))
            holes += (hole.missing for hole in raw)
            found += self._own(series, raw, market, now_ms)
        untouched = (part for hole in known.holes for part in without(hole, ranges))
        through = known.through if within is not None else due
        kept_in_mind = _bounded(list(joined(sorted((*untouched, *holes)))), begin)
        self._known[series] = _Known(begin, through, kept_in_mind)
        return Audited(series, ranges, found, kept)

    def _kept(self, series: Series, now_ms: int) -> int:
        days = self._retention.of(series)
        return 0 if days is None else first_whole(now_ms - days * DAY_MS, length_of(series))

    def _begin(self, series: Series, market: MarketStore, since_ms: int | None, kept: int) -> int | None:
        if series in self._known:
            begins = [self._known[series].begin]
        else:
            first = first_event_ms(series, market)
            below = self._below(series)
            begins = [] if first is None else [first]
            begins += [self._known[below].begin] if below in self._known else []
        begins += [] if since_ms is None else [since_ms]
        return max(first_whole(min(begins), length_of(series)), kept) if begins else None

    def _ranges(self, known: _Known, begin: int, due: int, within: Range | None, length: int) -> Sequence[Range]:
        if within is not None:
            start, end = max(begin, within.start_ms // length * length), min(due, first_whole(within.end_ms, length))
            return (Range(start, end),) if start < end else ()
        ranges = (Range(begin, known.begin), *known.holes, Range(known.through, due))
        clipped = (Range(max(each.start_ms, begin), each.end_ms) for each in ranges)
        return [each for each in clipped if each.start_ms < each.end_ms]

    def _below(self, series: Series) -> Series:
        """The series it is rolled up from; of the finest the series itself, which nothing is known of by then."""
        return Series(series.symbol, Candle, BELOW.get(str(series.timeframe), series.timeframe))

    def _own(self, series: Series, raw: Sequence[Found], market: MarketStore, now_ms: int) -> Iterator[Found]:
        """What of the holes is not told in a shorter timeframe already."""
        below, length = self._below(series), length_of(series)
        for hole in raw:
            if below == series or below not in self._known:
                yield hole
                continue
            kept = max(self._known[below].begin, self._kept(below, now_ms))
            shared = Range(max(hole.missing.start_ms, first_whole(kept, length)), hole.missing.end_ms)
            told = joined(whole_bars(each.missing, length) for each in self._raw(below, shared, market))
            for part in without(hole.missing, told):
                yield from _parts(hole, part, shared.start_ms, str(below.timeframe))

    def _raw(
        self, series: Series, within: Range, market: MarketStore, counted_ms: int | None = None
    ) -> Iterator[Found]:
        """Every hole of a range; what is read is counted where it is read for the first time."""
        length = length_of(series)
        incomplete: list[Range] = []

        def open_times() -> Iterator[int]:
            for page in pages(series.symbol, Candle, within, market, (("timeframe", str(series.timeframe)),)):
                if counted_ms is not None:
                    self.counts(series).read(page, Candle.time_field, counted_ms - self._look_back_ms)
                for bar in page:
                    if not whole(bar):
                        _add(incomplete, Range(bar.open_time, bar.open_time + length))
                    yield bar.open_time

        for hole in missing(open_times(), within, length):
            if not nothing_traded(series.symbol, hole, market):
                yield Found(hole, UNKNOWN, f"{hole.bars(length)} of the bars that must be there are not stored")
        for each in incomplete:
            evidence = f"trades are missing in or beside {each.bars(length)} bars that were derived from trades"
            yield Found(each, UNKNOWN, evidence)


def length_of(series: Series) -> int:
    """The length of its bars in ms."""
    assert series.timeframe is not None
    return TIMEFRAMES[series.timeframe]


def whole(bar: Candle) -> bool:
    """Whether nothing is missing of a stored bar."""
    return bar.complete or bar.source != Source.TRADES


def whole_bars(within: Range, length_ms: int) -> Range:
    """The least range of bars of that length that holds it."""
    return Range(within.start_ms // length_ms * length_ms, first_whole(within.end_ms, length_ms))


def bars(series: Series, within: Range, market: MarketStore) -> Iterator[Candle]:
    """The stored bars of the range, oldest first."""
    for page in pages(series.symbol, Candle, within, market, (("timeframe", str(series.timeframe)),)):
        yield from page


def first_event_ms(series: Series, market: MarketStore) -> int | None:
    """When the symbol's data begins: its first trade, or the end of the series' own first bar; None without either."""
    traded, own = edge_ms(Series(series.symbol, Trade), market), edge_ms(series, market)
    begins = [traded, None if own is None else own + length_of(series)]
    return min((begin for begin in begins if begin is not None), default=None)


def nothing_traded(symbol: Symbol, hole: Range, market: MarketStore) -> bool:
    """Whether the trades on both sides prove that there was none between them: a minute without any has no bar."""
    trade_before, aggregate_before, trade_after, aggregate_after = market.neighbours(symbol, hole.start_ms, hole.end_ms)
    if trade_before and trade_after and trade_before.last_id + 1 == trade_after.first_id:
        return True
    return bool(aggregate_before and aggregate_after and aggregate_before.trade_id + 1 == aggregate_after.trade_id)


def _parts(hole: Found, part: Range, shared_ms: int, below: str) -> Iterator[Found]:
    """A hole whose bars below are whole from `shared_ms` on, and not kept before."""
    if part.start_ms < shared_ms:
        yield hole._replace(missing=Range(part.start_ms, min(part.end_ms, shared_ms)))
    if part.end_ms > shared_ms:
        evidence = f"{hole.evidence}; the {below} bars below are whole: nothing but a roll-up is missing"
        yield hole._replace(missing=Range(max(part.start_ms, shared_ms), part.end_ms), evidence=evidence)


def _add(ranges: list[Range], following: Range) -> None:
    """Append a range, or let the last one grow where they touch."""
    if ranges and ranges[-1].end_ms == following.start_ms:
        ranges[-1] = Range(ranges[-1].start_ms, following.end_ms)
    else:
        ranges.append(following)


def _bounded(holes: Sequence[Range], begin: int) -> tuple[Range, ...]:
    """No more of them than MAX_HOLES, and none before the beginning."""
    left = [Range(max(hole.start_ms, begin), hole.end_ms) for hole in holes if hole.end_ms > begin]
    if len(left) > MAX_HOLES:
        left[MAX_HOLES - 1 :] = [Range(left[MAX_HOLES - 1].start_ms, left[-1].end_ms)]
    return tuple(left)

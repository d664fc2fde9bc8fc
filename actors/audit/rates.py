"""What is missing of a symbol's settled funding rates."""

from __future__ import annotations

from collections.abc import Iterator

from data_manager.actors.audit.candles import UNKNOWN, Audited
from data_manager.actors.audit.funding import unsettled
from data_manager.actors.audit.gaps import Found, stamp
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.measured import Hourly
from data_manager.actors.audit.reading import edge_ms, pages
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import Funding, Series, Trade
from data_manager.storage.retention import DAY_MS, Retention

MAX_HOLES = 1_000  # of one symbol that are kept in mind


class FundingAudit:
    """Keeps how far every symbol's rates are known to have settled until `forget`."""

    def __init__(self, retention: Retention, grace_ms: int, look_back_ms: int = DAY_MS) -> None:
        self._retention = retention
        self._grace_ms = grace_ms
        self._look_back_ms = look_back_ms
        self._known: dict[Series, tuple[int, int, tuple[Range, ...]]] = {}  # begin, through, what was missing
        self._counts: dict[Series, Hourly] = {}

    def forget(self) -> None:
        """Begin at the beginning the next time."""
        self._known.clear()
        self._counts.clear()

    def look(self, series: Series, now_ms: int, market: MarketStore, *, within: Range | None = None) -> Audited:
        """The rates that must have settled since the symbol's first event and are not stored as settled.

        Looks at what is new and at what was missing; `within` a range, if one is given, at that alone.
        """
        due, kept = now_ms - self._grace_ms, self._kept(series, now_ms)
        begin, through, known = self._known.get(series) or (self._begin(series, market), None, ())
        if begin is None:
            return Audited(series, (), (), kept)
        begin = max(begin, kept)
        through = begin if through is None else max(through, begin)
        holes = [hole for hole in known if hole.start_ms >= kept]
        ranges = [*holes, Range(through, max(through, due))] if within is None else [_clipped(within, begin, due)]
        ranges = [each for each in ranges if each.start_ms < each.end_ms]
        missing = [
            hole for each in ranges for hole in unsettled(self._rows(series, each, through, now_ms, market), each)
        ]
        if within is None:
            self._known[series] = begin, max(through, due), tuple(missing[:MAX_HOLES])
        return Audited(series, ranges, [found(hole) for hole in missing], kept)

    def counts(self, series: Series) -> Hourly:
        """What was counted while its rates were read."""
        return self._counts.setdefault(series, Hourly())

    def holes(self, series: Series) -> tuple[Range, tuple[Range, ...]]:
        """What was audited by now, and what of it is missing."""
        begin, through, missing = self._known.get(series, (0, 0, ()))
        return Range(begin, through), missing

    def _rows(self, series: Series, within: Range, through: int, now_ms: int, market: MarketStore) -> Iterator[Funding]:
        for page in pages(series.symbol, Funding, within, market):
            if within.start_ms >= through:
                self.counts(series).read(page, Funding.time_field, now_ms - self._look_back_ms)
            yield from page

    def _begin(self, series: Series, market: MarketStore) -> int | None:
        firsts = edge_ms(series, market), edge_ms(Series(series.symbol, Trade), market)
        return min((first for first in firsts if first is not None), default=None)

    def _kept(self, series: Series, now_ms: int) -> int:
        days = self._retention.of(series)
        return 0 if days is None else now_ms - days * DAY_MS


def _clipped(within: Range, begin: int, due: int) -> Range:
    return Range(max(within.start_ms, begin), min(within.end_ms, due))


def found(hole: Range) -> Found:
    """A rate that is missing as an audit tells it."""
    return Found(hole, UNKNOWN, f"no settled rate of {stamp(hole.start_ms)} is stored")

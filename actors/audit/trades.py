"""What is missing of a symbol's trades, by their raw ids; what was proven is not read again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from data_manager.actors.audit.candles import UNKNOWN, Audited
from data_manager.actors.audit.coverage import Coverage, Hole
from data_manager.actors.audit.gaps import Found
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.measured import Hourly
from data_manager.actors.audit.reading import pages
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import Series, Trade
from data_manager.storage.retention import DAY_MS, Retention

CALL_PAGES = 20  # of one call, so that a store's thread is never held for long
OVERLAP_MS = 60_000  # read again each time: of two kinds of trades one may come later than the other


class _Read:
    """One symbol's ids, read from `begin_ms` through `through_ms`; `cursor_ms` is where reading goes on."""

    def __init__(self, begin_ms: int) -> None:
        self.coverage = Coverage()
        self.counts = Hourly()
        self.begin_ms = self.through_ms = self.cursor_ms = begin_ms
        self._newest: dict[str, Trade] = {}  # by kind

    def note_repeats(self, trades: Sequence[Trade]) -> None:
        """Count trades that cover ids which one of their own kind, with a lesser id of its own, covers already."""
        for trade in trades:
            newest = self._newest.get(trade.kind)
            if newest is not None and trade.trade_id > newest.trade_id and trade.first_id <= newest.last_id:
                self.counts.at(trade.time_ms).repeats += 1
            if newest is None or trade.trade_id > newest.trade_id:
                self._newest[trade.kind] = trade


class TradeAudit:
    """Keeps what is known of every symbol's trades until `forget`."""

    def __init__(self, retention: Retention, grace_ms: int, look_back_ms: int = DAY_MS) -> None:
        self._retention = retention
        self._grace_ms = grace_ms
        self._look_back_ms = look_back_ms
        self._read: dict[Series, _Read] = {}

    def forget(self) -> None:
        """Begin at the beginning the next time."""
        self._read.clear()

    def read(self, series: Series, now_ms: int, market: MarketStore, since_ms: int = 0) -> bool:
        """Read on, a bounded number of pages; True when all is read. Raises StoreError.

        The first time from `since_ms`, but not before what retention keeps.
        """
        known = self._read.get(series)
        if known is None:
            known = _Read(max(since_ms, self._kept(series, now_ms)))
            known.coverage.add(before(series, known.begin_ms, market))
            known.coverage.holes.clear()  # between the two kinds, from before the beginning: not read
            self._read[series] = known
        rest, read = Range(known.cursor_ms, now_ms + 1), 0
        for page in islice(pages(series.symbol, Trade, rest, market), CALL_PAGES):
            read += 1
            fresh = [trade for trade in page if trade.time_ms > known.through_ms]
            known.counts.read(fresh, Trade.time_field, now_ms - self._look_back_ms)
            known.note_repeats(fresh)
            known.counts.at(page[-1].time_ms).ids += known.coverage.add(page)
            known.cursor_ms = page[-1].time_ms
            known.through_ms = max(known.through_ms, known.cursor_ms)
        if read == CALL_PAGES:
            return False
        known.cursor_ms = max(known.begin_ms, known.through_ms - OVERLAP_MS)
        return True

    def look(self, series: Series, now_ms: int, market: MarketStore, known: Sequence[Range] = ()) -> Audited:
        """What is missing of what has been read, after a second look at the rows between the ends of each hole.

        Of the gaps that are `known` those from before the beginning are looked at again too.
        """
        read, kept = self._read[series], self._kept(series, now_ms)
        coverage = read.coverage
        for hole in tuple(coverage.holes):
            for page in pages(series.symbol, Trade, range_of(hole), market):
                coverage.add(page)
        coverage.holes = [hole for hole in coverage.holes if hole.after_ms >= kept]
        holes = [hole for hole in coverage.holes if hole.after_ms <= now_ms - self._grace_ms]
        audited = [Range(max(read.begin_ms, kept), now_ms)]
        for gap in known:
            if kept < gap.end_ms and gap.start_ms < audited[0].start_ms:
                holes += covered(series, gap, market).holes
                audited.append(gap)
        return Audited(series, audited, [found(hole) for hole in sorted(set(holes))], kept)

    def look_again(self, series: Series, within: Range, now_ms: int, market: MarketStore) -> Audited:
        """What is missing between the trades beside a range, whatever was known before."""
        holes = covered(series, within, market).holes
        return Audited(series, (within,), [found(hole) for hole in holes], self._kept(series, now_ms))

    def counts(self, series: Series) -> Hourly:
        """What was counted while its trades were read."""
        return self._read[series].counts if series in self._read else Hourly()

    def missing_ids(self, series: Series, since_ms: int) -> int:
        """How many ids are missing of those that were traded since then."""
        known = self._read.get(series)
        return sum(hole.ids for hole in known.coverage.holes if hole.after_ms >= since_ms) if known else 0

    def _kept(self, series: Series, now_ms: int) -> int:
        days = self._retention.of(series)
        return 0 if days is None else now_ms - days * DAY_MS


def covered(series: Series, within: Range, market: MarketStore) -> Coverage:
    """The ids of a range, and of the trades beside it; its holes are those that reach into the range."""
    coverage = Coverage()
    coverage.add(before(series, within.start_ms, market))
    for page in pages(series.symbol, Trade, within, market):
        coverage.add(page)
    coverage.add(after(series, within.end_ms, market))
    # the raw trade and the aggTrade beside it may lie far apart, and what is between them has not been read
    coverage.holes = [h for h in coverage.holes if h.after_ms >= within.start_ms and h.before_ms < within.end_ms]
    return coverage


def before(series: Series, time_ms: int, market: MarketStore) -> list[Trade]:
    """The last trades of each kind before that time."""
    return [trade for trade in market.neighbours(series.symbol, time_ms, time_ms)[:2] if trade]


def after(series: Series, time_ms: int, market: MarketStore) -> list[Trade]:
    """The first trades of each kind from that time on."""
    return [trade for trade in market.neighbours(series.symbol, time_ms, time_ms)[2:] if trade]


def range_of(hole: Hole) -> Range:
    """The time of a hole, with that of the trades beside it."""
    return Range(min(hole.before_ms, hole.after_ms), max(hole.before_ms, hole.after_ms) + 1)


def found(hole: Hole) -> Found:
    """A hole as an audit tells it."""
    ids = f"{hole.first}" if hole.ids == 1 else f"{hole.first}..{hole.last}"
    return Found(range_of(hole), UNKNOWN, f"no trade covers {hole.ids} ids: {ids}")

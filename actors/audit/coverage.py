"""Which raw trade ids are missing between those that are known. Pure; memory grows with the holes, not the trades.

A trade covers its id, an aggTrade `first_id..last_id`; the ids between two aggTrades with consecutive own ids are the
exchange's (insurance fund, ADL) and nothing is missing there. Trades may come in any order and more than once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import msgspec

from data_manager.storage.records import Trade

AGGREGATE = "aggTrade"
MAX_HOLES = 10_000  # beyond it the two that are nearest to each other count as one
MAX_ENDS = 10_000  # aggTrades whose neighbour has not come; beyond it the oldest proves nothing more


class Hole(msgspec.Struct, frozen=True, order=True):
    """Ids `first..last` that nothing covers, and the times of the trades beside them."""

    first: int
    last: int
    before_ms: int
    after_ms: int

    @property
    def ids(self) -> int:
        """How many they are."""
        return self.last - self.first + 1

    def without(self, first: int, last: int, time_ms: int) -> Iterator[Hole]:
        """What is left of it beside ids that were traded at that time."""
        if first > self.first:
            yield Hole(self.first, first - 1, self.before_ms, time_ms)
        if last < self.last:
            yield Hole(last + 1, self.last, time_ms, self.after_ms)


class Coverage:
    """The ids of one symbol from the least that was ever given to the greatest."""

    def __init__(self) -> None:
        self.holes: list[Hole] = []  # ascending, never touching
        self._first: int | None = None
        self._reached = -1
        self._first_ms = self._reached_ms = 0
        self._ends: dict[int, tuple[int, int]] = {}  # own id of an aggTrade without successor -> last id, its time
        self._starts: dict[int, tuple[int, int]] = {}  # ... without predecessor -> first id, its time

    @property
    def span(self) -> tuple[int, int] | None:
        """The least and the greatest id that is covered."""
        return None if self._first is None else (self._first, self._reached)

    def add(self, trades: Iterable[Trade]) -> int:
        """Take these trades; returns how many ids were covered for the first time."""
        return sum(self._take(trade) for trade in trades)

    def _take(self, trade: Trade) -> int:
        covered = self._cover(trade.first_id, trade.last_id, trade.time_ms)
        return covered + self._between(trade) if trade.kind == AGGREGATE else covered

    def _between(self, trade: Trade) -> int:
        """The exchange's own ids beside an aggTrade, once its neighbour is known too."""
        covered, number = 0, trade.trade_id
        if end := self._ends.pop(number - 1, None):
            covered += self._cover(end[0] + 1, trade.first_id - 1, end[1])
        else:
            _put(self._starts, number, (trade.first_id, trade.time_ms))
        if start := self._starts.pop(number + 1, None):
            covered += self._cover(trade.last_id + 1, start[0] - 1, start[1])
        else:
            _put(self._ends, number, (trade.last_id, trade.time_ms))
        return covered

    def _cover(self, first: int, last: int, time_ms: int) -> int:
        if last < first:
            return 0
        if self._first is None:
            self._first, self._first_ms = first, time_ms
            self._reached, self._reached_ms = last, time_ms
            return last - first + 1
        covered = self._fill(first, last, time_ms) if self.holes and first <= self.holes[-1].last else 0
        if first < self._first:
            covered += self._prepend(first, last, time_ms)
        if last > self._reached:
            covered += self._append(first, last, time_ms)
        return covered

    def _prepend(self, first: int, last: int, time_ms: int) -> int:
        assert self._first is not None
        if last + 1 < self._first:
            self._insert(Hole(last + 1, self._first - 1, time_ms, self._first_ms))
        covered = min(last, self._first - 1) - first + 1
        self._first, self._first_ms = first, time_ms
        return covered

    def _append(self, first: int, last: int, time_ms: int) -> int:
        if first > self._reached + 1:
            self._insert(Hole(self._reached + 1, first - 1, self._reached_ms, time_ms))
        covered = last - max(first - 1, self._reached)
        self._reached, self._reached_ms = last, time_ms
        return covered

    def _insert(self, hole: Hole) -> None:
        if self.holes and hole.first < self.holes[0].first:
            self.holes.insert(0, hole)
        else:
            self.holes.append(hole)
        if len(self.holes) > MAX_HOLES:
            self._join_nearest()

    def _join_nearest(self) -> None:
        pairs = range(len(self.holes) - 1)
        at = min(pairs, key=lambda index: self.holes[index + 1].first - self.holes[index].last)
        left, right = self.holes[at], self.holes.pop(at + 1)
        self.holes[at] = Hole(left.first, right.last, left.before_ms, right.after_ms)

    def _fill(self, first: int, last: int, time_ms: int) -> int:
        """Take the ids out of the holes that hold them."""
        begin = bisect_left(self.holes, first, key=lambda hole: hole.last)
        end = bisect_right(self.holes, last, key=lambda hole: hole.first)
        touched = self.holes[begin:end]
        parts = [part for hole in touched for part in hole.without(first, last, time_ms)]
        self.holes[begin:end] = parts
        return sum(hole.ids for hole in touched) - sum(part.ids for part in parts)


def _put(ends: dict[int, tuple[int, int]], number: int, end: tuple[int, int]) -> None:
    ends[number] = end
    if len(ends) > MAX_ENDS:
        del ends[next(iter(ends))]

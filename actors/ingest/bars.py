"""Bars of one symbol: which must be derived, when, and from what.

The store knows everything that matters: its trades, and its *dirty* minutes, those that changed since their
bar was derived. What is kept here is a mirror of the dirty minutes, running totals that save reading trades
back, and the time to wait, so that any crash is mended by `recover`. A minute is marked dirty in the
transaction that brings its trades, together with the last minute of each longer bar around it that is still
open: when that one is derived, with trades or without, the longer bars are rolled up.

Whether a bar is complete depends on the nearest trades around its minute too. Hence whatever derives a minute
also derives its incomplete neighbours again, in the same transaction.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from data_manager.actors.ingest.candles import CHILD, Neighbours, Tally, derive, from_tally, roll_up
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Candle, Source, Symbol, Trade
from data_manager.system.clock import Clock
from data_manager.system.clock import now_ms as wall_ms

GRACE_MS = 2_000  # after the close of a bar, for trades on their way, unless a later trade has come
SETTLE_S = 0.5  # from a minute's first change to its bar, or a flood of old trades would derive it each batch
REST = 10  # and this many times as long as the last round took: deriving is never most of the work
MAX_TALLIES = 32  # minutes with running totals; older ones are derived from stored trades
MAX_DERIVED = 20  # minutes of one `derive`, which bounds its transaction
MAX_DIRTY = 5_000  # beyond it nothing waits for SETTLE_S

_BEYOND_MS = 253_402_300_799_999  # later than any trade; the end of 9999, which every store can still compare with

BarKey = tuple[str, int]  # timeframe, open time

_Counted = tuple[str, Tally]  # the one kind of trades that a minute holds, and their totals


class _Incomplete(NamedTuple):
    """A derived minute whose bar the first trades of a minute still open may complete."""

    minute: int
    wait_s: float  # doubled by each attempt; the last one comes with that minute's own bar
    ready_at: float


class Bars:
    """Keeps the derived bars of one symbol up with its trades; used from the thread that owns the store.

    The order of calls: `before_write`, the write, `after_write` once it is committed; and whenever `due` is
    not empty `derive`, whose answer goes into a write of its own, or into the next one if `before_write` is
    called after it. When a write fails in any way, what is known here is void: call `recover` before anything
    else. Only a write that was refused before `derive` (RowRefused) may simply be prepared again.
    """

    def __init__(self, symbol: Symbol, store: MarketStore, clock: Clock) -> None:
        self._symbol = symbol
        self._store = store
        self._clock = clock
        self._dirty: dict[int, float] = {}  # minute -> monotonic time from which it may be derived
        self._tallies: dict[int, _Counted] = {}  # only of minutes whose every stored trade was counted
        self._newest = -1  # the latest minute with a trade
        self._settle_s = SETTLE_S
        self._incomplete: _Incomplete | None = None

    def recover(self) -> None:
        """Forget everything and read it from the store; at the start and after a write that failed."""
        now = self._clock.monotonic()
        self._dirty = dict.fromkeys(self._store.dirty_minutes(self._symbol), now)
        last = self._store.neighbours(self._symbol, _BEYOND_MS, _BEYOND_MS)
        self._newest = max((_minute_of(trade) for trade in last if trade), default=-1)
        self._tallies = {}
        self._incomplete = None
        if self._newest in self._dirty:  # more of it may come, also long after its close: the backlog of an outage
            self._count(self._newest, self._trades(self._newest), first=True)

    def before_write(self, trades: Sequence[Trade], closed: Iterable[BarKey] = ()) -> set[int]:
        """The minutes that the write of these trades and closed bars must mark dirty; changes nothing."""
        return self._marks(_by_minute(trades), closed) - self._dirty.keys()

    def after_write(self, trades: Sequence[Trade], all_new: bool, closed: Iterable[BarKey] = ()) -> None:
        """Take note of what was committed; `all_new` when the store held none of these trades before."""
        groups = _by_minute(trades)
        self._await(self._marks(groups, closed))
        for minute, group in groups.items():
            if all_new:
                self._count(minute, group, first=minute > self._newest)
            else:
                self._tallies.pop(minute, None)
        while len(self._tallies) > MAX_TALLIES:
            del self._tallies[min(self._tallies)]
        self._newest = max(self._newest, *groups) if groups else self._newest

    def closed(self, timeframe: str, open_time: int) -> None:
        """Take note of a closed bar that somebody else has stored, so that the longer bars are rolled up."""
        self._await(self._marks((), [(timeframe, open_time)]))

    def due(self, now_ms: int) -> list[int]:
        """The minutes to derive now, oldest first, at most MAX_DERIVED.

        A minute is due once a later minute has a trade or its close is GRACE_MS past by the wall clock, and
        SETTLE_S have gone by since it changed.
        """
        now = self._clock.monotonic()
        if len(self._dirty) > MAX_DIRTY:
            now = float("inf")
        ready = [
            minute
            for minute, ready_at in self._dirty.items()
            if ready_at <= now and self._passed(minute + MINUTE_MS, now_ms)
        ]
        again = self._incomplete
        if again and again.minute not in ready and again.minute < self._newest and again.ready_at <= now:
            ready.append(again.minute)
        return heapq.nsmallest(MAX_DERIVED, ready)

    def derive(self, now_ms: int) -> tuple[list[Candle], set[int]]:
        """Derive what is due: `Write.derived` and `Write.clean_minutes` of the write that must follow.

        The bars are those of the due minutes, of their incomplete neighbours, and of every longer bar around
        them that has ended and holds no other dirty minute (a later call rolls that one up).
        """
        began = self._clock.monotonic()
        due = self.due(now_ms)
        for minute in due:
            self._dirty.pop(minute, None)
        bars: dict[BarKey, Candle] = {}
        minutes = set(due)
        for minute in due:
            around = self._store.neighbours(self._symbol, minute, minute + MINUTE_MS)
            self._derive_minute(bars, minute, around, now_ms)
            for beside in self._incomplete_beside(around) - minutes:
                minutes.add(beside)
                around = self._store.neighbours(self._symbol, beside, beside + MINUTE_MS)
                self._derive_minute(bars, beside, around, now_ms)
        self._roll_up(bars, minutes, now_ms)
        # halved, not forgotten: a cheap round for one minute says little about the next one for another
        self._settle_s = max(SETTLE_S, REST * (self._clock.monotonic() - began), self._settle_s / 2)
        return list(bars.values()), set(due)

    def _passed(self, end: int, now_ms: int) -> bool:
        return self._newest >= end or now_ms >= end + GRACE_MS

    def _trades(self, minute: int) -> list[Trade]:
        return self._store.trades_between(self._symbol, minute, minute + MINUTE_MS)

    def _marks(self, minutes: Iterable[int], closed: Iterable[BarKey]) -> set[int]:
        """These minutes, the last one of each closed bar, and the last one of every open bar around them."""
        now = wall_ms(self._clock)
        changed = {*minutes, *(start + TIMEFRAMES[timeframe] - MINUTE_MS for timeframe, start in closed)}
        ends = {
            minute - minute % length + length
            for minute in changed - self._dirty.keys()  # for a dirty one they are marked already
            for length in TIMEFRAMES.values()
        }
        return changed | {end - MINUTE_MS for end in ends if not self._passed(end, now)}

    def _await(self, minutes: Iterable[int]) -> None:
        ready_at = self._clock.monotonic() + self._settle_s
        for minute in minutes:
            self._dirty.setdefault(minute, ready_at)

    def _count(self, minute: int, trades: Sequence[Trade], first: bool) -> None:
        """Add trades to the totals of their minute; they start with its first trades, or never."""
        if first:
            self._tallies[minute] = (trades[0].kind, Tally())
        elif minute not in self._tallies:
            return
        kind, tally = self._tallies[minute]
        if {trade.kind for trade in trades} == {kind}:
            tally.add(trades)
        else:
            del self._tallies[minute]

    def _derive_minute(self, bars: dict[BarKey, Candle], minute: int, around: Neighbours, now_ms: int) -> None:
        wait_s = self._settle_s
        if self._incomplete and self._incomplete.minute == minute:
            wait_s, self._incomplete = 2 * self._incomplete.wait_s, None
        if (stored := self._stored(minute)) and stored.source != Source.TRADES:
            return
        kind, tally = self._tallies.get(minute, ("", None))
        if tally is None or tally.overlapped(around):
            bar = derive(self._trades(minute), minute, around, now_ms)
        else:
            bar = from_tally(tally, kind, minute, around, now_ms)
        if bar is None:
            return
        bars["1m", minute] = bar
        _, after = _beside(around)
        if not bar.complete and (after is None or not self._passed(after + MINUTE_MS, now_ms)):
            self._incomplete = _Incomplete(minute, wait_s, self._clock.monotonic() + wait_s)

    def _incomplete_beside(self, around: Neighbours) -> set[int]:
        """The nearest minutes with trades whose bars are incomplete and that are not dirty anyway."""
        beside = {minute for minute in _beside(around) if minute is not None}
        return {minute for minute in beside - self._dirty.keys() if (bar := self._stored(minute)) and not bar.complete}

    def _stored(self, minute: int) -> Candle | None:
        bars = self._candles("1m", minute, minute + MINUTE_MS)
        return bars[0] if bars else None

    def _candles(self, timeframe: str, start: int, end: int) -> list[Candle]:
        query = Query(start, end, (("timeframe", timeframe),), limit=(end - start) // TIMEFRAMES[timeframe])
        return self._store.rows(self._symbol, Candle, query)

    def _roll_up(self, bars: dict[BarKey, Candle], minutes: set[int], now_ms: int) -> None:
        dirty = sorted(self._dirty)
        for timeframe, child in CHILD.items():
            length = TIMEFRAMES[timeframe]
            for start in sorted({minute - minute % length for minute in minutes}):
                following = bisect_left(dirty, start)
                holds_dirty = following < len(dirty) and dirty[following] < start + length
                if holds_dirty or not self._passed(start + length, now_ms):
                    continue
                bar = roll_up(self._children(bars, child, start, start + length), timeframe, start, now_ms)
                if bar is not None:
                    bars[timeframe, start] = bar

    def _children(self, bars: dict[BarKey, Candle], timeframe: str, start: int, end: int) -> list[Candle]:
        """The bars of a range as they will stand when those just derived are written."""
        there = {bar.open_time: bar for bar in self._candles(timeframe, start, end)}
        for open_time in range(start, end, TIMEFRAMES[timeframe]):
            bar = bars.get((timeframe, open_time))
            if bar and (open_time not in there or _replaces(bar, there[open_time])):
                there[open_time] = bar
        return list(there.values())


def _by_minute(trades: Sequence[Trade]) -> dict[int, Sequence[Trade]]:
    minutes = [trade.time_ms // MINUTE_MS * MINUTE_MS for trade in trades]
    if len(set(minutes)) == 1:  # most batches: spares building the lists
        return {minutes[0]: trades}
    groups: dict[int, list[Trade]] = {}
    for minute, trade in zip(minutes, trades, strict=True):
        groups.setdefault(minute, []).append(trade)
    return {**groups}


def _minute_of(trade: Trade) -> int:
    return trade.time_ms - trade.time_ms % MINUTE_MS


def _beside(around: Neighbours) -> tuple[int | None, int | None]:
    """The nearest minutes with trades, before and after."""
    before = [_minute_of(trade) for trade in around[:2] if trade]
    after = [_minute_of(trade) for trade in around[2:] if trade]
    return max(before, default=None), min(after, default=None)


def _replaces(bar: Candle, there: Candle) -> bool:
    """What the store decides when it is given a derived bar."""
    both_of_trades = bar.source == there.source == Source.TRADES
    return bar.rank > there.rank or (both_of_trades and (bar.trades_count or 0) >= (there.trades_count or 0))

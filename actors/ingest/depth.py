"""Depth events: which are snapshots, and whether the changes between them are unbroken.

Binance gives a partial book (a replacement of the top levels) and a change of the book the same event name,
and the socket client gives both the same stream name. `SnapshotTest` tells them apart, `Chain` watches the
changes.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from data_manager.actors.ingest.numbers import check_column
from data_manager.storage.records import Levels

MAX_LEVELS = 20  # of a partial book's side
SIZES = (5, 10, 20)  # of the partial books that Binance offers

GRACE_MS = 2000  # how long a missing link may come late: five publishers share one queue and overtake each other
MAX_WAITING = 256  # updates that wait for a link: 25 s of a 100 ms stream

_depth_stream = re.compile(r"@depth([0-9]*)(?:@|$)", re.IGNORECASE).search
_zero = re.compile(r" 0++(?:\.0++)?+ ").search


def check_levels(bids: Levels, asks: Levels) -> bool:
    """Whether the levels cannot be those of a partial book, so that the event must be a change.

    A quantity of zero deletes its level, no partial book is longer than MAX_LEVELS, and each is best first.
    Raises DataError `bad_number` for a price or quantity that is no plain decimal.
    """
    bid_prices, ask_prices = [price for price, _ in bids], [price for price, _ in asks]
    bid_column, ask_column = check_column(bid_prices), check_column(ask_prices)
    quantities = check_column([quantity for side in (bids, asks) for _, quantity in side])
    return (
        max(len(bids), len(asks)) > MAX_LEVELS
        or _zero(f" {quantities}") is not None
        or not _is_sorted(bid_prices, bid_column, descending=True)
        or not _is_sorted(ask_prices, ask_column, descending=False)
    )


def _is_sorted(prices: list[str], column: str, descending: bool) -> bool:
    """Where all points stand in line, texts sort as numbers do, and five times cheaper than floats."""
    if not prices:
        return True
    count, width, point = len(prices), len(prices[0]), prices[0].find(".")
    in_line = column[width :: width + 1] == " " * count
    if in_line and column[point :: width + 1] == "." * count:
        return prices == sorted(prices, reverse=descending)
    numbers = [float(price) for price in prices]
    return numbers == sorted(numbers, reverse=descending)


class SnapshotTest:
    """Whether the depth events of one symbol are snapshots (`DEPTH_KIND`, and the contract's ordered rule).

    It remembers the first proof of a diff stream: from then on no event is taken for a snapshot.
    """

    def __init__(self, kind: Literal["auto", "partial", "diff"]) -> None:
        self._kind = kind
        self._proven_diff = False

    def is_snapshot(self, sizes: tuple[int, int], looks_diff: bool, stream: str) -> bool:
        """Judge one event by its numbers of bids and asks, `check_levels`, and its stream's name or `""`."""
        if self._kind != "auto":
            return self._kind == "partial"
        named = _depth_stream(stream)
        if named and not named[1]:
            return False  # it says so itself: no proof against another stream, whose name says nothing
        self._proven_diff = self._proven_diff or looks_diff
        if self._proven_diff:
            return False
        if named and named[1] in map(str, SIZES):
            return True
        return sizes[0] == sizes[1] and sizes[0] in SIZES


class Update(msgspec.Struct, frozen=True, gc=False):
    """The place of one change in its chain: it follows the one whose `final_id` is its `previous_id`."""

    previous_id: int
    final_id: int


class Break(msgspec.Struct, frozen=True):
    """A link that never came: the chain ended at `last_id`, the next update follows `next_previous_id`."""

    last_id: int
    next_previous_id: int
    found_ms: int


class Chain:
    """The diff depth updates of one symbol, in whatever order they arrive.

    Each update is counted once: `unbroken` when it follows its predecessor, `broken` when its predecessor
    never came, `late` when the chain is beyond it already (a copy, or older than the first one seen). Those
    that wait for their link are `pending`.
    """

    def __init__(self) -> None:
        self.unbroken = 0
        self.broken = 0
        self.late = 0
        self._last_id: int | None = None
        self._waiting: dict[int, tuple[int, int]] = {}  # previous id -> (final id, since ms), oldest first

    @property
    def pending(self) -> int:
        """How many updates wait for their link; at most MAX_WAITING."""
        return len(self._waiting)

    def observe(self, update: Update, now_ms: int) -> list[Break]:
        """Take one update that arrived at `now_ms`; returns the breaks that are certain by now."""
        if self._last_id is None:
            self._last_id = update.final_id
            self.unbroken += 1
        elif update.final_id <= self._last_id or update.previous_id in self._waiting:
            self.late += 1
        else:
            self._waiting[update.previous_id] = (update.final_id, now_ms)
            self._link(self._last_id)
        return self.expire(now_ms)

    def expire(self, now_ms: int) -> list[Break]:
        """Give up links missing for GRACE_MS; called by a timer too, since a stream can fall silent."""
        breaks = []
        while self._waiting and self._last_id is not None and self._is_overdue(now_ms):
            next_previous_id = min(self._waiting)
            breaks.append(Break(self._last_id, next_previous_id, now_ms))
            final_id, _ = self._waiting.pop(next_previous_id)
            self.broken += 1
            self._link(final_id)
        return breaks

    def _is_overdue(self, now_ms: int) -> bool:
        _, since_ms = next(iter(self._waiting.values()))
        return since_ms + GRACE_MS <= now_ms or len(self._waiting) > MAX_WAITING

    def _link(self, last_id: int) -> None:
        """Go on from `last_id` as far as the updates at hand reach; those overtaken on the way are late."""
        while (following := self._waiting.pop(last_id, None)) is not None:
            last_id = following[0]
            self.unbroken += 1
        self._last_id = last_id
        overtaken = [key for key, (final_id, _) in self._waiting.items() if final_id <= last_id]
        for key in overtaken:
            del self._waiting[key]
        self.late += len(overtaken)

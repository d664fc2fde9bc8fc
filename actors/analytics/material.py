"""What the documents of one symbol are made of. Pure."""

from __future__ import annotations

import msgspec

from data_manager.actors.analytics.bars import Bars
from data_manager.actors.analytics.book import Book
from data_manager.actors.analytics.documents import Summed
from data_manager.actors.analytics.results import Unknown
from data_manager.actors.analytics.spread import Sums
from data_manager.storage.records import TIMEFRAMES

BOOKS_IN = "1h"  # the timeframe whose spread is that of the newest book; of any other it is the average of a day's


class Material(msgspec.Struct, frozen=True, eq=False):
    """All that the documents of one symbol are made of, as of `at_ms`."""

    at_ms: int
    bars: dict[str, Bars]  # by timeframe
    inside: dict[str, Bars]  # by timeframe: the shorter bars that its newest one is made of
    newest_book: Book | Unknown
    books: Summed  # those since the cycle before
    day: Sums  # those of the last 24 hours

    def closed_ms(self, timeframe: str) -> int:
        """The close of the newest bar; without any, when it would have been."""
        bars = self.bars[timeframe]
        return int(bars.open_times[-1]) + bars.interval_ms if len(bars) else end_ms(timeframe, self.at_ms)


def end_ms(timeframe: str, at_ms: int) -> int:
    """When the newest bar that can be closed at that time has closed."""
    return at_ms // TIMEFRAMES[timeframe] * TIMEFRAMES[timeframe]

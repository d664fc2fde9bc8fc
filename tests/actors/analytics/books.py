"""Order books made by hand."""

from __future__ import annotations

import numpy as np

from data_manager.actors.analytics.book import Book, Side
from data_manager.storage.records import Depth, Levels
from tests.actors.analytics.series import START_MS

BIDS = ((99.0, 2.0), (98.0, 3.0), (90.0, 100.0))
ASKS = ((101.0, 1.0), (102.0, 4.0), (110.0, 100.0))


def book(
    bids: tuple[tuple[float, float], ...] = BIDS,
    asks: tuple[tuple[float, float], ...] = ASKS,
    time_ms: int = START_MS,
) -> Book:
    return Book(time_ms, *(Side(*np.array(side).T.copy()) for side in (bids, asks)))


def deep(mid: float = 40_000.0, levels: int = 21, tick: float = 10.0, time_ms: int = START_MS) -> Book:
    """Levels a tick apart, of growing size, more on the bid side; 21 of them reach beyond 50 basis points at 40,000."""
    places = np.arange(levels)
    bids = Side(mid - tick / 2 - tick * places, 2.0 + places)
    asks = Side(mid + tick / 2 + tick * places, 1.0 + places)
    return Book(time_ms, bids, asks)


def depth(bids: Levels, asks: Levels) -> Depth:
    return Depth(
        slot=1,
        time_ms=START_MS,
        last_update_id=1,
        bids=bids,
        asks=asks,
        feed_seq=0,
        market_seq=0,
        stored_ms=0,
    )

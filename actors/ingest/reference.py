"""Whether a book that names no symbol is the one it came as.

The socket client gives a spot partial book, which names no symbol, the first symbol of its own list. So such
a book is believed only while its mid price is near that symbol's newest trade or ticker.
"""

from __future__ import annotations

from data_manager.actors.ingest.quarantine import SYMBOL_MISMATCH
from data_manager.storage.records import Levels
from data_manager.system.errors import DataError

TOLERANCE = 0.03
MAX_AGE_MS = 60_000

Reference = tuple[str, int]  # a price and its event time in ms


def check_book(bids: Levels, asks: Levels, time_ms: int, reference: Reference | None) -> None:
    """Raises DataError `symbol_mismatch` unless the mid is within 3 % of a price of the same minute."""
    if reference is None or abs(time_ms - reference[1]) > MAX_AGE_MS:
        raise _mismatch("no trade or ticker of the last 60 s backs it")
    if not bids or not asks:
        raise _mismatch("with a side empty it has no mid price")
    price, mid = float(reference[0]), (float(bids[0][0]) + float(asks[0][0])) / 2
    if abs(mid - price) > TOLERANCE * price:
        raise _mismatch(f"its mid price {mid} is more than 3 % from {reference[0]}")


def _mismatch(why: str) -> DataError:
    return DataError(SYMBOL_MISMATCH, f"The book names no symbol, and {why}.")

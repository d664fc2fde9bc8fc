"""The ledger: for every event that was delivered, what became of it.

`received = stored + replaced + duplicate + skipped + quarantined`, per symbol and event type, whenever it is read
at rest. `redelivered` counts those of `received` that had been received before, so that
`published = received - redelivered`. Derived rows are not events and are not counted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from operator import sub
from typing import NamedTuple

import msgspec

OUTCOMES = ("stored", "replaced", "duplicate", "skipped", "quarantined")

LEDGER_BATCHES = 5000  # kept per symbol, newest first: the batches in which a redelivered event is recognised

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


class Counts(msgspec.Struct, frozen=True):
    """Totals of one event type; `+` adds two of them."""

    received: int = 0
    stored: int = 0
    replaced: int = 0
    duplicate: int = 0
    skipped: int = 0
    quarantined: int = 0
    redelivered: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            *(a + b for a, b in zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True))
        )

    @property
    def balanced(self) -> bool:
        """Whether every event received has exactly one outcome."""
        return self.received == self.stored + self.replaced + self.duplicate + self.skipped + self.quarantined


class BatchEntry(msgspec.Struct, frozen=True):
    """One delivery unit that was written: a MARKET message, or one cut of the router's own events.

    `positions` are the feed positions of its events, ascending: a later batch that brings one of them again is a
    redelivery, not a second event.
    """

    market_seq: int
    incarnation: int
    routed_through: int  # every FEED sequence up to here was routed when the batch was cut
    positions: tuple[int, ...]


class LedgerTotals(msgspec.Struct, frozen=True):
    """A symbol's ledger as it stands."""

    by_type: dict[str, Counts]
    last_market_seq: int
    incarnation: int
    routed_through: int
    last_position: int

    @property
    def total(self) -> Counts:
        """The sum over all event types."""
        return sum(self.by_type.values(), Counts())


class Head(NamedTuple):
    """Where the feed stands."""

    last_market_seq: int
    incarnation: int
    routed_through: int
    last_position: int

    def after(self, batch: BatchEntry) -> Head:
        """Where it stands when this batch is written too; batches may come in any order and more than once.

        A greater incarnation (the stream was made anew) starts its own count; a lesser one leaves it alone.
        """
        market_seq = max(self.last_market_seq, batch.market_seq)
        if batch.incarnation < self.incarnation:
            return self._replace(last_market_seq=market_seq)
        new = batch.incarnation > self.incarnation
        through, position = (0, 0) if new else (self.routed_through, self.last_position)
        last = max((position, *batch.positions[-1:]))
        return Head(market_seq, batch.incarnation, max(through, batch.routed_through), last)


def pack(positions: tuple[int, ...]) -> bytes:
    """Ascending positions as msgpack of the first and the differences: about 3 bytes each."""
    return _encode([positions[0], *map(sub, positions[1:], positions)])


def unpack(packed: bytes) -> Iterable[int]:
    """The positions that were packed."""
    return accumulate(_decode(packed))

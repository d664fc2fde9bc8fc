"""The ledger: for every event that was delivered, what became of it.

`received = stored + replaced + duplicate + skipped + quarantined`, per symbol and event type, whenever it is read
at rest. `redelivered` counts those of `received` that had been received before, so that
`published = received - redelivered`. Derived rows are not events and are not counted here.
"""

from __future__ import annotations

import msgspec

OUTCOMES = ("stored", "replaced", "duplicate", "skipped", "quarantined")


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

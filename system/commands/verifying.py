"""Holding the ledger against the rows of a market store: what was counted as stored must be there.

Compared are the types of which every event that is stored makes one row of its own, and nothing else makes any.
Bars and funding rates are also derived, repaired and replaced, so their rows tell nothing of their events.
"""

from __future__ import annotations

from typing import NamedTuple

from data_manager.actors.audit.coverage import Coverage, Hole
from data_manager.storage.ledger import Counts, LedgerTotals
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import (
    ALL_SYMBOLS,
    BookTicker,
    Depth,
    Liquidation,
    MarkPrice,
    Quarantined,
    Record,
    Series,
    Symbol,
    Ticker,
    Trade,
)
from data_manager.storage.retention import DAY_MS, Retention
from data_manager.storage.walking import following

BLOCK = 5_000  # trades that are in memory at a time
ALL_OF_THEM = 2**62  # counted to the end
UNDER_QUOTA = (Depth, BookTicker)  # may go before their time, for want of space


class Rows(NamedTuple):
    """Where an event type's rows are."""

    record: type[Record]
    kind: str | None = None  # of types that keep several


COMPARED: dict[str, Rows] = {
    "trade": Rows(Trade, "trade"),
    "aggTrade": Rows(Trade, "aggTrade"),
    "24hrTicker": Rows(Ticker, "24hrTicker"),
    "24hrMiniTicker": Rows(Ticker, "24hrMiniTicker"),
    "depthUpdate": Rows(Depth),
    "markPriceUpdate": Rows(MarkPrice),
    "bookTicker": Rows(BookTicker),
    "forceOrder": Rows(Liquidation),
}


class Compared(NamedTuple):
    """One event type: how many rows the ledger says were stored, before and after the rows were counted."""

    event_type: str
    least: int
    most: int
    rows: int
    may_go: bool  # the store may have deleted some since, by age or for want of space

    @property
    def problem(self) -> str | None:
        """What cannot be, in words."""
        if self.rows > self.most:
            return f"{self.event_type}: {self.rows:,} rows, but {self.most:,} were ever stored"
        if self.rows < self.least and not self.may_go:
            return f"{self.event_type}: {self.rows:,} rows, but {self.least:,} were stored"
        return None


class Verdict(NamedTuple):
    """What was found of one symbol."""

    symbol: Symbol
    totals: LedgerTotals
    compared: tuple[Compared, ...]
    trades: int  # that were looked at for holes
    hole: Hole | None  # the first

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words; empty when all is well."""
        unbalanced = [
            f"{name}: {counts.received:,} received, but {outcomes(counts):,} outcomes"
            for name, counts in self.totals.by_type.items()
            if not counts.balanced
        ]
        found = [each.problem for each in self.compared]
        hole = [] if self.hole is None else [f"trade ids {self.hole.first}..{self.hole.last} are missing"]
        return [*unbalanced, *(problem for problem in found if problem), *hole]


def verify(
    store: MarketStore, symbol: Symbol, kept: Retention, registered: dict[str, int], now: int, since: int
) -> Verdict:
    """Compare one symbol's ledger with its rows, and look for the first hole among trades from `since` (ms) on.

    `registered` says when each dataset first held data, for those of which that is known: with less than its
    retention behind it, nothing of it can have been deleted for its age. May be used while the service runs.
    """
    before = store.ledger(symbol)
    rows = {name: count(store, symbol, where) for name, where in COMPARED.items() if name in before.by_type}
    rest = store.count(symbol, Quarantined, Query(), ALL_OF_THEM)
    after = store.ledger(symbol)

    def may_go(record: type[Record]) -> bool:
        series = Series(symbol, record)
        days, first = kept.of(series), registered.get(series.dataset_id)
        young = days is None or (first is not None and first > now - days * DAY_MS)
        return record in UNDER_QUOTA or not young

    compared = [
        Compared(name, before.by_type[name].stored, after.by_type[name].stored, number, may_go(COMPARED[name].record))
        for name, number in rows.items()
    ]
    compared.append(Compared("quarantine", 0, after.total.quarantined, rest, may_go=True))
    trades, hole = first_hole(store, symbol, since) if symbol != ALL_SYMBOLS else (0, None)
    return Verdict(symbol, after, tuple(compared), trades, hole)


def outcomes(counts: Counts) -> int:
    """How many outcomes were counted."""
    return counts.stored + counts.replaced + counts.duplicate + counts.skipped + counts.quarantined


def count(store: MarketStore, symbol: Symbol, where: Rows) -> int:
    """The rows that events made: those without a place in the feed came from the exchange's REST side."""
    equal = () if where.kind is None else (("kind", where.kind),)
    every = store.count(symbol, where.record, Query(equal=equal), ALL_OF_THEM)
    if where.record is not Trade:
        return every
    return every - store.count(symbol, Trade, Query(equal=(*equal, ("feed_seq", 0))), ALL_OF_THEM)


def first_hole(store: MarketStore, symbol: Symbol, since: int) -> tuple[int, Hole | None]:
    """How many trades there are from that time on, and the first hole in their ids."""
    coverage, query, trades = Coverage(), Query(start_ms=since, limit=BLOCK), 0
    while found := store.rows(symbol, Trade, query):
        coverage.add(found)
        trades += len(found)
        query = following(query, found)
    return trades, coverage.holes[0] if coverage.holes else None

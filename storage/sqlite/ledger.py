"""The ledger inside a symbol's file: totals by event type, where the feed stands, and the newest batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import accumulate
from operator import sub
from typing import NamedTuple

import msgspec

from data_manager.storage.ledger import BatchEntry, Counts, LedgerTotals

LEDGER_BATCHES = 5000  # kept per symbol, newest first: the batches in which a redelivered event is recognised

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode

_COUNTERS = Counts.__struct_fields__
_ADD_COUNTS = (
    f"INSERT INTO ledger VALUES (?{', ?' * len(_COUNTERS)}) ON CONFLICT (event_type) DO UPDATE SET "  # noqa: S608
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTERS)
)


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


def add_counts(connection: sqlite3.Connection, counts: dict[str, Counts]) -> None:
    """Add to the totals."""
    rows = ((event_type, *msgspec.structs.astuple(delta)) for event_type, delta in counts.items())
    connection.executemany(_ADD_COUNTS, rows)


def add_batches(connection: sqlite3.Connection, batches: list[BatchEntry]) -> None:
    """Move the head, and keep the newest LEDGER_BATCHES batches that have a MARKET sequence."""
    if not batches:
        return
    head = Head(*connection.execute(f"SELECT {', '.join(Head._fields)} FROM head").fetchone())  # noqa: S608
    for batch in batches:
        head = head.after(batch)
    assignments = ", ".join(f"{name} = ?" for name in Head._fields)
    connection.execute(f"UPDATE head SET {assignments}", head)  # noqa: S608
    connection.executemany(
        "REPLACE INTO batches (market_seq, incarnation, first_position, last_position, positions)"
        " VALUES (?, ?, ?, ?, ?)",
        (
            (
                batch.market_seq,
                batch.incarnation,
                batch.positions[0],
                batch.positions[-1],
                pack(batch.positions),
            )
            for batch in batches
            if batch.market_seq and batch.positions
        ),
    )
    connection.execute("DELETE FROM batches WHERE written <= (SELECT max(written) FROM batches) - ?", (LEDGER_BATCHES,))


def totals(connection: sqlite3.Connection) -> LedgerTotals:
    """The ledger as one consistent snapshot."""
    rows = connection.execute(
        f"SELECT {', '.join(Head._fields)}, ledger.* FROM head LEFT JOIN ledger ON true"  # noqa: S608
    ).fetchall()
    size = len(Head._fields)
    head = Head(*rows[0][:size])
    by_type = {row[size]: Counts(*row[size + 1 :]) for row in rows if row[size] is not None}
    return LedgerTotals(by_type, *head)


def seen(connection: sqlite3.Connection, incarnation: int, positions: Iterable[int]) -> set[int]:
    """Those of the positions that a kept batch of that incarnation holds."""
    wanted = set(positions)
    if not wanted:
        return wanted
    rows = connection.execute(
        "SELECT positions FROM batches WHERE incarnation = ? AND last_position >= ? AND first_position <= ?",
        (incarnation, min(wanted), max(wanted)),
    ).fetchall()
    found: set[int] = set()
    for (packed,) in rows:
        found.update(wanted.intersection(unpack(packed)))
    return found


def pack(positions: tuple[int, ...]) -> bytes:
    """Ascending positions as msgpack of the first and the differences: about 3 bytes each."""
    return _encode([positions[0], *map(sub, positions[1:], positions)])


def unpack(packed: bytes) -> Iterable[int]:
    """The positions that were packed."""
    return accumulate(_decode(packed))

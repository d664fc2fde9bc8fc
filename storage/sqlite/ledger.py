"""The ledger inside a symbol's file: totals by event type, where the feed stands, and the newest batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from data_manager.storage.ledger import LEDGER_BATCHES, BatchEntry, Counts, Head, LedgerTotals, pack, unpack

_COUNTERS = Counts.__struct_fields__
_ADD_COUNTS = (
    f"INSERT INTO ledger VALUES (?{', ?' * len(_COUNTERS)}) ON CONFLICT (event_type) DO UPDATE SET "  # noqa: S608
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTERS)
)


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

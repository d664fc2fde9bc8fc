"""Which of two rows under one key stays: the rules that every back end follows, whatever it keeps rows in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from data_manager.storage.ledger import OUTCOMES
from data_manager.storage.records import Candle, Record, Source

Better = Callable[[Record, Record], bool]  # whether the record replaces the row that is there

STORED, REPLACED, DUPLICATE, SKIPPED, QUARANTINED = OUTCOMES  # by the names of the ledger's columns


def greater(record: Record, there: Record) -> bool:
    """Of two events under one key the greater rank wins."""
    return record.rank > there.rank


def derived_better(record: Record, there: Record) -> bool:
    """Whether a derived bar replaces the one that is there.

    Bars are derived from all stored trades, so the later of two bars made of trades knows more, unless
    retention has taken some of the trades of the earlier one.
    """
    assert isinstance(record, Candle)
    assert isinstance(there, Candle)
    if record.source == there.source == Source.TRADES:
        return greater(record, there) or (record.trades_count or 0) >= (there.trades_count or 0)
    return greater(record, there)


def outcome(record: Record, there: Record | None, better: Better) -> str:
    """What becomes of a record, given the row under its key: one of OUTCOMES."""
    if there is None:
        return STORED
    if better(record, there):
        return REPLACED
    return DUPLICATE if record.rank == there.rank else SKIPPED


def closed_through(bars: Iterable[Record]) -> dict[str, int]:
    """The newest closed open time by timeframe; open bars up to it go. A derived bar closes nothing."""
    newest: dict[str, int] = {}
    for bar in bars:
        assert isinstance(bar, Candle)
        if bar.source != Source.TRADES:
            newest[bar.timeframe] = max(bar.open_time, newest.get(bar.timeframe, bar.open_time))
    return newest

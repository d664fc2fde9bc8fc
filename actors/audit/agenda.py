"""What an auditor is to look at next. Pure bookkeeping, bounded whatever it is told.

Repaired ranges go first, since a gap waits to be closed; then symbols that are suspected to miss something; then
the round over all symbols. What is told twice before its turn is done once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from data_manager.actors.audit.grid import Range
from data_manager.storage.records import Symbol

MAX_REPAIRED = 1_000  # datasets; a repair beyond it is left to the round, which looks at every open gap anyway
MAX_SUSPECTED = 1_000  # symbols; likewise


class Look(NamedTuple):
    """Look at a symbol: all of it, or what was `repaired` of one dataset."""

    symbol: Symbol
    dataset_id: str | None = None
    repaired: Range | None = None
    of_round: bool = False


class Agenda:
    """Looks in the order of their turn."""

    def __init__(self) -> None:
        self._repaired: dict[str, Look] = {}
        self._suspected: dict[Symbol, None] = {}
        self._round: deque[Symbol] = deque()

    def repaired(self, symbol: Symbol, dataset_id: str, repaired: Range) -> None:
        """Look at that dataset again; of two ranges the least is looked at that holds both."""
        before = self._repaired.get(dataset_id)
        if before is None and len(self._repaired) >= MAX_REPAIRED:
            return
        if before is not None and before.repaired is not None:
            repaired = Range(
                min(repaired.start_ms, before.repaired.start_ms), max(repaired.end_ms, before.repaired.end_ms)
            )
        self._repaired[dataset_id] = Look(symbol, dataset_id, repaired)

    def suspected(self, symbol: Symbol) -> None:
        """Look at that symbol before its turn."""
        if len(self._suspected) < MAX_SUSPECTED:
            self._suspected[symbol] = None

    def round(self, symbols: Iterable[Symbol]) -> None:
        """Begin a round over these symbols; one that is under way is given up for it."""
        self._round = deque(symbols)

    def next(self) -> Look | None:
        """Take what comes next; None when nothing is left."""
        if self._repaired:
            return self._repaired.pop(next(iter(self._repaired)))
        if self._suspected:
            symbol = next(iter(self._suspected))
            del self._suspected[symbol]
            return Look(symbol)
        return Look(self._round.popleft(), of_round=True) if self._round else None

    def again(self, look: Look) -> None:
        """Put back what could not be done."""
        if look.dataset_id is not None and look.repaired is not None:
            self.repaired(look.symbol, look.dataset_id, look.repaired)
        elif look.of_round:
            self._round.appendleft(look.symbol)
        else:
            self.suspected(look.symbol)

    @property
    def round_is_over(self) -> bool:
        """Whether no symbol of the round is left."""
        return not self._round

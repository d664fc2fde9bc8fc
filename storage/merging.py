"""How rows of the exchange's REST side meet those stored: what is new, what gives way, what contradicts. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from data_manager.storage.deciding import greater
from data_manager.storage.differing import differ
from data_manager.storage.protocols import MERGE_ROWS, Difference
from data_manager.storage.records import Candle, Funding, Record, Trade
from data_manager.system.errors import StoreError

K = TypeVar("K", bound=Hashable)
R = TypeVar("R", bound=Record)

MERGED_RECORDS: tuple[type[Record], ...] = (Trade, Candle, Funding)  # what the exchange's REST side has of the past


class Meeting(NamedTuple):
    """What must be written, by its place among the rows offered, at most one for each key; and what contradicts."""

    new: list[int]  # nothing is under their keys
    better: list[int]  # what is under their keys gives way
    differences: list[Difference]


def meet(keys: Sequence[K], offered: Sequence[R], there: Mapping[K, R]) -> Meeting:
    """What becomes of the rows offered under those keys, one after the other, given the rows that are there.

    The greater rank stays and, of equal ones, the row that was first. Each pair that contradicts is told once.
    """
    best: dict[K, int] = {}
    differences: dict[Difference, None] = {}
    for number, (key, row) in enumerate(zip(keys, offered, strict=True)):
        stood = offered[best[key]] if key in best else there.get(key)
        if stood is not None:
            if differ(stood, row):
                differences[Difference(stood, row)] = None
            if not greater(row, stood):
                continue
        best[key] = number
    new = [number for key, number in best.items() if key not in there]
    better = [number for key, number in best.items() if key in there]
    return Meeting(new, better, list(differences))


def mergeable(rows: Sequence[Record]) -> bool:
    """Whether there is anything to merge; raises StoreError for more than a merge takes, and for other types."""
    types = {type(row) for row in rows}
    if len(rows) > MERGE_ROWS or len(types) > 1 or not types.issubset(MERGED_RECORDS):
        raise StoreError(
            f"a merge takes up to {MERGE_ROWS} rows of one of {', '.join(each.__name__ for each in MERGED_RECORDS)}, "
            f"not {len(rows)} of {', '.join(sorted(each.__name__ for each in types))}"
        )
    return bool(rows)

"""Walking through a range of rows in blocks: each costs the same, however far the walk has come. Pure.

The next block begins at the time of the last row, without the rows of that time that have been seen. Rows that are
stored meanwhile under later times come along; one under a time that has been passed is missed, and one that comes
under the very time of a block's last row may make another of that time come twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TypeVar

import msgspec

from data_manager.storage.protocols import Query
from data_manager.storage.records import Record

R = TypeVar("R", bound=Record)


def following(query: Query, rows: Sequence[R]) -> Query:
    """What to read after the rows that `query` found, of which there must be some; its limit stays."""
    edge = time_of(rows[-1])
    seen = sum(1 for _ in takewhile(lambda row: time_of(row) == edge, reversed(rows)))
    if seen == len(rows):  # how many of that time came before them is not known
        return msgspec.structs.replace(query, offset=query.offset + seen)
    if query.descending:
        return msgspec.structs.replace(query, end_ms=edge + 1, offset=seen)
    return msgspec.structs.replace(query, start_ms=edge, offset=seen)


def time_of(row: Record) -> int:
    """The time that ranges use."""
    value = getattr(row, row.time_field)
    assert isinstance(value, int)
    return value

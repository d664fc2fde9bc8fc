"""Rows that contradict each other, as the catalog keeps them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from uuid import uuid5

import msgspec

from data_manager.actors.backfill.jobs import NAMESPACE
from data_manager.storage.protocols import Conflict, Difference
from data_manager.storage.records import Record, Series, Source

MAX_CONFLICTS = 100  # of one page that are kept; more of them say no more

_OURS = ("feed_seq", "market_seq", "stored_ms")  # where a row came from: two deliveries of the same row differ in it


def conflicts(series: Series, differences: Iterable[Difference], now_ms: int) -> list[Conflict]:
    """One for each difference, at most MAX_CONFLICTS.

    The id is made of what the two rows say, so that the same contradiction is one conflict however often it is met.
    """
    return [_conflict(series, difference, now_ms) for difference in islice(differences, MAX_CONFLICTS)]


def _conflict(series: Series, difference: Difference, now_ms: int) -> Conflict:
    key = "/".join(str(getattr(difference.stored, name)) for name in difference.stored.key)
    said = "/".join((series.dataset_id, key, _said(difference.stored), _said(difference.offered)))
    return Conflict(
        conflict_id=str(uuid5(NAMESPACE, said)),
        dataset_id=series.dataset_id,
        symbol=series.symbol,
        row_key=key,
        stored_row=msgspec.json.encode(difference.stored).decode(),
        offered_row=msgspec.json.encode(difference.offered).decode(),
        source=Source.REST.value,
        at_ms=now_ms,
    )


def _said(row: Record) -> str:
    return repr([getattr(row, name) for name in row.__struct_fields__ if name not in _OURS])

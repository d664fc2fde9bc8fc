"""Results as the documents that are stored, and what a later cycle finds again in them. Pure."""

from __future__ import annotations

import msgspec

from data_manager.actors.analytics.results import Result
from data_manager.actors.analytics.spread import Sums
from data_manager.storage.computed import body_of
from data_manager.storage.records import Analytics


class Summed(msgspec.Struct, frozen=True):
    """The books from `since_ms` to the time of their document, as sums (spread.py)."""

    since_ms: int
    sums: Sums


class _Body(msgspec.Struct, frozen=True):
    metadata: Summed


def document(
    category: str, timeframe: str, time_ms: int, computed_ms: int, result: Result, summed: Summed | None = None
) -> Analytics:
    """The document of a result, with the sums of its books where it has some."""
    metadata = {**msgspec.structs.asdict(result.envelope), "reasons": result.reasons}
    return Analytics(
        category=category,
        timeframe=timeframe,
        time_ms=time_ms,
        computed_ms=computed_ms,
        state=result.state,
        body=body_of(
            {name: getattr(result, name) for name in result.metrics()},
            metadata if summed is None else {**metadata, **msgspec.structs.asdict(summed)},
        ),
        stored_ms=computed_ms,
    )


def summed_in(document: Analytics) -> Summed:
    """What `document` was given as `summed`; msgspec.ValidationError for a document without."""
    return msgspec.json.decode(document.body, type=_Body).metadata

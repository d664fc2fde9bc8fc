"""Storage policies: what of the events that repeat themselves is kept.

A sampled record is stored under its slot, the start of its N seconds, and the best of a slot wins. The store
sees to that across batches; `conflate` saves it the losers within one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from operator import attrgetter

from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Event
from data_manager.storage.records import Funding, Record
from data_manager.system.settings import StoragePolicy

_NONE, _COPY, _SAMPLED_OUT = Counts(), Counts(duplicate=1), Counts(skipped=1)


def slot_of(policy: StoragePolicy, time_ms: int, identity: int) -> int:
    """The slot of a record: the start of its N seconds where sampled, else what makes it unique."""
    slot_ms = policy.slot_ms
    return time_ms - time_ms % slot_ms if slot_ms else identity


def conflate(events: Sequence[Event]) -> tuple[list[Event], dict[str, Counts]]:
    """The events worth writing, and the outcomes of the others by event type (`received` is not counted).

    Of the events that share a key and let the greater rank win, the greatest stays: one that ranks less is
    skipped, one that ranks the same is a copy, hence a duplicate. `keep_first` events all stay.
    """
    kept: list[Event] = []
    best: dict[tuple[type[Record], object], Event] = {}
    counts: dict[str, Counts] = {}
    for event in events:
        if event.keep_first:
            kept.append(event)
            continue
        record = event.record
        key = type(record), _key_of(type(record))(record)
        rival = best.get(key)
        if rival is None:
            best[key] = event
            continue
        loser = event
        if record.rank > rival.record.rank:
            best[key], loser = event, rival
        outcome = _COPY if record.rank == rival.record.rank else _SAMPLED_OUT
        counts[loser.event_type] = counts.get(loser.event_type, _NONE) + outcome
    kept.extend(best.values())
    return kept, counts


@cache
def _key_of(record: type[Record]) -> attrgetter[object]:
    return attrgetter(*record.key)


class Predictions:
    """The funding rates that mark prices announce every second: only a new rate or time is worth a row."""

    def __init__(self) -> None:
        self._written: Funding | None = None

    def worth_writing(self, predictions: Iterable[Funding]) -> list[Funding]:
        """The newest of each funding time, oldest first, without one that says what is written already."""
        newest: dict[int, Funding] = {}
        for funding in predictions:
            rival = newest.get(funding.funding_time)
            if rival is None or funding.rank > rival.rank:
                newest[funding.funding_time] = funding
        return [newest[time] for time in sorted(newest) if not self._is_known(newest[time])]

    def wrote(self, fundings: Sequence[Funding]) -> None:
        """Take note, after the commit, of what `worth_writing` gave."""
        if fundings:
            self._written = fundings[-1]

    def _is_known(self, funding: Funding) -> bool:
        written = self._written
        return (
            written is not None
            and written.funding_time == funding.funding_time
            and written.funding_rate == funding.funding_rate
        )

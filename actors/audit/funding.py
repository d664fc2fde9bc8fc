"""Funding rates against their schedule: which must have settled, and are not stored as settled. Pure; times in ms UTC.

Predictions tell when a rate will settle. Where there are none, the exchange settles every 8 h, or more often.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from data_manager.actors.audit.grid import Range, first_whole
from data_manager.storage.records import MINUTE_MS, Funding

EVERY_MS = 8 * 60 * MINUTE_MS


def due(rows: Iterable[Funding], within: Range) -> Iterator[int]:
    """The times in the range at which a rate must have settled, ascending. `rows` ascend by funding time.

    Those of the rows, and where two of them are more than EVERY_MS apart the whole 8 h between them.
    """
    before = within.start_ms - 1
    for row in rows:
        if row.funding_time >= within.end_ms:
            break
        if row.funding_time - before > EVERY_MS:
            yield from range(first_whole(before + 1, EVERY_MS), row.funding_time, EVERY_MS)
        if row.funding_time >= within.start_ms:
            yield row.funding_time
        before = row.funding_time
    yield from range(first_whole(before + 1, EVERY_MS), within.end_ms, EVERY_MS)


def unsettled(rows: Iterable[Funding], within: Range) -> Iterator[Range]:
    """The rates that must have settled in the range and are not there as such, each with the minute of its key."""
    settled = -1

    def noted() -> Iterator[Funding]:
        nonlocal settled
        for row in rows:
            if row.settled:
                settled = row.funding_time
            yield row

    for time_ms in due(noted(), within):
        if time_ms != settled:
            yield Range(time_ms, time_ms + MINUTE_MS)

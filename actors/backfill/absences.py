"""What the exchange does not have of a dataset, remembered so that it is never asked again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from uuid import uuid5

import msgspec

from data_manager.actors.audit.gaps import stamp
from data_manager.actors.audit.grid import Range, joined, without
from data_manager.actors.backfill.jobs import NAMESPACE
from data_manager.storage.protocols import Gap, GapStatus
from data_manager.storage.records import Series

MAX_REMEMBERED = 1_000  # of one dataset that a job looks at
EXCHANGE, NO_TRADING = "exchange", "no_trading"

_SKIPS = "skips aggTrades"  # evidence of ids; trades at both its ends exist


class Absent(NamedTuple):
    """The exchange has no row of a job's type between these times, the end exclusive: it was asked and said so.

    Of trades that it skips, `first_id..last_id` are the aggTrades' ids.
    """

    start_ms: int
    end_ms: int
    first_id: int | None = None
    last_id: int | None = None


class Memory:
    """The gaps of one dataset that are `exchange_empty`, while a job adds to them.

    `repairing` is the gap that the job is to repair: where what is absent begins with it, it is that gap's end.
    """

    def __init__(self, series: Series, known: Iterable[Gap], repairing: Sequence[Gap] = ()) -> None:
        self._series = series
        self._known = {gap.gap_id: gap for gap in known}
        self._repairing = {gap.start_ms: gap for gap in repairing}

    def unasked(self, rest: Range) -> list[Range]:
        """What of a range must still be asked for, oldest first."""
        if self.covers(rest):
            return []
        return list(without(rest, joined(sorted(self._never_again()))))

    def covers(self, within: Range) -> bool:
        """Whether all of it is known to be absent."""
        told = joined(sorted(Range(gap.start_ms, gap.end_ms) for gap in self._known.values()))
        return not list(without(within, told))

    def remember(self, absent: Iterable[Absent], untraded: Sequence[Range], now_ms: int) -> list[Gap]:
        """The rows to save for what a page told; `untraded` are those that trades prove.

        What touches a remembered absence of times becomes one with it.
        """
        changed: dict[str, Gap] = {}
        for each in absent:
            cause = NO_TRADING if Range(each.start_ms, each.end_ms) in untraded else EXCHANGE
            gap = self._row(each, cause, now_ms)
            changed[gap.gap_id] = self._known[gap.gap_id] = gap
        return list(changed.values())

    def _row(self, absent: Absent, cause: str, now_ms: int) -> Gap:
        evidence = _evidence(absent, now_ms)
        beside = self._beside(absent) if absent.first_id is None else None
        if beside is not None:
            return msgspec.structs.replace(
                beside,
                start_ms=min(beside.start_ms, absent.start_ms),
                end_ms=max(beside.end_ms, absent.end_ms),
                cause=cause if cause == beside.cause else EXCHANGE,
                evidence=evidence,
                last_seen_ms=now_ms,
                closed_ms=now_ms,
            )
        repaired = self._repairing.get(absent.start_ms)
        name = f"{self._series.dataset_id}/{absent.start_ms}/{absent.first_id}"
        return Gap(
            gap_id=repaired.gap_id if repaired else str(uuid5(NAMESPACE, name)),
            dataset_id=self._series.dataset_id,
            symbol=self._series.symbol,
            data_type=self._series.record.dataset,
            timeframe=self._series.timeframe,
            start_ms=absent.start_ms,
            end_ms=absent.end_ms,
            status=GapStatus.EXCHANGE_EMPTY.value,
            cause=cause,
            evidence=evidence,
            first_seen_ms=repaired.first_seen_ms if repaired else now_ms,
            last_seen_ms=now_ms,
            job_id=repaired.job_id if repaired else None,
            closed_ms=now_ms,
        )

    def _beside(self, absent: Absent) -> Gap | None:
        touching = (
            gap
            for gap in self._known.values()
            if not _of_ids(gap) and gap.start_ms <= absent.end_ms and absent.start_ms <= gap.end_ms
        )
        return next(touching, None)

    def _never_again(self) -> Iterator[Range]:
        for gap in self._known.values():
            # The trades at both ends of missing ids exist, and whoever fetches the range wants them.
            inset = 1 if _of_ids(gap) else 0
            if gap.start_ms + inset < gap.end_ms - inset:
                yield Range(gap.start_ms + inset, gap.end_ms - inset)


def _evidence(absent: Absent, now_ms: int) -> str:
    if absent.first_id is not None:
        return f"asked at {stamp(now_ms)}, the exchange {_SKIPS} {absent.first_id} to {absent.last_id}"
    return f"asked at {stamp(now_ms)}, the exchange has nothing between these times"


def _of_ids(gap: Gap) -> bool:
    return _SKIPS in (gap.evidence or "")

"""Gaps from their discovery to their end: what an audit found is compared with the gaps that are known. Pure."""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from data_manager.actors.audit.grid import Range, joined, without
from data_manager.storage.protocols import AuditLog, Gap, GapStatus
from data_manager.storage.records import Series

_NAMESPACE = uuid.UUID("5b1d6c55-0a0b-4f0e-9a55-3f6f6f1c2a10")  # of ids made here
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
GRAVE_MS = 3_600_000  # a longer gap is of high severity, any other of medium: the original's rule


class Found(NamedTuple):
    """A part of a series that is missing, and how that is known."""

    missing: Range
    cause: str
    evidence: str


class Changes(NamedTuple):
    """What one look changes of the gaps of a series."""

    new: list[Gap]
    seen: list[Gap]  # again, with the times and the evidence of now
    whole: list[Gap]  # nothing is missing between their times any more
    expired: list[Gap]  # older than what is kept: nobody looks for them any more


def reconcile(
    series: Series,
    known: Sequence[Gap],
    found: Sequence[Found],
    audited: Sequence[Range],
    now_ms: int,
    kept_ms: int = 0,
) -> Changes:
    """What becomes of the series' gaps that have not ended, when it was looked at in the ranges `audited`.

    `found` ascend and lie within `audited`. What overlaps a known gap most is that gap, as large as it is now; a
    second part of it is a gap of its own. A known gap all of which was audited, and which is not found any more, is
    whole again; what is before `kept_ms` need not be looked at for that.
    """
    changes = Changes([], [], [], [])
    unmatched = _Unmatched(known)
    for each in found:
        match = unmatched.take(each.missing)
        if match is None:
            changes.new.append(opened(series, each, now_ms))
            continue
        start, end = each.missing
        seen = msgspec.structs.replace(
            match, start_ms=start, end_ms=end, cause=each.cause, evidence=each.evidence, last_seen_ms=now_ms
        )
        changes.seen.append(seen)
    looked_at = list(joined(sorted(audited)))
    for gap in unmatched.left():
        if gap.end_ms <= kept_ms:
            changes.expired.append(gap)
        elif not list(without(Range(max(gap.start_ms, kept_ms), gap.end_ms), looked_at)):
            changes.whole.append(gap)
    return changes


def parts_outside(gap: Gap, others: Iterable[Range]) -> Iterator[Gap]:
    """What of a new gap is not in any of the ranges, which ascend and never overlap."""
    for part in without(Range(gap.start_ms, gap.end_ms), others):
        if part == Range(gap.start_ms, gap.end_ms):
            yield gap
        else:
            gap_id = _id_of(gap.dataset_id, part.start_ms, gap.first_seen_ms)
            yield msgspec.structs.replace(gap, gap_id=gap_id, start_ms=part.start_ms, end_ms=part.end_ms)


def audit_log(gap: Gap) -> AuditLog:
    """The original's row for a gap; one for each, however often it is seen."""
    severity = "high" if gap.end_ms - gap.start_ms > GRAVE_MS else "medium"
    details = f"Gap from {stamp(gap.start_ms)} to {stamp(gap.end_ms)}"
    return AuditLog(gap.gap_id, gap.dataset_id, gap.symbol, "gap", severity, details, gap.first_seen_ms)


def stamp(ms: int) -> str:
    """A time as the original writes it, with its zone."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat()


def opened(series: Series, found: Found, now_ms: int) -> Gap:
    """A gap that was found for the first time."""
    return Gap(
        gap_id=_id_of(series.dataset_id, found.missing.start_ms, now_ms),
        dataset_id=series.dataset_id,
        symbol=series.symbol,
        data_type=series.record.dataset,
        timeframe=series.timeframe,
        start_ms=found.missing.start_ms,
        end_ms=found.missing.end_ms,
        status=GapStatus.OPEN.value,
        cause=found.cause,
        evidence=found.evidence,
        first_seen_ms=now_ms,
        last_seen_ms=now_ms,
    )


def lost(series: Series, found: Found, now_ms: int, name: str) -> Gap:
    """A gap that nobody can fill, from the beginning; the same `name` in a series is the same row."""
    gap = opened(series, found, now_ms)
    gap_id = str(uuid.uuid5(_NAMESPACE, f"{series.dataset_id}/{name}"))
    return msgspec.structs.replace(gap, gap_id=gap_id, status=GapStatus.UNFILLABLE.value, closed_ms=now_ms)


def _id_of(dataset_id: str, start_ms: int, first_seen_ms: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{dataset_id}/{start_ms}/{first_seen_ms}"))


class _Unmatched:
    """Known gaps that nothing was found for yet. They hardly overlap, so that few of them touch any range."""

    def __init__(self, known: Sequence[Gap]) -> None:
        self._known = sorted(known, key=lambda gap: (gap.start_ms, gap.end_ms))
        self._taken: set[str] = set()

    def take(self, missing: Range) -> Gap | None:
        """The one that shares most time with the range: gaps of trades share the time of the trade between them."""
        best, most = None, 0
        after = bisect_left(self._known, missing.end_ms, key=lambda gap: gap.start_ms)
        for index in range(after - 1, -1, -1):
            gap = self._known[index]
            shared = min(gap.end_ms, missing.end_ms) - max(gap.start_ms, missing.start_ms)
            if shared <= 0:
                break
            if shared > most and gap.gap_id not in self._taken:
                best, most = gap, shared
        if best is not None:
            self._taken.add(best.gap_id)
        return best

    def left(self) -> list[Gap]:
        """Those that were never taken, oldest first."""
        return [gap for gap in self._known if gap.gap_id not in self._taken]

"""Gaps from their discovery to their end: what an audit found is compared with the gaps that are known. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from data_manager.actors.audit.grid import Range
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


def reconcile(
    series: Series, known: Sequence[Gap], found: Sequence[Found], audited: Range, now_ms: int
) -> tuple[list[Gap], list[Gap]]:
    """The gaps that are new, and those known whose rows change: seen again, or closed.

    `known` are the series' gaps that have not ended, `found` ascend and lie within `audited`. What overlaps a known
    gap is that gap, as large as it is now; a second part of it is a gap of its own. A known gap that lies within
    `audited` and is not found any more is whole again: closed.
    """
    new: list[Gap] = []
    changed: list[Gap] = []
    unmatched = list(known)
    for each in found:
        match = next((gap for gap in unmatched if _overlap(gap, each.missing)), None)
        if match is None:
            new.append(_opened(series, each, now_ms))
            continue
        unmatched.remove(match)
        changed.append(
            msgspec.structs.replace(
                match,
                start_ms=each.missing.start_ms,
                end_ms=each.missing.end_ms,
                cause=each.cause,
                evidence=each.evidence,
                last_seen_ms=now_ms,
            )
        )
    for gap in unmatched:
        if audited.start_ms <= gap.start_ms and gap.end_ms <= audited.end_ms:
            evidence = f"audited again at {stamp(now_ms)}: nothing is missing between its times"
            changed.append(
                msgspec.structs.replace(gap, status=GapStatus.CLOSED.value, evidence=evidence, closed_ms=now_ms)
            )
    return new, changed


def audit_log(gap: Gap) -> AuditLog:
    """The original's row for a gap; one for each, however often it is seen."""
    severity = "high" if gap.end_ms - gap.start_ms > GRAVE_MS else "medium"
    details = f"Gap from {stamp(gap.start_ms)} to {stamp(gap.end_ms)}"
    return AuditLog(gap.gap_id, gap.dataset_id, gap.symbol, "gap", severity, details, gap.first_seen_ms)


def stamp(ms: int) -> str:
    """A time as the original writes it, with its zone."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat()


def _opened(series: Series, found: Found, now_ms: int) -> Gap:
    name = f"{series.dataset_id}/{found.missing.start_ms}/{now_ms}"
    return Gap(
        gap_id=str(uuid.uuid5(_NAMESPACE, name)),
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


def _overlap(gap: Gap, other: Range) -> bool:
    return gap.start_ms < other.end_ms and other.start_ms < gap.end_ms

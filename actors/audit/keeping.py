"""The gaps of a symbol in the catalog: new ones are saved, those seen again updated, those that are whole closed.

A job may take a gap up, or give it back, while the audit looks: what is known of a gap is written without its status,
and it is closed only from a status that has not ended.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from data_manager.actors.audit.candles import Audited
from data_manager.actors.audit.causes import explained
from data_manager.actors.audit.gaps import Changes, audit_log, parts_outside, reconcile, stamp
from data_manager.actors.audit.grid import Range, joined, without
from data_manager.storage.protocols import Catalog, Gap, GapStatus, Job, JobReason, JobStatus
from data_manager.storage.records import Candle, Funding, Record, Series, Symbol, Trade
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics

LASTING = (GapStatus.OPEN, GapStatus.BACKFILLING)
SETTLED = (GapStatus.UNFILLABLE, GapStatus.EXCHANGE_EMPTY)
UNDER_WAY = (JobStatus.PENDING.value, JobStatus.RUNNING.value)
MAX_GAPS = 10_000  # of one symbol that are compared; what is beyond it is compared once others have ended
MAX_JOBS = 1_000  # of one symbol that are under way
MAX_BOOTSTRAPS = 100  # a symbol's oldest jobs, among which those of its first history are
MAX_INCIDENTS = 500  # the newest, in which causes are looked for

JOB_TYPES: dict[type[Record], str] = {Candle: "candles", Trade: "trades", Funding: "funding"}  # a job's data_type
RECORDS = {data_type: record for record, data_type in JOB_TYPES.items()}


class Book(NamedTuple):
    """What the catalog says of a symbol, by dataset: its gaps, what jobs fetch now, and where bootstraps began."""

    lasting: Mapping[str, list[Gap]]
    settled: Mapping[str, list[Gap]]  # that nobody looks for again
    covered: Mapping[str, list[Range]]  # by jobs under way; ascending
    begins: Mapping[str, int]


class Kept(NamedTuple):
    """The gaps of a series as they stand after a look."""

    lasting: int
    lost: list[Range]  # that are unfillable: missing for good
    empty: list[Range]  # of which the exchange, or the trades around, say that nothing was there
    opened: int  # by this look


def read_book(symbol: Symbol, catalog: Catalog) -> Book:
    """What the catalog says of it now."""
    lasting, _ = catalog.gaps(symbol=symbol, statuses=LASTING, limit=MAX_GAPS, descending=False)
    settled, _ = catalog.gaps(symbol=symbol, statuses=SETTLED, limit=MAX_GAPS)
    # in this order: a job that is made meanwhile is seen to be under way, or not at all
    oldest, _ = catalog.jobs(symbol=symbol, data_type=JOB_TYPES[Candle], limit=MAX_BOOTSTRAPS, descending=False)
    under_way, _ = catalog.jobs(symbol=symbol, statuses=UNDER_WAY, limit=MAX_JOBS)
    covered: dict[str, list[Range]] = {}
    for job in under_way:
        covered.setdefault(dataset_of(job), []).append(Range(job.start_ms, job.end_ms))
    begins: dict[str, int] = {}
    for job in oldest:
        if job.reason == JobReason.BOOTSTRAP:
            begins[dataset_of(job)] = min(job.start_ms, begins.get(dataset_of(job), job.start_ms))
    return Book(
        by_dataset(lasting),
        by_dataset(settled),
        {dataset: list(joined(sorted(ranges))) for dataset, ranges in covered.items()},
        begins,
    )


def settle(audited: Audited, book: Book, now_ms: int, catalog: Catalog, metrics: Metrics) -> Kept:
    """Write what a look has found into the catalog, and tell it."""
    series = audited.series
    known, settled = book.lasting.get(series.dataset_id, []), book.settled.get(series.dataset_id, [])
    never_again = list(joined(sorted(map(range_of, settled))))
    found = [
        each._replace(missing=part) for each in sorted(audited.found) for part in without(each.missing, never_again)
    ]
    if found:
        incidents = catalog.incidents(limit=MAX_INCIDENTS)
        found = [explained(each, series.symbol, incidents, now_ms) for each in found]
    changes = reconcile(series, known, found, audited.audited, now_ms, audited.kept_ms)
    covered = book.covered.get(series.dataset_id, [])
    changes = changes._replace(new=[part for gap in changes.new for part in parts_outside(gap, covered)])
    save(changes, catalog, now_ms)
    tell(changes, metrics)
    return Kept(
        lasting=len(known) + len(changes.new) - len(changes.whole) - len(changes.expired),
        lost=[range_of(gap) for gap in settled if gap.status == GapStatus.UNFILLABLE],
        empty=[range_of(gap) for gap in settled if gap.status == GapStatus.EXCHANGE_EMPTY],
        opened=len(changes.new),
    )


def by_dataset(gaps: Iterable[Gap]) -> dict[str, list[Gap]]:
    """The gaps of each dataset, in the order they came in."""
    sorted_out: dict[str, list[Gap]] = {}
    for gap in gaps:
        sorted_out.setdefault(gap.dataset_id, []).append(gap)
    return sorted_out


def dataset_of(job: Job) -> str:
    """The dataset that a job fetches."""
    return Series(Symbol(job.symbol), RECORDS.get(job.data_type, Candle), job.timeframe).dataset_id


def range_of(gap: Gap) -> Range:
    """The time of a gap."""
    return Range(gap.start_ms, gap.end_ms)


def save(changes: Changes, catalog: Catalog, now_ms: int) -> None:
    """Write it; a repetition after a failure half way changes nothing."""
    if changes.new or changes.seen:
        catalog.see_gaps([*changes.new, *changes.seen])
    if changes.new:
        catalog.save_audit_logs([audit_log(gap) for gap in changes.new])
    again = f"audited again at {stamp(now_ms)}: nothing is missing between its times"
    for gap in changes.whole:
        catalog.move_gap(gap.gap_id, GapStatus.CLOSED, only_from=LASTING, at_ms=now_ms, evidence=again)
    for gap in changes.expired:
        evidence = f"{gap.evidence}; it was older than what is kept at {stamp(now_ms)}"
        catalog.move_gap(gap.gap_id, GapStatus.UNFILLABLE, only_from=LASTING, at_ms=now_ms, evidence=evidence)


def tell(changes: Changes, metrics: Metrics) -> None:
    """Count what is new, and log what has changed."""
    for gap in changes.new:
        metrics.inc("data_manager_audit_gaps_detected_total", symbol=gap.symbol, timeframe=gap.timeframe or "")
        log("gap_found", logging.WARNING, **_fields(gap), cause=gap.cause, evidence=gap.evidence, status=gap.status)
    for gap in changes.whole:
        log("gap_closed", logging.INFO, **_fields(gap))
    for gap in changes.expired:
        log("gap_expired", logging.WARNING, **_fields(gap))


def keep_lost(gaps: Sequence[Gap], catalog: Catalog, metrics: Metrics) -> None:
    """Save gaps that nobody can fill; one that is there already stays as it is."""
    new = [gap for gap in gaps if catalog.gap(gap.gap_id) is None]
    save(Changes(new, [], [], []), catalog, 0)
    tell(Changes(new, [], [], []), metrics)


def _fields(gap: Gap) -> dict[str, str]:
    return {"dataset": gap.dataset_id, "start": stamp(gap.start_ms), "end": stamp(gap.end_ms)}

"""A job as the catalog has it, and as it is worked on. Pure; every change makes a new row."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.plan import Checkpoint, DataType, Work, of_candles, progress
from data_manager.storage.protocols import Gap, Job, JobReason, JobStatus, Lineage
from data_manager.storage.records import TIMEFRAMES, Candle, Funding, Record, Series, Symbol, Trade

NAMESPACE = UUID("0d0b7c58-6a3b-4a57-9d6e-0c1f3f7a9b21")  # of every id that backfill makes of what it is about
MAX_ERROR = 2_000  # characters of a failed job's sentence
MAX_ROWS = 2**31 - 1  # that the catalog's columns can count

RECORDS: dict[DataType, type[Record]] = {
    DataType.CANDLES: Candle,
    DataType.TRADES: Trade,
    DataType.FUNDING: Funding,
}
DATA_TYPES = {record.dataset: data_type for data_type, record in RECORDS.items()}  # by a gap's `data_type`

# Priorities: 1 goes first, 10 last, as for users, whose jobs have 5 unless they say otherwise.
GAP_PRIORITY = 5
BOOTSTRAP_PRIORITY = 10

LIVE = (JobStatus.PENDING.value, JobStatus.RUNNING.value)


class Page(NamedTuple):
    """What a page brought: `written` rows were new, or better than those that were there."""

    fetched: int
    written: int
    checkpoint: Checkpoint


def unfit(job: Job) -> str:
    """Why a job cannot be worked on, as a sentence; empty when it can."""
    if job.data_type not in list(DataType):
        return f"{job.data_type!r} cannot be fetched: the exchange has {', '.join(DataType)}."
    if job.data_type == DataType.CANDLES and job.timeframe not in TIMEFRAMES:
        return f"{job.timeframe!r} is no timeframe of candles: use one of {', '.join(TIMEFRAMES)}."
    if job.start_ms >= job.end_ms:
        return "The range ends before it begins."
    return ""


def work_of(job: Job) -> Work:
    """What a job that is not `unfit` fetches; history that new symbols begin with comes newest first."""
    symbol, within = Symbol(job.symbol), Range(job.start_ms, job.end_ms)
    if job.data_type == DataType.CANDLES:
        assert job.timeframe is not None
        return of_candles(symbol, job.timeframe, within, newest_first=job.reason == JobReason.BOOTSTRAP)
    return Work(symbol, DataType(job.data_type), within)


def series_of_work(work: Work) -> Series:
    """Whose rows it fetches."""
    return Series(work.symbol, RECORDS[work.data_type], work.timeframe)


def checkpoint_of(job: Job) -> Checkpoint | None:
    """How far it has come; None before its first page."""
    return None if job.checkpoint is None else msgspec.json.decode(job.checkpoint, type=Checkpoint)


def started(job: Job, now_ms: int) -> Job:
    """Taken up, for the first time or again."""
    return msgspec.structs.replace(job, status=JobStatus.RUNNING.value, started_ms=job.started_ms or now_ms)


def advanced(job: Job, work: Work, page: Page) -> Job:
    """One page further. A page that a crash makes come again counts again: it was fetched again."""
    return msgspec.structs.replace(
        job,
        checkpoint=msgspec.json.encode(page.checkpoint).decode(),
        progress=round(progress(work, page.checkpoint), 2),
        records_fetched=min(MAX_ROWS, job.records_fetched + page.fetched),
        records_inserted=min(MAX_ROWS, job.records_inserted + page.written),
    )


def completed(job: Job, now_ms: int) -> Job:
    """Done, and found whole."""
    return msgspec.structs.replace(
        job, status=JobStatus.COMPLETED.value, progress=100.0, completed_ms=now_ms, error_message=None
    )


def failed(job: Job, reason: str, now_ms: int) -> Job:
    """Ended without what it was for; the sentence says why."""
    return msgspec.structs.replace(
        job, status=JobStatus.FAILED.value, completed_ms=now_ms, error_message=reason[:MAX_ERROR]
    )


def for_gap(gap: Gap, job_id: str, now_ms: int) -> Job:
    """The job that repairs a gap of a type that the exchange has history of."""
    return Job(
        job_id,
        gap.symbol,
        DATA_TYPES[gap.data_type].value,
        gap.timeframe,
        gap.start_ms,
        gap.end_ms,
        JobStatus.PENDING.value,
        now_ms,
        priority=GAP_PRIORITY,
        reason=JobReason.GAP.value,
    )


def same_work(job: Job, other: Job) -> bool:
    """Whether both fetch the same."""
    return _subject(job) == _subject(other)


def lineage(job: Job, dataset_id: str, route: str, lineage_id: str, now_ms: int) -> Lineage:
    """What the job made of the exchange's answers, by its own counts."""
    return Lineage(lineage_id, dataset_id, route, "backfill", job.records_fetched, job.records_inserted, now_ms)


def _subject(job: Job) -> tuple[str, str, str | None, int, int]:
    return job.symbol, job.data_type, job.timeframe, job.start_ms, job.end_ms

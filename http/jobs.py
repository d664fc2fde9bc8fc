"""A backfill job as clients see it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from typing_extensions import TypedDict

from data_manager.http.answer_types import Time
from data_manager.http.answers import stamp, stamp_or_none
from data_manager.storage.protocols import Job, JobStatus
from data_manager.storage.records import Candle, Funding, Record, Series, Symbol, Trade

RECORDS: dict[str, type[Record]] = {"candles": Candle, "trades": Trade, "funding": Funding}  # by a job's data_type


class JobAsked(TypedDict):
    """What a job is to fetch; `priority` 1 is worked on first, 10 last."""

    symbol: str
    data_type: str
    timeframe: str | None
    start_time: Time
    end_time: Time
    priority: int


class JobValue(TypedDict):
    """One job; `request` is what was asked for, with an end in the future cut at the time of asking.

    `progress` is in percent. `reason` says who asked: a user, the audit for a gap, or the first history of a symbol.
    """

    job_id: str
    status: str
    reason: str
    request: JobAsked
    progress: float
    records_fetched: int
    records_inserted: int
    rows_per_second: float | None
    eta_seconds: float | None
    error_message: str | None
    created_at: Time | None
    started_at: Time | None
    completed_at: Time | None


class Pace(NamedTuple):
    """How fast a job has fetched since it was started, and how long the rest takes at that pace; None: unknown."""

    rows_per_second: float | None
    eta_seconds: float | None


UNKNOWN = Pace(None, None)


def pace_of(job: Job, now_ms: int) -> Pace:
    """Known once something was fetched; only a job that runs has a rest."""
    until = now_ms if job.status == JobStatus.RUNNING else job.completed_ms
    if job.started_ms is None or until is None or until <= job.started_ms:
        return UNKNOWN
    seconds = (until - job.started_ms) / 1000
    rate = round(job.records_fetched / seconds, 1) if job.records_fetched else None
    if job.status != JobStatus.RUNNING or job.progress <= 0:
        return Pace(rate, None)
    return Pace(rate, round(seconds * max(0.0, 100 - job.progress) / job.progress, 1))


def job_value(job: Job, now_ms: int) -> JobValue:
    """See JobValue."""
    pace = pace_of(job, now_ms)
    return {
        "job_id": job.job_id,
        "status": job.status,
        "reason": job.reason,
        "request": {
            "symbol": job.symbol,
            "data_type": job.data_type,
            "timeframe": job.timeframe,
            "start_time": stamp(job.start_ms),
            "end_time": stamp(job.end_ms),
            "priority": job.priority,
        },
        "progress": job.progress,
        "records_fetched": job.records_fetched,
        "records_inserted": job.records_inserted,
        "rows_per_second": pace.rows_per_second,
        "eta_seconds": pace.eta_seconds,
        "error_message": job.error_message,
        "created_at": stamp_or_none(job.created_ms),
        "started_at": stamp_or_none(job.started_ms),
        "completed_at": stamp_or_none(job.completed_ms),
    }


def dataset_of(job: Job) -> str | None:
    """The id of the dataset that the job fetches; None for a row of the original's without a type."""
    record = RECORDS.get(job.data_type)
    return None if record is None else Series(Symbol(job.symbol), record, job.timeframe).dataset_id

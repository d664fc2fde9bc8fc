"""A backfill job as clients see it. Pure."""

from __future__ import annotations

from typing import NamedTuple

from data_manager.http.answers import stamp, stamp_or_none
from data_manager.storage.protocols import Job, JobStatus
from data_manager.storage.records import Candle, Funding, Record, Series, Symbol, Trade

Value = dict[str, object]

RECORDS: dict[str, type[Record]] = {"candles": Candle, "trades": Trade, "funding": Funding}  # by a job's data_type


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


def job_value(job: Job, now_ms: int) -> Value:
    """One job; `request` is what was asked for, with an end in the future cut at the time of asking."""
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
        **pace_of(job, now_ms)._asdict(),
        "error_message": job.error_message,
        "created_at": stamp_or_none(job.created_ms),
        "started_at": stamp_or_none(job.started_ms),
        "completed_at": stamp_or_none(job.completed_ms),
    }


def dataset_of(job: Job) -> str | None:
    """The id of the dataset that the job fetches; None for a row of the original's without a type."""
    record = RECORDS.get(job.data_type)
    return None if record is None else Series(Symbol(job.symbol), record, job.timeframe).dataset_id

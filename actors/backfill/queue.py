"""Which jobs are worked on next. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from data_manager.storage.protocols import Job, JobReason, JobStatus
from data_manager.storage.records import TIMEFRAMES

MAX_USER_JOBS = 3  # at a time, beside those that nobody asked for


def next_jobs(live: Sequence[Job], in_hand: Collection[Job], most_automatic: int) -> list[Job]:
    """Those to begin with now, given the jobs that have not ended and those in hand.

    What a process before this one was working on goes first, then by priority, 1 first, and by age. Jobs of users
    and automatic ones have places of their own, so that neither keeps the other waiting.
    """
    taken = {job.job_id for job in in_hand}
    places = {True: MAX_USER_JOBS, False: most_automatic}
    for job in in_hand:
        places[is_of_user(job)] -= 1
    chosen = []
    for job in sorted(live, key=_turn):
        of_user = is_of_user(job)
        if job.job_id not in taken and places[of_user] > 0:
            places[of_user] -= 1
            chosen.append(job)
    return chosen


def is_of_user(job: Job) -> bool:
    """Whether somebody asked for it."""
    return job.reason not in (JobReason.GAP, JobReason.BOOTSTRAP)


def _turn(job: Job) -> tuple[bool, int, int, int, str]:
    finest_first = TIMEFRAMES.get(job.timeframe or "", 0)
    return job.status != JobStatus.RUNNING, job.priority, job.created_ms or 0, finest_first, job.job_id

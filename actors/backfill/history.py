"""The history that a symbol begins with: one job for each timeframe, once ever. Runs where the catalog is."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid5

import msgspec

from data_manager.actors.backfill.jobs import BOOTSTRAP_PRIORITY, LIVE, NAMESPACE
from data_manager.actors.backfill.plan import Work
from data_manager.storage.protocols import Catalog, Job, JobReason, JobStatus

MAX_WAITING = 600  # jobs for history that have not ended, of a hundred symbols: what has a job is no gap to an audit
AGAIN_MS = 3_600_000  # after a job that failed


class History:
    """The jobs of the symbols and timeframes of `works`, made in that order as those before them end."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._left = {bootstrap_id(work): work for work in works}

    @property
    def is_there(self) -> bool:
        """Whether all of it was fetched."""
        return not self._left

    def make(self, catalog: Catalog, now_ms: int) -> int:
        """Save as many jobs as may wait; returns how many. One that failed is tried again after AGAIN_MS."""
        waiting = made = 0
        for job_id, work in list(self._left.items()):
            if waiting == MAX_WAITING:
                break
            job = catalog.job(job_id)
            if job is not None and job.status == JobStatus.COMPLETED:
                del self._left[job_id]
                continue
            if job is None or (job.status == JobStatus.FAILED and now_ms >= (job.completed_ms or 0) + AGAIN_MS):
                catalog.save_job(_pending(work, job_id, job, now_ms))
                made += 1
            elif job.status not in LIVE:
                continue
            waiting += 1
        return made


def bootstrap_id(work: Work) -> str:
    """The same for a symbol and timeframe at every start of every process."""
    return str(uuid5(NAMESPACE, f"bootstrap/{work.symbol}/{work.timeframe}"))


def _pending(work: Work, job_id: str, before: Job | None, now_ms: int) -> Job:
    """A job from where the one before it stopped, or a new one."""
    if before is not None:
        return msgspec.structs.replace(
            before, status=JobStatus.PENDING.value, completed_ms=None, error_message=None, created_ms=now_ms
        )
    return Job(
        job_id,
        work.symbol,
        work.data_type.value,
        work.timeframe,
        *work.within,
        JobStatus.PENDING.value,
        now_ms,
        priority=BOOTSTRAP_PRIORITY,
        reason=JobReason.BOOTSTRAP.value,
    )

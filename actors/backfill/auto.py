"""Open gaps become jobs, and gaps whose job has ended get their due. Runs where the catalog is."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Iterable

from data_manager.actors.backfill.jobs import DATA_TYPES, LIVE, for_gap, same_work
from data_manager.actors.backfill.plan import DataType
from data_manager.storage.protocols import Catalog, Gap, GapStatus, Job, JobReason, JobStatus
from data_manager.storage.records import TIMEFRAMES
from data_manager.system.logs import log

AGAIN_MS = 900_000  # after the end of a gap's job, if the gap is still there
MAX_GAPS = 1_000  # that are looked at, the oldest
MAX_JOBS = 1_000  # that have not ended

_ORDER = (DataType.CANDLES, DataType.FUNDING, DataType.TRADES)


def worth_repairing(gaps: Iterable[Gap], least_ms: int) -> list[Gap]:
    """Those that the exchange has history of and that are long enough, in the order of their repair.

    Candles come first, the shortest bars before those that are rolled up from them; then funding rates, then trades,
    which cost most.
    """
    wanted = [gap for gap in gaps if gap.data_type in DATA_TYPES and gap.end_ms - gap.start_ms >= least_ms]
    return sorted(wanted, key=lambda gap: (_turn(gap), gap.start_ms, gap.gap_id))


def take_up(catalog: Catalog, most: int, least_ms: int, now_ms: int, rng: random.Random) -> list[Job]:
    """Make jobs of open gaps until `most` are under way; returns the new ones.

    A gap that a job covers exactly joins that job. Repeated after a crash it does the same again, and no more.
    """
    live, _ = catalog.jobs(statuses=LIVE, limit=MAX_JOBS)
    free = most - sum(job.reason == JobReason.GAP for job in live)
    if free <= 0:
        return []
    gaps, _ = catalog.gaps(statuses=[GapStatus.OPEN], limit=MAX_GAPS, descending=False)
    made: list[Job] = []
    for gap in worth_repairing(gaps, least_ms):
        if len(made) == free:
            break
        if now_ms < _again_ms(gap, catalog):
            continue
        new = for_gap(gap, str(uuid.UUID(int=rng.getrandbits(128), version=4)), now_ms)
        job = next((job for job in (*live, *made) if same_work(job, new)), None)
        if job is None:
            catalog.save_job(new)
            made.append(new)
            job = new
        catalog.move_gap(gap.gap_id, GapStatus.BACKFILLING, only_from=[GapStatus.OPEN], at_ms=now_ms, job_id=job.job_id)
    return made


def put_right(catalog: Catalog, now_ms: int) -> list[Gap]:
    """Gaps that are being repaired by a job that has ended; returns those whose job says that they are whole.

    Without a job, with one that failed, or with one after which an audit still found something missing, a gap is open
    again. That happens where a process died between two writes, and where a job was wrong.
    """
    gaps, _ = catalog.gaps(statuses=[GapStatus.BACKFILLING], limit=MAX_GAPS, descending=False)
    whole = []
    for gap in gaps:
        job = catalog.job(gap.job_id) if gap.job_id else None
        if job is not None and job.status in LIVE:
            continue
        if job is not None and job.status == JobStatus.COMPLETED and gap.last_seen_ms <= (job.completed_ms or 0):
            whole.append(gap)
            continue
        log("gap_open_again", logging.WARNING, gap=gap.gap_id, dataset=gap.dataset_id, job=gap.job_id)
        catalog.move_gap(gap.gap_id, GapStatus.OPEN, only_from=[GapStatus.BACKFILLING], at_ms=now_ms)
    return whole


def _turn(gap: Gap) -> tuple[int, int]:
    return _ORDER.index(DATA_TYPES[gap.data_type]), TIMEFRAMES.get(gap.timeframe or "", 0)


def _again_ms(gap: Gap, catalog: Catalog) -> int:
    """When a gap may have its next job."""
    job = catalog.job(gap.job_id) if gap.job_id else None
    return 0 if job is None or job.completed_ms is None else job.completed_ms + AGAIN_MS

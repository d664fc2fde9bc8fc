"""Takes up jobs from the catalog, which is the queue, and brings each to its end."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from uuid import uuid5

from data_manager.actors.backfill.conf import Routes
from data_manager.actors.backfill.errand import Errand
from data_manager.actors.backfill.jobs import (
    LIVE,
    NAMESPACE,
    completed,
    failed,
    lineage,
    series_of_work,
    started,
    unfit,
    work_of,
)
from data_manager.actors.backfill.patience import Stores
from data_manager.actors.backfill.plan import DataType
from data_manager.actors.backfill.queue import next_jobs
from data_manager.actors.backfill.runner import Runner
from data_manager.actors.backfill.settling import Settler, repaired
from data_manager.storage.protocols import Catalog, Gap, GapStatus, Job, JobStatus
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import ExchangeError, StoreError, UnknownSymbol
from data_manager.system.logs import log
from data_manager.system.messages import Message, RangeRepaired
from data_manager.system.metrics import Metrics

TRACE_CHARACTERS = 2_000  # of a crash in the log
MAX_LIVE = 1_000  # jobs that are looked at, the oldest
MAX_GAPS = 1_000  # of one dataset that may be under repair


class Desk:
    """Jobs in hand, `most_automatic` of them and a few of users."""

    def __init__(
        self,
        runner: Runner,
        settler: Settler,
        stores: Stores,
        routes: Routes,
        most_automatic: int,
        clock: Clock,
        metrics: Metrics,
        send: Callable[[Message], None],
        wake: asyncio.Event,
    ) -> None:
        self._runner = runner
        self._settler = settler
        self._stores = stores
        self._paths = {
            DataType.CANDLES: routes.klines.path,
            DataType.TRADES: routes.agg_trades.path,
            DataType.FUNDING: routes.funding_rates.path,
        }
        self._most_automatic = most_automatic
        self._clock = clock
        self._metrics = metrics
        self._send = send
        self._wake = wake
        self._in_hand: dict[str, Job] = {}

    async def take_up(self, group: asyncio.TaskGroup) -> None:
        """Begin with the jobs whose turn it is; those of a process that died go on where it stopped."""
        live, _ = await self._stores.catalog(
            lambda catalog: catalog.jobs(statuses=LIVE, limit=MAX_LIVE, descending=False)
        )
        for job in next_jobs(live, self._in_hand.values(), self._most_automatic):
            self._in_hand[job.job_id] = job
            group.create_task(self._bring_to_its_end(job), name=job.job_id)
        running = len(self._in_hand)
        self._metrics.set("data_manager_backfill_jobs", running, status=JobStatus.RUNNING.value)
        waiting = sum(job.job_id not in self._in_hand for job in live)
        self._metrics.set("data_manager_backfill_jobs", waiting, status=JobStatus.PENDING.value)

    def repaired(self, gaps: Sequence[Gap]) -> None:
        """Tell the auditor of gaps whose jobs ended before somebody could."""
        for gap in gaps:
            self._send(RangeRepaired(gap.symbol, gap.dataset_id, gap.start_ms, gap.end_ms))

    async def _bring_to_its_end(self, job: Job) -> None:
        try:
            await self._work_on(job)
        except Exception as error:  # noqa: BLE001  the job boundary: a crash would come again with every restart
            trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
            log("job_crashed", logging.ERROR, job=job.job_id, trace=trace)
            stored = await self._stores.catalog(lambda catalog: catalog.job(job.job_id))
            await self._fail(stored or job, f"A fault of this service's own ({type(error).__name__}: {error}).")
        finally:
            del self._in_hand[job.job_id]
            self._wake.set()  # its place is free

    async def _work_on(self, job: Job) -> None:
        if reason := unfit(job):
            await self._fail(job, reason)
            return
        job = started(job, now_ms(self._clock))
        errand = await self._stores.catalog(partial(begin, job))
        try:
            await self._runner.fetch(errand)
            problem = await self._settler.settle(errand)
        except (ExchangeError, StoreError) as error:
            await self._fail(errand.job, str(error), unfillable=isinstance(error, UnknownSymbol))
            return
        if problem:
            await self._fail(errand.job, problem)
        else:
            await self._complete(errand)

    async def _complete(self, errand: Errand) -> None:
        now = now_ms(self._clock)
        job, dataset_id = completed(errand.job, now), errand.series.dataset_id
        path = self._paths[errand.work.data_type]
        record = lineage(job, dataset_id, path, str(uuid5(NAMESPACE, f"lineage/{job.job_id}")), now)

        def save(catalog: Catalog) -> None:
            catalog.save_lineage([record])
            catalog.save_job(job)

        await self._stores.catalog(save)
        log("job_completed", job=job.job_id, dataset=dataset_id, reason=job.reason, rows=job.records_inserted)
        for series, within in repaired(errand):
            self._send(RangeRepaired(series.symbol, series.dataset_id, *within))

    async def _fail(self, job: Job, reason: str, *, unfillable: bool = False) -> None:
        now = now_ms(self._clock)
        await self._stores.catalog(partial(end_failed, failed(job, reason, now), now, unfillable))
        log("job_failed", logging.WARNING, job=job.job_id, symbol=job.symbol, data_type=job.data_type, cause=reason)


def begin(job: Job, catalog: Catalog) -> Errand:
    """Save that it runs, and read what its dataset's gaps say."""
    catalog.save_job(job)
    return Errand.load(job, catalog)


def end_failed(job: Job, now_ms: int, unfillable: bool, catalog: Catalog) -> None:
    """Save it, and give its gaps back; `unfillable` when nobody will ever fill them, for the reason it gives."""
    catalog.save_job(job)
    if unfit(job):
        return
    dataset_id = series_of_work(work_of(job)).dataset_id
    gaps, _ = catalog.gaps(dataset_id=dataset_id, statuses=[GapStatus.BACKFILLING], limit=MAX_GAPS)
    for gap in gaps:
        if gap.job_id == job.job_id:
            to, evidence = (GapStatus.UNFILLABLE, job.error_message) if unfillable else (GapStatus.OPEN, None)
            catalog.move_gap(gap.gap_id, to, only_from=[GapStatus.BACKFILLING], at_ms=now_ms, evidence=evidence)

"""`/backfill/*`: jobs that fetch history from the exchange, asked for here and done by the backfill actor."""

from __future__ import annotations

import uuid
from typing import Annotated, Generic, NamedTuple, NotRequired

from aiohttp import web
from pydantic import Field

from data_manager.http.answer_types import InBothDialects, T, Time
from data_manager.http.answers import answer, applied, both_dialects, stamp_or_none
from data_manager.http.bodies import parse_body
from data_manager.http.errors import Refusal, store_errors, unavailable
from data_manager.http.job_requests import JobRequest, job_for, same_work
from data_manager.http.jobs import JobValue, dataset_of, job_value
from data_manager.http.operations import Access, Answer, Operation, routes_of
from data_manager.http.paging import ceil_ms, numbered
from data_manager.http.params import LIMIT_MAX, JobParams, Params, parse, parse_path
from data_manager.http.ports import Services
from data_manager.http.tokens import Guard
from data_manager.storage.protocols import Catalog, Gap, Job, JobReason, JobStatus
from data_manager.system.clock import now_ms
from data_manager.system.messages import JobRequested

MAX_OPEN_JOBS = 10_000  # whoever asked for them: the history of 500 new symbols alone is 3,000
QUEUE_FULL = (
    f"{MAX_OPEN_JOBS:,} jobs wait already; try again when some have ended: GET /backfill/jobs?status=pending lists them"
)
FULL_RETRY_S = 60
SWITCHED_OFF = "Backfill is switched off: set ENABLE_BACKFILLER=true and start the service again."
OPEN = (JobStatus.PENDING.value, JobStatus.RUNNING.value)
EXCHANGE_BUDGET = "budget"  # under which backfill keeps what the exchange has forbidden


class Detail(NamedTuple):
    """A job with the gaps that it was made for, and until when the exchange answers nobody, if it has said so."""

    job: Job
    gap_ids: list[str]
    closed_until_ms: int | None


class JobPath(Params):
    """`/backfill/jobs/{job_id}`."""

    job_id: Annotated[str, Field(description="A job's id.", examples=["6f1d3c1e-5a55-4c63-9b1d-3f0c7f1f9a10"])]


class JobList(InBothDialects[T], Generic[T]):
    """A page of jobs."""

    jobs: NotRequired[list[T]]
    total_count: int


class JobDetail(JobValue):
    """A job with the gaps that it is to close, and until when the exchange answers nobody."""

    gap_ids: list[str]
    exchange_closed_until: Time | None


class BackfillRoutes:
    """Handlers; each makes one call to the catalog."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._catalog = services.catalog
        self._guard = Guard(services.settings)

    async def start(self, request: web.Request) -> web.Response:
        """Save a job and tell backfill of it. While an equal one is open, that one is the answer."""
        self._guard.demand_if_set(request)
        asked = await parse_body(JobRequest, request)
        wanted = job_for(asked, self._new_id(), self._now())
        if not self._services.settings.enable_backfiller:
            raise unavailable(SWITCHED_OFF)
        with store_errors("catalog"):
            job = await self._catalog.call(lambda catalog: queue(catalog, wanted))
        if job is None:
            raise Refusal(429, QUEUE_FULL, headers={"Retry-After": str(FULL_RETRY_S)})
        self._services.system.tell(JobRequested(job.job_id))
        return answer(request, job_value(job, self._now()))

    async def jobs(self, request: web.Request) -> web.Response:
        """The jobs that match, the newest first."""
        asked = parse(JobParams, request)
        with store_errors("catalog"):
            found, total = await self._catalog.call(
                lambda catalog: catalog.jobs(
                    statuses=() if asked.status is None else (asked.status.value,),
                    symbol=asked.symbol,
                    data_type=asked.data_type,
                    from_ms=None if asked.since is None else ceil_ms(asked.since),
                    to_ms=None if asked.before is None else ceil_ms(asked.before),
                    limit=asked.limit,
                    offset=asked.offset,
                    descending=asked.sort_order == "desc",
                )
            )
        now = self._now()
        dialect = asked.dialect or self._services.settings.api_dialect
        body = {
            **both_dialects([job_value(job, now) for job in found], dialect, "jobs"),
            "total_count": total,
            "pagination": numbered(asked.limit, asked.offset, total),
            "sort": {"by": asked.sort_by, "order": asked.sort_order},
            "filters_applied": applied(asked, "status", "symbol", "data_type", "since", "before"),
        }
        return answer(request, body)

    async def job(self, request: web.Request) -> web.Response:
        """One job, with the gaps that it is to close and what may hold it up."""
        job_id = parse_path(JobPath, request).job_id
        with store_errors("catalog"):
            found = await self._catalog.call(lambda catalog: look_up(catalog, job_id))
        if found is None:
            raise Refusal(404, f"There is no job {job_id}; /backfill/jobs lists those that there are.")
        now = self._now()
        return answer(
            request,
            {
                **job_value(found.job, now),
                "gap_ids": found.gap_ids,
                "exchange_closed_until": stamp_or_none(closed_until(found, now)),
            },
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._services.rng.getrandbits(128), version=4))

    def _now(self) -> int:
        return now_ms(self._services.clock)


OPERATIONS = (
    Operation(
        "POST",
        "/backfill/start",
        BackfillRoutes.start,
        "backfill",
        {200: Answer(JobValue, "The job, or an equal one that is open.")},
        body=JobRequest,
        access=Access.TOKEN_IF_SET,
        refuses=(413, 429, 503),
    ),
    Operation(
        "GET",
        "/backfill/jobs",
        BackfillRoutes.jobs,
        "backfill",
        {200: Answer(JobList[JobValue])},
        query=JobParams,
        refuses=(503,),
    ),
    Operation(
        "GET",
        "/backfill/jobs/{job_id}",
        BackfillRoutes.job,
        "backfill",
        {200: Answer(JobDetail)},
        names=JobPath,
        refuses=(404, 503),
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, BackfillRoutes(services))


def queue(catalog: Catalog, wanted: Job) -> Job | None:
    """Save the job, unless one for the same is open: that one. None where too many are open already."""
    rivals, _ = catalog.jobs(statuses=OPEN, symbol=wanted.symbol, data_type=wanted.data_type, limit=LIMIT_MAX)
    for job in rivals:
        if same_work(job, wanted):
            return job
    if catalog.jobs(statuses=OPEN, limit=1)[1] >= MAX_OPEN_JOBS:
        return None
    catalog.save_job(wanted)
    return wanted


def look_up(catalog: Catalog, job_id: str) -> Detail | None:
    """The job with that id."""
    job = catalog.job(job_id)
    if job is None:
        return None
    exchange = catalog.exchange_state(EXCHANGE_BUDGET)
    gaps: list[Gap] = []
    if job.reason == JobReason.GAP:
        gaps, _ = catalog.gaps(dataset_id=dataset_of(job), limit=LIMIT_MAX)
    gap_ids = [gap.gap_id for gap in gaps if gap.job_id == job_id]
    return Detail(job, gap_ids, None if exchange is None else exchange.until_ms)


def closed_until(found: Detail, now_ms: int) -> int | None:
    """What an open job waits for before it can go on; None for nothing of the kind."""
    until = found.closed_until_ms
    return until if found.job.status in OPEN and until is not None and until > now_ms else None

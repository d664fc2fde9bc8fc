"""`/gaps`: what is missing of the stored data, why, and what became of it."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from data_manager.http.answer_types import Listed, Time
from data_manager.http.answers import answer, applied, stamp, stamp_or_none
from data_manager.http.errors import Refusal, store_errors
from data_manager.http.jobs import JobValue, job_value
from data_manager.http.operations import Answer, Operation, routes_of
from data_manager.http.paging import numbered
from data_manager.http.params import GapParams, Params, parse, parse_path
from data_manager.http.ports import Services
from data_manager.storage.protocols import Catalog, Gap, GapStatus, Job
from data_manager.system.clock import now_ms


class GapPath(Params):
    """`/gaps/{gap_id}`."""

    gap_id: Annotated[str, Field(description="A gap's id.", examples=["9b0c2f0c6a1d4f0e"])]


class GapValue(TypedDict):
    """One gap: `start <= time < end`. `cause` and `evidence` say why it is one, `job_id` what is to close it."""

    gap_id: str
    dataset_id: str
    pair: str
    data_type: str
    timeframe: str | None
    start: Time
    end: Time
    status: Annotated[str, Field(json_schema_extra={"enum": list(GapStatus)})]
    cause: str | None
    evidence: str | None
    job_id: str | None
    first_seen: Time
    last_seen: Time
    closed_at: Time | None


class GapDetail(GapValue):
    """A gap with its job."""

    job: JobValue | None


class GapRoutes:
    """Handlers; each makes one call to the catalog."""

    def __init__(self, services: Services) -> None:
        self._catalog = services.catalog
        self._clock = services.clock

    async def all(self, request: web.Request) -> web.Response:
        """The gaps that match, the latest first."""
        asked = parse(GapParams, request)
        with store_errors("catalog"):
            found, total = await self._catalog.call(
                lambda catalog: catalog.gaps(
                    symbol=asked.pair,
                    dataset_id=asked.dataset_id,
                    statuses=() if asked.status is None else (asked.status.value,),
                    limit=asked.limit,
                    offset=asked.offset,
                    descending=asked.sort_order == "desc",
                )
            )
        body = {
            "data": [gap_value(gap) for gap in found],
            "pagination": numbered(asked.limit, asked.offset, total),
            "sort": {"by": asked.sort_by, "order": asked.sort_order},
            "filters_applied": applied(asked, "pair", "period", "dataset", "status"),
        }
        return answer(request, body)

    async def one(self, request: web.Request) -> web.Response:
        """One gap, with the job that is to close it or did."""
        gap_id = parse_path(GapPath, request).gap_id

        def look(catalog: Catalog) -> tuple[Gap | None, Job | None]:
            gap = catalog.gap(gap_id)
            return gap, None if gap is None or gap.job_id is None else catalog.job(gap.job_id)

        with store_errors("catalog"):
            gap, job = await self._catalog.call(look)
        if gap is None:
            raise Refusal(404, f"There is no gap {gap_id}; /gaps lists those that there are.")
        now = now_ms(self._clock)
        return answer(request, {**gap_value(gap), "job": None if job is None else job_value(job, now)})


OPERATIONS = (
    Operation("GET", "/gaps", GapRoutes.all, "gaps", {200: Answer(Listed[GapValue])}, query=GapParams, refuses=(503,)),
    Operation(
        "GET", "/gaps/{gap_id}", GapRoutes.one, "gaps", {200: Answer(GapDetail)}, names=GapPath, refuses=(404, 503)
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, GapRoutes(services))


def gap_value(gap: Gap) -> GapValue:
    """See GapValue."""
    return {
        "gap_id": gap.gap_id,
        "dataset_id": gap.dataset_id,
        "pair": gap.symbol,
        "data_type": gap.data_type,
        "timeframe": gap.timeframe,
        "start": stamp(gap.start_ms),
        "end": stamp(gap.end_ms),
        "status": gap.status,
        "cause": gap.cause,
        "evidence": gap.evidence,
        "job_id": gap.job_id,
        "first_seen": stamp(gap.first_seen_ms),
        "last_seen": stamp(gap.last_seen_ms),
        "closed_at": stamp_or_none(gap.closed_ms),
    }

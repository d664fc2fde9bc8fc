"""`/` and `/health/*`: the process, its parts, and the data it holds, from what is known and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import NotRequired, TypeVar

from aiohttp import web
from typing_extensions import TypedDict

from data_manager import __version__
from data_manager.http import condition, quality, ui
from data_manager.http.answer_types import Time
from data_manager.http.answers import answer, stamp
from data_manager.http.checks import StoreCheck
from data_manager.http.datasets import Dataset, Datasets
from data_manager.http.errors import store_errors
from data_manager.http.measured import Measured
from data_manager.http.operations import Answer, Header, Operation, routes_of
from data_manager.http.params import HealthParams, parse
from data_manager.http.ports import Services
from data_manager.storage.choice import MONGO, MYSQL, catalog_backend, market_backend
from data_manager.storage.protocols import Health
from data_manager.storage.records import ALL_SYMBOLS
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreError

TREE_STALE_S = 15.0  # a supervisor silent for this long does not watch anything any more
NOT_AUDITED = "No audit has measured this lately; POST /audit/run has one begin at once."
SWITCHED_OFF = "Nothing is measured while audits are switched off (ENABLE_AUDITOR=false)."
GUARANTEES = {"jetstream": "at least once", "core": "at most once"}


class RootValue(TypedDict):
    """Who answers."""

    service: str
    version: str
    status: str


class LivenessValue(TypedDict):
    """`status` is ok or stale; `detail` says why it is stale."""

    status: str
    timestamp: Time
    version: str
    detail: NotRequired[str]


class Components(TypedDict):
    """Each is healthy, unhealthy or not_configured."""

    nats: str
    mysql: str
    mongodb: str
    auditor: str
    analytics: str
    market_store: str
    catalog: str
    router: str
    ingest: str
    backfill: str


class ReadinessValue(TypedDict):
    """Whether the service can be used, part by part; `delivery` is jetstream or core."""

    ready: bool
    components: Components
    delivery: str | None
    timestamp: Time


class SummaryValue(TypedDict):
    """The datasets that exist and how good they are; what only an audit can tell is null without one."""

    total_datasets: int | None
    healthy_datasets: int | None
    degraded_datasets: int | None
    unhealthy_datasets: int | None
    unscored_datasets: int | None
    overall_score: float | None
    status: str
    reasons: list[str]
    delivery: str | None
    delivery_guarantee: str | None


class SummaryMetadata(TypedDict):
    """From where, and when."""

    last_updated: Time
    source: str


class Summary(TypedDict):
    """The condition of the whole service."""

    data: SummaryValue
    metadata: SummaryMetadata
    parameters: dict[str, str]


class PairMetadata(TypedDict):
    """When it was measured; `message` says why nothing was."""

    last_audit: Time | None
    data_source: str
    message: NotRequired[str]


class PairEcho(TypedDict):
    """What was asked for."""

    pair: str
    period: str | None


class PairHealth(PairEcho):
    """How good what is stored of a symbol is."""

    health: quality.HealthValue
    datasets: list[quality.DatasetHealth]
    metadata: PairMetadata
    parameters: PairEcho


OfSymbol = TypeVar("OfSymbol", Dataset, Health)


class HealthRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings
        self._rules = services.health_rules
        self._source = services.market_source
        self._clock = services.clock
        self._system = services.system
        self._backends = {market_backend(services.settings), catalog_backend(services.settings)}
        self._market = StoreCheck(services.survey, services.clock)
        self._catalog = StoreCheck(services.catalog, services.clock)
        self._datasets = Datasets(services.survey, services.clock)
        self._measured = Measured(services.catalog, services.clock)
        self._was_ready = False

    async def root(self, request: web.Request) -> web.Response:
        """Who answers; to a browser, the dashboard."""
        if ui.is_for_a_person(request):
            return await ui.page(request)
        body = {"service": "petrosa-data-manager", "version": __version__, "status": "operational"}
        return answer(request, body, headers={"Vary": "Accept"})

    async def liveness(self, request: web.Request) -> web.Response:
        """503 when the supervisor has been silent for 15 s: only a new process helps then."""
        stale = self._system.tree() is not None and self._system.tree_age_s() >= TREE_STALE_S
        body = {"status": "stale" if stale else "ok", "timestamp": self._now(), "version": __version__}
        if stale:
            body["detail"] = f"The supervisor has been silent for {self._system.tree_age_s():.0f} s."
        return answer(request, body, status=503 if stale else 200)

    async def readiness(self, request: web.Request) -> web.Response:
        """503 until every part has been ready once, while shutting down or without the market store.

        A symbol that is added later holds nothing up.
        """
        market, catalog = await asyncio.gather(self._market.problem(), self._catalog.problem())
        tree = self._system.tree()
        fleet = self._system.fleet()
        self._was_ready = self._was_ready or condition.is_ready(tree, fleet)
        ready = market is None and self._was_ready and tree is not None and not tree.draining
        body = {
            "ready": ready,
            "components": condition.components(
                tree,
                market_ok=market is None,
                catalog_ok=catalog is None,
                mongo=MONGO in self._backends,
                mysql=MYSQL in self._backends,
                fleet=fleet,
            ),
            "delivery": condition.delivery(tree, fleet),
            "timestamp": self._now(),
        }
        return answer(request, body, status=200 if ready else 503)

    async def pair(self, request: web.Request) -> web.Response:
        """What the newest audits measured of one symbol, as a whole and by dataset; of one timeframe with `period`.

        All of it, freshness too, is as it was at `last_audit`.
        """
        asked = parse(HealthParams, request)
        with store_errors("catalog"):
            rows = await self._services.catalog.call(lambda catalog: catalog.latest_health(asked.pair))
        found = self._current(rows)
        if asked.period is not None:
            found = [row for row in found if row.timeframe == asked.period]
        metadata = {"last_audit": quality.last_audit(found), "data_source": self._source}
        if not found:
            metadata["message"] = NOT_AUDITED if self._settings.enable_auditor else SWITCHED_OFF
        body = {
            "pair": asked.pair,
            "period": asked.period,
            "health": quality.health_value(found, self._rules),
            "datasets": [quality.dataset_value(row, self._rules) for row in found],
            "metadata": metadata,
            "parameters": {"pair": asked.pair, "period": asked.period},
        }
        return answer(request, body)

    async def summary(self, request: web.Request) -> web.Response:
        """The datasets that exist, how good they are, and what is wrong; what only an audit can tell is else null."""
        market, catalog = await asyncio.gather(self._market.problem(), self._catalog.problem())
        tree = self._system.tree()
        found = measured = None
        try:
            found = None if market else self._active(await self._datasets.all())
        except StoreError as error:
            market = str(error)
        try:
            measured = None if catalog else self._active(self._current(await self._measured.all()))
        except StoreError as error:
            catalog = str(error)
        reasons = condition.shortcomings(tree, market, catalog, self._system.fleet())
        delivery = condition.delivery(tree, self._system.fleet())
        data = {
            **self._counts(found, measured, condition.set_aside(tree)),
            "status": "degraded" if reasons else "operational",
            "reasons": reasons,
            "delivery": delivery,
            "delivery_guarantee": None if delivery is None else GUARANTEES[delivery],
        }
        metadata = {"last_updated": self._now(), "source": "data-manager"}
        return answer(request, {"data": data, "metadata": metadata, "parameters": {}})

    def _current(self, rows: Iterable[Health]) -> list[Health]:
        return quality.current(rows, now_ms(self._clock), self._settings.audit_interval)

    def _active(self, rows: Iterable[OfSymbol]) -> list[OfSymbol]:
        """Without those of retired symbols, which nobody looks after."""
        return [row for row in rows if row.symbol == ALL_SYMBOLS or row.symbol in self._services.symbols.names]

    def _counts(
        self, found: Sequence[Dataset] | None, measured: Sequence[Health] | None, idle: Collection[str]
    ) -> dict[str, object]:
        datasets = {dataset.name: str(dataset.symbol) for dataset in found or ()}
        counts = quality.counted(datasets, measured or (), idle, self._rules)
        nothing = found is None or not measured
        return {
            "total_datasets": None if found is None else len(found),
            "healthy_datasets": None if nothing else counts.healthy,
            "degraded_datasets": counts.degraded or None if nothing else counts.degraded,
            "unhealthy_datasets": None if nothing else counts.unhealthy,
            "unscored_datasets": None if found is None else counts.unscored,
            "overall_score": quality.mean(row.quality_score for row in measured or ()),
        }

    def _now(self) -> str:
        return stamp(now_ms(self._clock))


OPERATIONS = (
    Operation(
        "GET",
        "/",
        HealthRoutes.root,
        "health",
        {200: Answer(RootValue, others=("text/html",), headers=(Header.VARY,))},
    ),
    Operation(
        "GET",
        "/health/liveness",
        HealthRoutes.liveness,
        "health",
        {200: Answer(LivenessValue), 503: Answer(LivenessValue, "The supervisor has been silent.")},
    ),
    Operation(
        "GET",
        "/health/readiness",
        HealthRoutes.readiness,
        "health",
        {200: Answer(ReadinessValue), 503: Answer(ReadinessValue, "Not ready: the components say why.")},
    ),
    Operation("GET", "/health/summary", HealthRoutes.summary, "health", {200: Answer(Summary)}),
    Operation(
        "GET", "/health", HealthRoutes.pair, "health", {200: Answer(PairHealth)}, query=HealthParams, refuses=(503,)
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, HealthRoutes(services))

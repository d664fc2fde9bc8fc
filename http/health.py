"""`/` and `/health/*`: the process, its parts, and the data it holds, from what is known and nothing else."""

from __future__ import annotations

import asyncio

from aiohttp import web

from data_manager import __version__
from data_manager.http import condition
from data_manager.http.answers import answer, stamp
from data_manager.http.checks import StoreCheck
from data_manager.http.datasets import Dataset, Datasets
from data_manager.http.ports import Services
from data_manager.storage.choice import MONGO, MYSQL, catalog_backend, market_backend
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreError

TREE_STALE_S = 15.0  # a supervisor silent for this long does not watch anything any more
GUARANTEES = {"jetstream": "at least once", "core": "at most once"}


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    health = HealthRoutes(services)
    return [
        web.get("/", health.root),
        web.get("/health/liveness", health.liveness),
        web.get("/health/readiness", health.readiness),
        web.get("/health/summary", health.summary),
    ]


class HealthRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._clock = services.clock
        self._system = services.system
        self._backends = {market_backend(services.settings), catalog_backend(services.settings)}
        self._market = StoreCheck(services.survey, services.clock)
        self._catalog = StoreCheck(services.catalog, services.clock)
        self._datasets = Datasets(services.survey, services.clock)

    async def root(self, request: web.Request) -> web.Response:
        """Who answers."""
        return answer(request, {"service": "petrosa-data-manager", "version": __version__, "status": "operational"})

    async def liveness(self, request: web.Request) -> web.Response:
        """503 when the supervisor has been silent for 15 s: only a new process helps then."""
        stale = self._system.tree() is not None and self._system.tree_age_s() >= TREE_STALE_S
        body = {"status": "stale" if stale else "ok", "timestamp": self._now(), "version": __version__}
        if stale:
            body["detail"] = f"The supervisor has been silent for {self._system.tree_age_s():.0f} s."
        return answer(request, body, status=503 if stale else 200)

    async def readiness(self, request: web.Request) -> web.Response:
        """503 until every part has been ready once, while shutting down or without the market store."""
        market, catalog = await asyncio.gather(self._market.problem(), self._catalog.problem())
        tree = self._system.tree()
        ready = market is None and condition.is_ready(tree)
        body = {
            "ready": ready,
            "components": condition.components(
                tree,
                market_ok=market is None,
                catalog_ok=catalog is None,
                mongo=MONGO in self._backends,
                mysql=MYSQL in self._backends,
            ),
            "delivery": condition.delivery(tree),
            "timestamp": self._now(),
        }
        return answer(request, body, status=200 if ready else 503)

    async def summary(self, request: web.Request) -> web.Response:
        """The datasets that exist and what is wrong; what only an audit can tell is null."""
        market, catalog = await asyncio.gather(self._market.problem(), self._catalog.problem())
        tree = self._system.tree()
        try:
            found: tuple[Dataset, ...] | None = None if market else await self._datasets.all()
        except StoreError as error:
            found, market = None, str(error)
        idle = condition.set_aside(tree)
        degraded = sum(dataset.symbol in idle for dataset in found or ())
        reasons = condition.shortcomings(tree, market, catalog)
        delivery = condition.delivery(tree)
        data = {
            "total_datasets": None if found is None else len(found),
            "healthy_datasets": None,
            "degraded_datasets": degraded or None,
            "unhealthy_datasets": None,
            "overall_score": None,
            "status": "degraded" if reasons else "operational",
            "reasons": reasons,
            "delivery": delivery,
            "delivery_guarantee": None if delivery is None else GUARANTEES[delivery],
        }
        metadata = {"last_updated": self._now(), "source": "data-manager"}
        return answer(request, {"data": data, "metadata": metadata, "parameters": {}})

    def _now(self) -> str:
        return stamp(now_ms(self._clock))

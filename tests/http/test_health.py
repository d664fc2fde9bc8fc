from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from data_manager import __version__
from data_manager.http import checks
from data_manager.http.checks import StoreCheck
from data_manager.http.store_thread import StoreThread
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import catalog_url
from data_manager.storage.records import Symbol
from data_manager.system.settings import Settings
from tests.http.serving import (
    MINUTE,
    NOW,
    NOW_MS,
    Api,
    StillClock,
    actor,
    book,
    candle,
    funding,
    serving,
    trade,
    tree,
    working_tree,
)


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            await check(api)

    asyncio.run(run())


def test_the_root_says_who_answers(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/")
        assert answer.status == 200
        assert answer.body == {
            "service": "petrosa-data-manager",
            "version": __version__,
            "status": "operational",
        }

    with_api(tmp_path, check)


def test_alive_before_the_first_tree_and_while_trees_arrive(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.age_s = float("inf")
        answer = await api.get("/health/liveness")
        assert (answer.status, answer.body) == (
            200,
            {"status": "ok", "timestamp": NOW, "version": __version__},
        )
        api.system.latest, api.system.age_s = working_tree(), 14.9
        assert (await api.get("/health/liveness")).status == 200

    with_api(tmp_path, check)


def test_not_alive_once_the_supervisor_has_been_silent_for_15_seconds(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest, api.system.age_s = working_tree(), 15.0
        answer = await api.get("/health/liveness")
        assert answer.status == 503
        assert answer.body["status"] == "stale"
        assert answer.body["detail"] == "The supervisor has been silent for 15 s."

    with_api(tmp_path, check)


def test_ready_with_all_parts_and_both_stores(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree()
        answer = await api.get("/health/readiness")
        assert answer.status == 200
        assert answer.body == {
            "ready": True,
            "components": {
                "nats": "healthy",
                "mysql": "not_configured",
                "mongodb": "not_configured",
                "auditor": "not_configured",
                "analytics": "not_configured",
                "market_store": "healthy",
                "catalog": "healthy",
                "router": "healthy",
                "ingest": "healthy",
                "backfill": "not_configured",
            },
            "delivery": "jetstream",
            "timestamp": NOW,
        }

    with_api(tmp_path, check)


def test_not_ready_before_the_first_tree(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/health/readiness")
        assert answer.status == 503
        assert answer.body["ready"] is False
        assert answer.body["delivery"] is None

    with_api(tmp_path, check)


def test_losing_nats_after_having_been_ready_shows_in_the_body_only(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        router = actor("router", "waiting", "nats;delivery=core", ever_running=True)
        api.system.latest = tree(actor("http"), actor("ingest/BTCUSDT"), router)
        answer = await api.get("/health/readiness")
        assert answer.status == 200
        assert answer.body["components"]["nats"] == "unhealthy"
        assert answer.body["delivery"] == "core"

    with_api(tmp_path, check)


def test_not_ready_while_the_market_store_is_away_and_ready_again_after(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree()
        (tmp_path / "market").rename(tmp_path / "elsewhere")
        answer = await api.get("/health/readiness")
        assert answer.status == 503
        assert answer.body["components"]["market_store"] == "unhealthy"
        (tmp_path / "elsewhere").rename(tmp_path / "market")
        assert (await api.get("/health/readiness")).status == 503, "an answer holds for a second"
        api.clock.seconds += 1.0
        assert (await api.get("/health/readiness")).status == 200

    with_api(tmp_path, check)


def test_a_catalog_that_is_away_leaves_the_service_ready(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        (tmp_path / "catalog.sqlite3").write_bytes(b"this is no database" * 1000)
        api.system.latest = working_tree()
        answer = await api.get("/health/readiness")
        assert answer.status == 200
        assert answer.body["components"]["catalog"] == "unhealthy"
        assert (await api.get("/system/incidents")).status == 503
        assert (await api.get("/data/depth", pair="BTCUSDT")).status == 200

    with_api(tmp_path, check)


def test_the_summary_counts_the_datasets_that_exist_and_knows_no_scores(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree()
        api.store([candle(NOW_MS - MINUTE), candle(NOW_MS - 5 * MINUTE, "5m"), trade(1, NOW_MS)], book(1))
        api.store([funding(NOW_MS, settled=True)], symbol=Symbol("ETHUSDT"))
        answer = await api.get("/health/summary")
        assert answer.body == {
            "data": {
                "total_datasets": 4,
                "healthy_datasets": None,
                "degraded_datasets": None,
                "unhealthy_datasets": None,
                "overall_score": None,
                "status": "operational",
                "reasons": [],
                "delivery": "jetstream",
                "delivery_guarantee": "at least once",
            },
            "metadata": {"last_updated": NOW, "source": "data-manager"},
            "parameters": {},
        }
        api.store([trade(1, NOW_MS)], symbol=Symbol("SOLUSDT"))
        assert (await api.get("/health/summary")).body["data"]["total_datasets"] == 4
        api.clock.seconds += 30
        assert (await api.get("/health/summary")).body["data"]["total_datasets"] == 5

    with_api(tmp_path, check)


@pytest.mark.parametrize("state", ["parked", "paused"])
def test_a_symbol_that_is_set_aside_degrades_the_summary_and_nothing_else(tmp_path: Path, state: str) -> None:
    async def check(api: Api) -> None:
        api.store([trade(1, NOW_MS), candle(NOW_MS)])
        api.store([trade(1, NOW_MS)], symbol=Symbol("ETHUSDT"))
        api.system.latest = tree(
            actor("http"),
            actor("ingest/BTCUSDT", state, last_cause=None),
            actor("ingest/ETHUSDT"),
            actor("router", detail="delivery=core"),
        )
        data = (await api.get("/health/summary")).body["data"]
        assert (data["total_datasets"], data["degraded_datasets"]) == (3, 2)
        assert data["status"] == "degraded"
        assert data["reasons"] == [f"ingest/BTCUSDT is {state}."]
        assert data["delivery_guarantee"] == "at most once"
        assert (await api.get("/health/readiness")).status == 200
        assert (await api.get("/health/liveness")).status == 200

    with_api(tmp_path, check)


def test_the_summary_is_null_and_not_zero_while_the_market_store_is_away(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree()
        shutil.rmtree(tmp_path / "market")
        answer = await api.get("/health/summary")
        assert answer.status == 200
        assert answer.body["data"]["total_datasets"] is None
        assert answer.body["data"]["reasons"] == ["The market store is not available."]

    with_api(tmp_path, check)


def test_the_summary_without_a_tree_says_so(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        data = (await api.get("/health/summary")).body["data"]
        assert data["status"] == "degraded"
        assert data["delivery"] is data["delivery_guarantee"] is None
        assert data["total_datasets"] == 0

    with_api(tmp_path, check)


def test_a_store_is_asked_once_a_second_however_many_probes_come(tmp_path: Path) -> None:
    asked = 0

    class Counting(SqlCatalog):
        def check(self) -> None:
            nonlocal asked
            asked += 1
            super().check()

    async def run() -> None:
        clock = StillClock()
        thread = StoreThread("catalog", lambda: Counting(catalog_url(Settings(data_dir=tmp_path)), clock=clock))
        check = StoreCheck(thread, clock)
        assert await asyncio.gather(*(check.problem() for _ in range(50))) == [None] * 50
        assert asked == 1
        clock.seconds += 1
        await check.problem()
        assert asked == 2
        await thread.close()

    asyncio.run(run())


def test_a_store_that_hangs_is_a_problem_within_the_probes_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(checks, "PATIENCE_S", 0.05)
    go_on = threading.Event()

    class Hanging(SqlCatalog):
        def check(self) -> None:
            go_on.wait(10)

    async def run() -> None:
        clock = StillClock()
        thread = StoreThread("catalog", lambda: Hanging(catalog_url(Settings(data_dir=tmp_path)), clock=clock))
        check = StoreCheck(thread, clock)
        assert await check.problem() == "no answer within 0.05 s"
        go_on.set()
        while await check.problem() is not None:
            clock.seconds += 1
        await thread.close()

    asyncio.run(run())

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
from data_manager.storage.protocols import Health
from data_manager.storage.records import Symbol
from data_manager.system.fleet_messages import FleetNews
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
    health,
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


def test_a_symbol_that_is_added_later_takes_nobody_out_of_service(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        starting = actor("ingest/XRPUSDT", "starting", ever_running=False)
        api.system.latest = tree(*working_tree().actors, starting)
        assert (await api.get("/health/readiness")).status == 503  # at the start it is waited for
        api.system.latest = working_tree()
        assert (await api.get("/health/readiness")).status == 200
        api.system.latest = tree(*working_tree().actors, starting)
        assert (await api.get("/health/readiness")).status == 200
        api.system.latest = tree(*working_tree().actors, draining=True)
        assert (await api.get("/health/readiness")).status == 503

    with_api(tmp_path, check)


def test_what_is_retired_or_runs_elsewhere_is_no_shortcoming(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        gone = [actor(f"ingest/{state}", state, ever_running=False) for state in ("retired", "elsewhere")]
        api.system.latest = tree(*working_tree().actors, *gone)
        api.system.replicas = FleetNews("a", (), {"ingest/elsewhere": "b"})
        answer = await api.get("/health/readiness")
        assert (answer.status, answer.body["components"]["ingest"]) == (200, "healthy")
        assert (await api.get("/health/summary")).body["data"]["reasons"] == []

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
                "unscored_datasets": 4,
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


async def audited(api: Api, *rows: Health) -> None:
    await api.services.catalog.call(lambda catalog: catalog.save_health(rows))


def test_the_summary_counts_bands_and_averages_the_scores(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree()
        rows = [candle(NOW_MS - MINUTE), candle(NOW_MS - 5 * MINUTE, "5m"), trade(1, NOW_MS)]
        api.store([*rows, funding(NOW_MS, settled=True)])
        await audited(
            api,
            health(metric_id="1"),
            health(metric_id="2", dataset_id="candles_BTCUSDT_5m", timeframe="5m", quality_score=75.0),
            health(metric_id="3", dataset_id="trades_BTCUSDT", timeframe=None, quality_score=20.2),
            health(metric_id="4", dataset_id="candles_OLDUSDT_1m", at_ms=NOW_MS - 86_400_000, quality_score=0.0),
        )
        data = (await api.get("/health/summary")).body["data"]
        assert {name: value for name, value in data.items() if name.endswith("datasets")} == {
            "total_datasets": 4,
            "healthy_datasets": 1,
            "degraded_datasets": 1,
            "unhealthy_datasets": 1,
            "unscored_datasets": 1,
        }
        assert data["overall_score"] == 65.0
        api.system.latest = tree(actor("ingest/BTCUSDT", "parked"))
        data = (await api.get("/health/summary")).body["data"]
        assert (data["healthy_datasets"], data["degraded_datasets"], data["unhealthy_datasets"]) == (0, 3, 1)

    with_api(tmp_path, check)


def test_the_summary_without_a_catalog_keeps_what_the_market_store_tells(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree()
        api.store([trade(1, NOW_MS)])
        data = (await api.get("/health/summary")).body["data"]
        assert (data["total_datasets"], data["healthy_datasets"], data["overall_score"]) == (1, None, None)
        assert data["reasons"] == ["The catalog is not available."]

    (tmp_path / "catalog.sqlite3").mkdir()
    with_api(tmp_path, check)


def test_the_health_of_a_pair_is_that_of_its_newest_audits(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        hours = health(metric_id="2", dataset_id="candles_BTCUSDT_1h", timeframe="1h", quality_score=70.0, gaps_count=2)
        await audited(
            api,
            health(metric_id="0", at_ms=NOW_MS - MINUTE, quality_score=1.0),
            health(metric_id="1"),
            hours,
            health(metric_id="3", symbol="ETHUSDT", dataset_id="candles_ETHUSDT_1m"),
        )
        body = (await api.get("/health", pair="BTCUSDT", period="1m")).body
        assert body == {
            "pair": "BTCUSDT",
            "period": "1m",
            "health": {
                "completeness": 99.5,
                "freshness_sec": 42,
                "gaps": 1,
                "duplicates": 0,
                "consistency_score": 100.0,
                "quality_score": 99.8,
                "band": "healthy",
                "parts": {"completeness": 39.8, "consistency": 40.0, "freshness": 20.0},
            },
            "datasets": [
                {"dataset_id": "candles_BTCUSDT_1m", "period": "1m", **body["health"], "last_audit": NOW},
            ],
            "metadata": {"last_audit": NOW, "data_source": "sqlite"},
            "parameters": {"pair": "BTCUSDT", "period": "1m"},
        }
        whole = (await api.get("/health", pair="BTCUSDT")).body
        assert (whole["period"], whole["health"]["gaps"], whole["health"]["quality_score"]) == (None, 3, 84.9)
        assert [each["period"] for each in whole["datasets"]] == ["1h", "1m"]

    with_api(tmp_path, check)


def test_the_health_that_nobody_has_measured_is_null_and_says_why(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await audited(api, health(at_ms=NOW_MS - 86_400_000))
        for asked in ({"pair": "BTCUSDT"}, {"pair": "NEWUSDT", "period": "1h"}):
            answer = await api.get("/health", **asked)
            assert answer.status == 200
            assert answer.body["health"].pop("parts") == {}
            assert set(answer.body["health"].values()) == {None}
            assert answer.body["datasets"] == []
            assert answer.body["metadata"] == {
                "last_audit": None,
                "data_source": "sqlite",
                "message": "No audit has measured this lately; POST /audit/run has one begin at once.",
            }

    with_api(tmp_path, check)


def test_without_an_auditor_the_health_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, enable_auditor=False) as api:
            body = (await api.get("/health", pair="BTCUSDT")).body
            assert "ENABLE_AUDITOR=false" in body["metadata"]["message"]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("asked", "loc"), [({}, "pair"), ({"pair": "btc"}, "pair"), ({"pair": "BTCUSDT", "period": "2m"}, "period")]
)
def test_health_of_no_pair_or_period_is_422(tmp_path: Path, asked: dict[str, object], loc: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/health", **asked)
        assert (answer.status, answer.body["detail"][0]["loc"]) == (422, ["query", loc])

    with_api(tmp_path, check)


def test_health_needs_the_catalog(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/health", pair="BTCUSDT")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")

    (tmp_path / "catalog.sqlite3").mkdir()
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

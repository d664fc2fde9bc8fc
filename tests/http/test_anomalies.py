"""The three anomaly routes, each under both of its paths."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from data_manager.actors.analytics.anomalies import METHODS
from data_manager.http.analysis_params import DetectParams
from data_manager.storage.protocols import AuditLog
from data_manager.system.errors import FeedError
from data_manager.system.messages import Detected, Found
from tests.http.serving import NOW, NOW_MS, Api, actor, serving, tree, working_tree

TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PATHS = ("/anomalies", "/anomalies/anomalies")

path = pytest.mark.parametrize("path", PATHS)


def with_api(
    folder: Path, check: Callable[[Api], Awaitable[None]], token: str | None = None, logs: tuple[AuditLog, ...] = ()
) -> None:
    async def run() -> None:
        async with serving(folder, token=token) as api:
            api.system.latest = tree(actor("http"), actor("analytics"))
            if logs:
                await api.services.catalog.call(lambda catalog: catalog.save_audit_logs(logs))
            await check(api)

    asyncio.run(run())


def log(number: int, **changes: Any) -> AuditLog:
    values: dict[str, Any] = {
        "audit_id": f"a{number}",
        "dataset_id": "candles_BTCUSDT_1h",
        "symbol": "BTCUSDT",
        "audit_type": "anomaly",
        "severity": "high",
        "details": "Anomaly detected at 2025-10-20T11:00:00+00:00: price=42000.10, method=zscore",
        "at_ms": NOW_MS + number,
    }
    return AuditLog(**{**values, **changes})


# -- found ----------------------------------------------------------------------------------------------------


@path
def test_anomalies_have_the_keys_and_types_of_the_original(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        body = (await api.get(path, pair="BTCUSDT")).body
        assert body["anomalies"] == [
            {
                "audit_id": "a0",
                "dataset_id": "candles_BTCUSDT_1h",
                "symbol": "BTCUSDT",
                "audit_type": "anomaly",
                "severity": "high",
                "details": "Anomaly detected at 2025-10-20T11:00:00+00:00: price=42000.10, method=zscore",
                "timestamp": NOW,
            }
        ]
        assert body["data"] == body["anomalies"]
        assert (body["pair"], body["total_count"], body["severity_filter"]) == ("BTCUSDT", 1, None)
        assert body["timestamp"] == NOW
        assert body["pagination"]["total"] == 1
        assert body["sort"] == {"by": "timestamp", "order": "desc"}
        assert body["filters_applied"] == {"pair": "BTCUSDT"}

    with_api(tmp_path, check, logs=(log(0), log(1, audit_type="gap"), log(2, symbol="ETHUSDT")))


@path
def test_without_anomalies_the_list_is_empty(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        body = (await api.get(path, pair="NOSUCHUSDT")).body
        assert (body["anomalies"], body["data"], body["total_count"]) == ([], [], 0)

    with_api(tmp_path, check)


def test_anomalies_are_filtered_by_severity_and_time_and_paged(tmp_path: Path) -> None:
    async def ids(api: Api, **asked: object) -> tuple[str, int]:
        body = (await api.get("/anomalies", pair="BTCUSDT", **asked)).body
        return "".join(each["audit_id"][1:] for each in body["data"]), body["total_count"]

    async def check(api: Api) -> None:
        assert await ids(api) == ("4321", 4)
        assert await ids(api, severity="critical") == ("3", 1)
        assert await ids(api, limit=2, offset=1) == ("32", 4)
        assert await ids(api, sort_order="asc") == ("1234", 4)
        times = {"from": "2025-10-20T12:00:00.002Z", "to": "2025-10-20T12:00:00.004Z"}
        assert await ids(api, **times) == ("32", 2)
        body = (await api.get("/anomalies", pair="BTCUSDT", severity="low", dialect="v11", **times)).body
        assert body["severity_filter"] == "low"
        assert body["filters_applied"].keys() == {"pair", "severity", "from", "to"}
        assert "data" not in body

    with_api(tmp_path, check, logs=(log(1), log(2), log(3, severity="critical"), log(4)))


def test_every_anomaly_is_new_and_none_has_another_status(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for status, known in (("new", 1), ("acknowledged", 0), ("resolved", 0)):
            body = (await api.get("/anomalies", pair="BTCUSDT", status=status)).body
            assert (len(body["anomalies"]), body["total_count"]) == (known, known)
            assert body["filters_applied"] == {"pair": "BTCUSDT", "status": status}

    with_api(tmp_path, check, logs=(log(0),))


@path
@pytest.mark.parametrize("asked", [
    {"pair": None}, {"pair": "btc"}, {"severity": "dire"}, {"limit": 0}, {"limit": 1001}, {"offset": -1},
    {"from": "yesterday"}, {"sort_order": "up"}, {"dialect": "v12"},
])  # fmt: skip
def test_what_cannot_be_asked_is_422(tmp_path: Path, path: str, asked: dict[str, Any]) -> None:
    async def check(api: Api) -> None:
        given = {name: value for name, value in {"pair": "BTCUSDT", **asked}.items() if value is not None}
        answer = await api.get(path, **given)
        assert answer.status == 422
        assert [item["loc"] for item in answer.body["detail"]] == [["query", next(iter(asked))]]

    with_api(tmp_path, check)


# -- summary --------------------------------------------------------------------------------------------------


@path
def test_the_summary_counts_by_severity_and_by_symbol(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        assert (await api.get(f"{path}/summary")).body == {
            "total_anomalies": 4,
            "by_severity": {"high": 3, "critical": 1},
            "by_symbol": {"BTCUSDT": 3, "ETHUSDT": 1},
            "timestamp": NOW,
        }

    eth = log(4, symbol="ETHUSDT")
    with_api(tmp_path, check, logs=(log(1), log(2), log(3, severity="critical"), eth, log(5, audit_type="gap")))


@path
def test_the_summary_of_nothing_is_zero(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        body = (await api.get(f"{path}/summary")).body
        assert body == {"total_anomalies": 0, "by_severity": {}, "by_symbol": {}, "timestamp": NOW}

    with_api(tmp_path, check)


@path
@pytest.mark.parametrize("tail", ["?pair=BTCUSDT", "/summary"])
def test_a_catalog_that_is_away_is_503(tmp_path: Path, path: str, tail: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(path + tail)
        assert answer.status == 503
        assert "catalog" in answer.body["detail"]

    (tmp_path / "catalog.sqlite3").mkdir()
    with_api(tmp_path, check)


# -- detect ---------------------------------------------------------------------------------------------------


@path
def test_bars_that_cannot_be_judged_hold_no_anomaly_and_the_answer_says_why(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        api.system.detected = Detected("1", note="zscore cannot judge BTCUSDT 4h: 3 bars.")
        answer = await api.post(f"{path}/detect?pair=BTCUSDT&timeframe=4h")
        assert (answer.status, answer.body["anomalies_detected"], answer.body["anomalies"]) == (200, 0, [])
        assert answer.body["metadata"] == {"message": "zscore cannot judge BTCUSDT 4h: 3 bars."}

    with_api(tmp_path, check)


@path
def test_detection_answers_with_what_was_found(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        api.system.detected = Detected(
            "1",
            (
                Found(NOW_MS, "isolation_forest", "high", "ml_outlier", 0.7, 0.6, 42000.5, 1.25, {"volatility": 0.01}),
                Found(NOW_MS + 1, "zscore", "medium", "statistical_outlier", 4.5, 4.0, 42001.0, 2.5),
            ),
        )
        answer = await api.post(f"{path}/detect?pair=BTCUSDT&method=isolation_forest")
        assert answer.status == 200
        assert api.system.searches == [("BTCUSDT", "1h", "isolation_forest")]
        assert answer.body == {
            "pair": "BTCUSDT",
            "timeframe": "1h",
            "method": "isolation_forest",
            "anomalies_detected": 2,
            "anomalies": [
                {
                    "timestamp": NOW,
                    "price": 42000.5,
                    "method": "isolation_forest",
                    "severity": "high",
                    "reason": "ml_outlier",
                    "score": 0.7,
                    "limit": 0.6,
                    "volume": 1.25,
                    "features": {"volatility": 0.01},
                },
                {
                    "timestamp": "2025-10-20T12:00:00.001000+00:00",
                    "price": 42001.0,
                    "method": "zscore",
                    "severity": "medium",
                    "reason": "statistical_outlier",
                    "score": 4.5,
                    "limit": 4.0,
                },
            ],
            "timestamp": NOW,
        }
        assert (await api.get(f"{path}/detect?pair=BTCUSDT")).status == 405

    with_api(tmp_path, check)


def test_without_more_it_is_zscore_on_hours_and_nothing_may_be_found(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        body = (await api.post("/anomalies/detect?pair=BTCUSDT")).body
        assert (body["anomalies_detected"], body["anomalies"]) == (0, [])
        assert api.system.searches == [("BTCUSDT", "1h", "zscore")]

    with_api(tmp_path, check)


@path
@pytest.mark.parametrize("query", ["", "pair=btc", "pair=BTCUSDT&timeframe=2h", "pair=BTCUSDT&method=guess"])
def test_what_cannot_be_detected_is_422(tmp_path: Path, path: str, query: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.post(f"{path}/detect?{query}")
        assert answer.status == 422
        assert answer.body["detail"][0]["loc"] in (["query", "pair"], ["query", "timeframe"], ["query", "method"])
        assert api.system.searches == []

    with_api(tmp_path, check)


def test_every_method_that_analytics_has_can_be_asked_for() -> None:
    assert get_args(DetectParams.model_fields["method"].annotation) == METHODS


@path
def test_once_a_token_is_set_detection_needs_it_and_reading_does_not(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        detect = f"{path}/detect?pair=BTCUSDT"
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = await api.post(detect, headers=headers)
            assert (answer.status, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
        assert api.system.searches == []
        assert (await api.post(detect, headers=BEARER)).status == 200
        assert (await api.get(f"{path}/summary")).status == 200
        assert (await api.get(path, pair="BTCUSDT")).status == 200

    with_api(tmp_path, check, token=TOKEN)


@pytest.mark.parametrize(("outcome", "status", "words"), [
    (TimeoutError(), 504, "not answered in time"),
    (FeedError("busy"), 503, "already"),
    (Detected("1", problem="The market store is away."), 503, "The market store is away."),
])  # fmt: skip
def test_a_detection_that_fails_says_what_to_do(tmp_path: Path, outcome: Any, status: int, words: str) -> None:
    async def check(api: Api) -> None:
        api.system.detected = outcome
        answer = await api.post("/anomalies/detect?pair=BTCUSDT")
        assert answer.status == status
        assert words in answer.body["detail"]
        assert ("Retry-After" in answer.headers) == (status == 503)

    with_api(tmp_path, check)


def test_analytics_that_is_not_at_work_is_503(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for latest in (None, working_tree(), tree(actor("analytics", "parked"))):
            api.system.latest = latest
            answer = await api.post("/anomalies/detect?pair=BTCUSDT")
            assert answer.status == 503
            assert "GET /system/tree says why" in answer.body["detail"]
        assert api.system.searches == []

    with_api(tmp_path, check)

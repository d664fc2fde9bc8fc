"""The nine `/analysis` routes: keys and types of the original, honest where nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.computed import METRICS
from data_manager.storage.records import MARKET_WIDE, Symbol
from tests.http.computed import HOUR, document, store_documents
from tests.http.serving import NOW, NOW_MS, Api, candle, serving

TEXT = str

# What the original's clients read: names and types, of a document that has everything.
SERIES = {
    "pair": TEXT,
    "period": TEXT,
    "metric": TEXT,
    "method": TEXT,
    "window": TEXT,
    "values": list,
    "metadata": dict,
}
SERIES_METADATA = {"data_completeness": float, "last_updated": TEXT, "collection": TEXT, "records_returned": int}
VALUES: dict[str, dict[str, Any]] = {
    "volatility": dict.fromkeys(
        ("timestamp", "rolling_stddev", "annualized", "parkinson", "garman_klass", "vov"), TEXT
    ),
    "volume": dict.fromkeys(
        ("timestamp", "total_volume", "volume_sma", "volume_ema", "volume_delta", "volume_spike_ratio"), TEXT
    ),
    "trend": dict.fromkeys(
        ("timestamp", "sma", "ema", "wma", "rate_of_change", "directional_strength", "crossover_signal"), TEXT
    ),
}
SINGLES: dict[str, dict[str, Any]] = {
    "spread": dict.fromkeys(
        (
            "bid_ask_spread",
            "spread_percentage",
            "market_depth_bid",
            "market_depth_ask",
            "liquidity_ratio",
            "slippage_estimate",
        ),
        TEXT,
    ),
    "deviation": dict.fromkeys(
        (
            "standard_deviation",
            "variance",
            "z_score",
            "bollinger_upper",
            "bollinger_lower",
            "price_range_index",
            "autocorrelation",
        ),
        TEXT,
    ),
    "seasonality": {
        "hourly_pattern": dict,
        "daily_pattern": dict,
        "seasonal_deviation": TEXT,
        "entropy_index": TEXT,
        "dominant_cycle": int,
    },
    "regime": dict.fromkeys(("regime", "volatility_level", "volume_level", "trend_direction", "confidence"), TEXT),
}
TRUST = {
    "method": TEXT,
    "window_start": TEXT,
    "window_end": TEXT,
    "newest_bar": TEXT,
    "n": int,
    "expected": int,
    "completeness": float,
    "gaps": int,
    "warm_up": int,
    "parameters": dict,
    "reasons": dict,
    "computed_at": TEXT,
}


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with serving(folder, **settings) as api:
            await check(api)

    asyncio.run(run())


def has(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, kind in wanted.items():
        assert isinstance(found[name], kind), (name, found[name])


async def body(api: Api, metric: str, **asked: object) -> dict[str, Any]:
    answer = await api.get(f"/analysis/{metric}", **{"pair": "BTCUSDT", "period": "1h", **asked})
    assert answer.status == 200, answer.body
    return answer.body


# -- series -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", VALUES)
def test_a_series_has_the_keys_and_types_of_the_original(tmp_path: Path, metric: str) -> None:
    store_documents(tmp_path, document(metric))

    async def check(api: Api) -> None:
        found = await body(api, metric)
        has(found, SERIES)
        has(found["metadata"], SERIES_METADATA)
        ((shown),) = found["values"]
        has(shown, VALUES[metric])
        has(shown["metadata"], TRUST)
        assert (found["metric"], found["metadata"]["collection"]) == (metric, f"analytics_BTCUSDT_{metric}")
        assert shown["timestamp"] == NOW
        renamed = {"annualized_volatility": "annualized", "volatility_of_volatility": "vov"}
        added = {renamed.get(each.name, each.name) for each in METRICS[metric]}
        assert shown.keys() == {"timestamp", "state", "metadata", *added}
        assert found["data"] == found["values"]
        assert found["pagination"]["total"] == 1
        assert found["sort"] == {"by": "timestamp", "order": "desc"}

    with_api(tmp_path, check)


@pytest.mark.parametrize("metric", VALUES)
def test_a_series_that_is_not_computed_yet_is_empty_and_says_so(tmp_path: Path, metric: str) -> None:
    async def check(api: Api) -> None:
        for found in (await body(api, metric), await body(api, metric, pair="NOSUCHUSDT")):
            assert (found["values"], found["data"]) == ([], [])
            metadata = found["metadata"]
            assert metadata["message"] == f"No {metric} data available"
            assert (metadata["records_returned"], metadata["data_completeness"], metadata["last_updated"]) == (
                0,
                None,
                None,
            )

    with_api(tmp_path, check)


def test_up_to_ten_documents_come_the_newest_first_and_of_their_timeframe_alone(tmp_path: Path) -> None:
    hours = [document("volume", NOW_MS - number * HOUR) for number in range(12)]
    store_documents(tmp_path, *hours, document("volume", NOW_MS + HOUR, "1d"), document("trend", NOW_MS + 2 * HOUR))

    async def check(api: Api) -> None:
        found = await body(api, "volume")
        times = [value["timestamp"] for value in found["values"]]
        assert (len(times), times) == (10, sorted(times, reverse=True))
        assert times[0] == NOW
        assert found["pagination"]["total"] == 12
        assert found["metadata"]["records_returned"] == 10
        assert len((await body(api, "volume", period="1d"))["values"]) == 1
        assert (await body(api, "volume", period="4h"))["values"] == []

    with_api(tmp_path, check)


def test_what_could_not_be_computed_is_null_and_says_why(tmp_path: Path) -> None:
    store_documents(tmp_path, document("volatility", known=False))

    async def check(api: Api) -> None:
        ((value),) = (await body(api, "volatility"))["values"]
        assert value["state"] == "empty"
        assert [value[name] for name in ("rolling_stddev", "annualized", "vov", "atr14")] == [None] * 4
        assert value["metadata"]["reasons"]["rolling_stddev"] == "5 bars are there, and it takes 20"

    with_api(tmp_path, check)


@pytest.mark.parametrize(("method", "annualized"), [
    ("rolling_stddev", "0.5"),
    ("parkinson", "0.25"),  # times the annualisation factor of its own parameters
    ("yang_zhang", None),
])  # fmt: skip
def test_the_method_is_the_estimator_that_is_annualised(tmp_path: Path, method: str, annualized: str | None) -> None:
    store_documents(tmp_path, document("volatility", fields={"annualized_volatility": 0.5, "yang_zhang": None}))

    async def check(api: Api) -> None:
        found = await body(api, "volatility", method=method)
        assert (found["method"], found["values"][0]["annualized"]) == (method, annualized)

    with_api(tmp_path, check)


def test_a_window_is_one_that_documents_have_and_the_default_is_the_timeframes_own(tmp_path: Path) -> None:
    days = {"window": "365d"}
    store_documents(tmp_path, document("volatility"), document("volatility", timeframe="1d", metadata=days))

    async def check(api: Api) -> None:
        for asked, window in (({}, "30d"), ({"window": "30d"}, "30d"), ({"period": "1d"}, "365d")):
            found = await body(api, "volatility", **asked)
            assert (found["window"], len(found["values"])) == (window, 1)
        assert (await body(api, "volatility", period="1d", window="30d"))["window"] == "365d"
        assert (await body(api, "volatility", period="1d", window="365d"))["window"] == "365d"
        answer = await api.get("/analysis/volatility", pair="BTCUSDT", period="1h", window="7d")
        assert answer.status == 422
        ((item),) = answer.body["detail"]
        assert (item["loc"], item["input"]) == (["query", "window"], "7d")
        assert "30d" in item["msg"]

    with_api(tmp_path, check)


def test_the_window_of_a_trend_is_its_averages_length(tmp_path: Path) -> None:
    store_documents(tmp_path, document("trend"))

    async def check(api: Api) -> None:
        assert (await body(api, "trend"))["window"] == "20"
        assert len((await body(api, "trend", window="20"))["values"]) == 1
        assert len((await body(api, "trend", window="30d"))["values"]) == 1

    with_api(tmp_path, check)


def test_the_dialect_leaves_one_of_the_lists_out(tmp_path: Path) -> None:
    store_documents(tmp_path, document("trend"))

    async def check(api: Api) -> None:
        old, new = await body(api, "trend", dialect="v11"), await body(api, "trend", dialect="head")
        assert ("values" in old, "data" in old) == (True, False)
        assert ("values" in new, "data" in new) == (False, True)

    with_api(tmp_path, check)


def test_times_inside_a_document_are_text(tmp_path: Path) -> None:
    store_documents(tmp_path, document("trend"), document("regime"))

    async def check(api: Api) -> None:
        cross = (await body(api, "trend"))["values"][0]["cross"]
        assert cross == {"direction": "bullish", "age_bars": 2, "time": "2025-10-20T10:00:00.000000+00:00"}
        assert (await body(api, "regime"))["data"]["transition_time"] == "2025-10-20T07:00:00.000000+00:00"

    with_api(tmp_path, check)


# -- single documents -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", SINGLES)
def test_a_single_document_has_the_keys_and_types_of_the_original(tmp_path: Path, metric: str) -> None:
    store_documents(tmp_path, document(metric, NOW_MS - HOUR), document(metric), document(metric, NOW_MS + 9, "1d"))

    async def check(api: Api) -> None:
        found = await body(api, metric)
        has(found, {"pair": TEXT, "metric": TEXT, "data": dict, "metadata": dict})
        has(found["data"], SINGLES[metric])
        assert found["data"].keys() == {each.name for each in METRICS[metric]}
        has(found["metadata"], {"timestamp": TEXT, "source": TEXT, "collection": TEXT, **TRUST})
        assert found["metadata"]["timestamp"] == NOW
        assert found["metadata"]["collection"] == f"analytics_BTCUSDT_{metric}"
        assert "sums" not in found["metadata"]
        day = await body(api, metric, period="1d")
        assert day["metadata"]["timestamp"] == "2025-10-20T12:00:00.009000+00:00"

    with_api(tmp_path, check)


@pytest.mark.parametrize("metric", SINGLES)
def test_a_single_document_that_is_not_there_is_null_and_says_so(tmp_path: Path, metric: str) -> None:
    async def check(api: Api) -> None:
        found = await body(api, metric)
        assert found["data"] is None
        assert found["metadata"]["message"] == f"No {metric} data available"
        assert found["metadata"]["timestamp"] is None

    with_api(tmp_path, check)


def test_spread_and_regime_are_of_the_hour_unless_asked_otherwise(tmp_path: Path) -> None:
    store_documents(tmp_path, document("spread"), document("regime"))

    async def check(api: Api) -> None:
        for metric in ("spread", "regime"):
            found = (await api.get(f"/analysis/{metric}", pair="BTCUSDT")).body
            assert (found["period"], found["metadata"]["timestamp"]) == ("1h", NOW)
            assert (await body(api, metric, period="1d"))["data"] is None

    with_api(tmp_path, check)


# -- correlation ----------------------------------------------------------------------------------------------


def test_the_whole_matrix_is_served_with_what_is_known_of_each_pair(tmp_path: Path) -> None:
    store_documents(tmp_path, document("correlation_matrix"), document("correlation"))
    eth = Symbol("ETHUSDT")
    store_documents(tmp_path, document("correlation", timeframe="1d"), symbol=eth)

    async def check(api: Api) -> None:
        found = (await api.get("/analysis/correlation", pairs="SOLUSDT, BTCUSDT,ETHUSDT", period="1h")).body
        has(found, {"pairs": list, "period": TEXT, "metric": TEXT, "method": TEXT, "window": TEXT, "metadata": dict})
        assert found["pairs"] == ["SOLUSDT", "BTCUSDT", "ETHUSDT"]
        assert found["correlation_matrix"] == {"BTCUSDT": {"ETHUSDT": "0.75"}, "ETHUSDT": {"BTCUSDT": "0.75"}}
        assert found["metadata"]["collection"] == "analytics_correlation_matrix"
        assert found["metadata"]["data_completeness"] == 97.25
        assert found["average_correlation"] == "0.125"
        assert found["by_pair"].keys() == {"BTCUSDT"}
        assert found["by_pair"]["BTCUSDT"]["rolling_correlation"] == "0.125"

    with_api(tmp_path, check)


def test_a_matrix_that_is_not_there_is_an_empty_object(tmp_path: Path) -> None:
    store_documents(tmp_path, document("correlation_matrix", timeframe="1d", known=False))

    async def check(api: Api) -> None:
        for period, message in (("1h", "No correlation data available"), ("1d", None)):
            found = (await api.get("/analysis/correlation", pairs="BTCUSDT", period=period)).body
            assert (found["correlation_matrix"], found["by_pair"]) == ({}, {})
            assert (found["spearman"], found["average_correlation"], found["advancing"]) == (None, None, None)
            assert found["metadata"].get("message") == message
            assert found["metadata"]["collection"] == "analytics_correlation_matrix"

    with_api(tmp_path, check)


# -- overview -------------------------------------------------------------------------------------------------


def test_the_overview_has_the_keys_and_types_of_the_original(tmp_path: Path) -> None:
    store_documents(tmp_path, document("market_overview"))

    async def check(api: Api) -> None:
        found = (await api.get("/analysis/market-overview")).body
        has(found, {"overview": dict, "timestamp": TEXT, "pairs_requested": int, "pairs_available": int})
        assert list(found["overview"]) == ["BTCUSDT", "ETHUSDT"]
        assert found["overview"]["BTCUSDT"] == {
            "volatility": {"annualized": "0.5"},
            "volume": {"spike_ratio": "1.25"},
            "trend": {"direction": "bullish", "roc": "2.5"},
            "regime": {"classification": "balanced_market", "confidence": "0.7"},
        }
        assert (found["pairs_requested"], found["pairs_available"]) == (2, 2)
        assert found["metadata"]["computed_at"] == "2025-10-20T12:00:00.007000+00:00"

    with_api(tmp_path, check)


def test_in_the_overview_unknown_is_never_a_number(tmp_path: Path) -> None:
    nothing = {
        "volatility": {"annualized": None},
        "volume": {"spike_ratio": None},
        "trend": {"direction": "unknown", "roc": None},
        "regime": {"classification": "unknown", "confidence": None},
    }

    async def check(api: Api) -> None:
        found = (await api.get("/analysis/market-overview", pairs="SOLUSDT")).body
        assert found["overview"] == {"SOLUSDT": nothing}
        assert (found["pairs_requested"], found["pairs_available"]) == (1, 0)
        assert found["metadata"]["message"] == "No market-overview data available"

    with_api(tmp_path, check)


def test_a_pair_of_which_the_overview_knows_nothing_is_not_available(tmp_path: Path) -> None:
    some = {
        "volatility": {"annualized": None},
        "volume": {"spike_ratio": None},
        "trend": {"direction": None, "roc": 1.5},
        "regime": {"classification": None, "confidence": None},
    }
    none = {**some, "trend": {"direction": None, "roc": None}}
    store_documents(tmp_path, document("market_overview", fields={"overview": {"BTCUSDT": some, "ETHUSDT": none}}))

    async def check(api: Api) -> None:
        found = (await api.get("/analysis/market-overview")).body
        assert (found["pairs_requested"], found["pairs_available"]) == (2, 1)
        btc, eth = found["overview"]["BTCUSDT"], found["overview"]["ETHUSDT"]
        assert (btc["trend"], btc["regime"]["classification"]) == ({"direction": "unknown", "roc": "1.5"}, "unknown")
        assert (eth["trend"], eth["volume"]) == ({"direction": "unknown", "roc": None}, {"spike_ratio": None})

    with_api(tmp_path, check)


def test_the_overview_is_paged_and_sorted_with_the_unknown_last(tmp_path: Path) -> None:
    store_documents(tmp_path, document("market_overview"))

    async def pairs(api: Api, **asked: object) -> list[str]:
        answer = await api.get("/analysis/market-overview", pairs="SOLUSDT,BTCUSDT,ETHUSDT", **asked)
        return [pair.removesuffix("USDT") for pair in answer.body["overview"]]

    async def check(api: Api) -> None:
        assert await pairs(api) == ["SOL", "BTC", "ETH"]
        assert await pairs(api, sort_by="symbol") == ["BTC", "ETH", "SOL"]
        assert await pairs(api, sort_by="trend") == ["ETH", "BTC", "SOL"]
        assert await pairs(api, sort_by="volatility", sort_order="desc") == ["ETH", "BTC", "SOL"]
        assert await pairs(api, sort_by="volume", sort_order="desc") == ["BTC", "SOL", "ETH"]
        assert await pairs(api, limit=1, offset=1) == ["BTC"]
        assert await pairs(api, offset=3) == []

    with_api(tmp_path, check)


def test_the_overview_holds_ten_pairs_unless_asked_otherwise(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        asked = ",".join(f"COIN{number}" for number in range(12))
        body = (await api.get("/analysis/market-overview", pairs=asked)).body
        assert (len(body["overview"]), body["pairs_requested"], body["pagination"]["has_next"]) == (10, 12, True)
        body = (await api.get("/analysis/market-overview", pairs=asked, limit=100)).body
        assert (len(body["overview"]), body["pagination"]["has_next"]) == (12, False)

    with_api(tmp_path, check)


# -- what cannot be asked, and what is away -------------------------------------------------------------------

PAIR, BOTH = {"pair": "BTCUSDT"}, {"pair": "BTCUSDT", "period": "1h"}


@pytest.mark.parametrize(("path", "asked", "wrong"), [
    ("volatility", {"period": "1h"}, "pair"),
    ("volatility", PAIR, "period"),
    ("volatility", {**BOTH, "pair": "btcusdt"}, "pair"),
    ("volatility", {**BOTH, "period": "2h"}, "period"),
    ("volatility", {**BOTH, "method": "guess"}, "method"),
    ("volatility", {**BOTH, "window": "a month"}, "window"),
    ("volatility", {**BOTH, "dialect": "v12"}, "dialect"),
    ("volume", {**BOTH, "window": "0h"}, "window"),
    ("trend", {**BOTH, "window": "21"}, "window"),
    ("spread", {}, "pair"),
    ("spread", {**PAIR, "period": "1y"}, "period"),
    ("deviation", PAIR, "period"),
    ("seasonality", PAIR, "period"),
    ("regime", {**PAIR, "period": ""}, "period"),
    ("correlation", {"period": "1h"}, "pairs"),
    ("correlation", {"pairs": "BTCUSDT"}, "period"),
    ("correlation", {"pairs": "BTCUSDT,", "period": "1h"}, "pairs"),
    ("correlation", {"pairs": "BTCUSDT", "period": "1h", "window": "30"}, "window"),
    ("market-overview", {"pairs": ",".join(f"A{number}" for number in range(101))}, "pairs"),
    ("market-overview", {"limit": 0}, "limit"),
    ("market-overview", {"limit": 101}, "limit"),
    ("market-overview", {"offset": -1}, "offset"),
    ("market-overview", {"sort_by": "price"}, "sort_by"),
])  # fmt: skip
def test_what_cannot_be_asked_is_422(tmp_path: Path, path: str, asked: dict[str, object], wrong: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(f"/analysis/{path}", **asked)
        assert answer.status == 422
        assert [item["loc"] for item in answer.body["detail"]] == [["query", wrong]]

    with_api(tmp_path, check)


@pytest.mark.parametrize("path", [*VALUES, *SINGLES, "correlation", "market-overview"])
def test_a_store_that_is_away_is_503(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(f"/analysis/{path}", pair="BTCUSDT", pairs="BTCUSDT", period="1h")
        assert answer.status == 503
        assert "market store" in answer.body["detail"]

    (tmp_path / "market").mkdir()
    for name in ("BTCUSDT", "_all"):
        (tmp_path / "market" / f"{name}.sqlite3").write_bytes(b"no database" * 100)
    with_api(tmp_path, check)


def test_bars_alone_make_no_analytics(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - 60_000)])
        for metric in SINGLES:
            assert (await body(api, metric))["data"] is None

    with_api(tmp_path, check)


def test_every_category_is_served() -> None:
    assert {*VALUES, *SINGLES, "correlation", *MARKET_WIDE} == METRICS.keys()

"""`data-manager analytics`, against the API as it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from data_manager.http.analysis_params import PAIRS_MAX, DetectParams
from data_manager.storage.computed import METRICS
from data_manager.storage.protocols import AuditLog
from data_manager.system.commands.analytics import OVERVIEW_MAX, SERIES, Category, Method
from data_manager.system.commands.documents import CELL_LENGTH, Document, Trust, lines, shown
from data_manager.system.messages import Detected, Found
from tests.http.computed import document, store_documents
from tests.http.serving import NOW_MS, actor, tree
from tests.servers.api import ServedApi, served_api
from tests.servers.databases import free_port
from tests.system.typed import Terminal

TOKEN = "only for tests"
CATEGORIES = sorted(set(METRICS) - {"correlation", "correlation_matrix", "market_overview"})


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path, token=TOKEN) as served:
        served.system.latest = tree(actor("http"), actor("analytics"))
        yield served


# -- show ---------------------------------------------------------------------------------------------------


def test_every_category_is_shown_with_what_it_is_made_of(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    store_documents(tmp_path, *map(document, CATEGORIES))
    done = typed("analytics", "show", "BTCUSDT", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    for category in Category:
        assert f"{category}: complete, window 30d, 700 of 720 bars" in done.out
    for line in ("annualized          0.125", "cross", "dominant_cycle"):
        assert line in done.out


def test_one_category_of_one_period_is_what_was_asked_for(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    store_documents(tmp_path, document("trend", timeframe="1d"), document("volume", timeframe="1d"))
    done = typed("analytics", "show", "BTCUSDT", "--category", "trend", "--period", "1d", "--json", "--url", api.url)
    answer = json.loads(done.out)
    assert (set(answer), answer["trend"]["period"]) == ({"trend"}, "1d")
    hours = typed("analytics", "show", "BTCUSDT", "--category", "trend", "--url", api.url)
    assert hours.out.startswith("trend: nothing is computed yet; `data-manager status`")


def test_what_could_not_be_computed_has_its_reason(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    store_documents(tmp_path, document("regime", known=False), document("volatility", known=False))
    done = typed("analytics", "show", "BTCUSDT", "--url", api.url)
    assert done.code == 0
    assert "regime: empty, window 30d" in done.out
    assert "- (5 bars are there, and it takes 20)" in done.out


def test_categories_and_methods_are_those_that_the_service_has() -> None:
    assert sorted(Category) == CATEGORIES
    assert tuple(Method) == get_args(DetectParams.model_fields["method"].annotation)
    assert OVERVIEW_MAX == PAIRS_MAX
    assert set(SERIES) < set(Category)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("0.125", "0.125"),
        ("0.123456789012345", "0.123457"),
        ("1234567.89012345", "1.23457e+06"),
        ("a\x1b[31mlong text indeed", "a?[31mlong text indeed"),
        (3, "3"),
        ({"a": None}, '{"a":null}'),
        ([1, 2], "[1,2]"),
    ],
)
def test_values_are_told_in_a_readable_length(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_long_list_is_cut_and_says_so() -> None:
    text = shown(list(range(1000)))
    assert (len(text), text.endswith(" ...")) == (CELL_LENGTH, True)


def test_a_field_without_a_value_and_without_a_reason_is_a_dash() -> None:
    assert lines(Document({"cross": None}, Trust())) == [("cross", "-")]
    assert Document({}, Trust()).title == "state unknown, window unknown"


# -- overview -----------------------------------------------------------------------------------------------


def test_the_overview_has_a_line_for_each_symbol_and_unknown_is_no_number(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    store_documents(tmp_path, document("market_overview", timeframe="1h"), document("market_overview", timeframe="1d"))
    typed.set(SUPPORTED_PAIRS="BTCUSDT,ETHUSDT,XRPUSDT")
    done = typed("analytics", "overview", "--url", api.url)
    assert done.code == 0
    heading, *rows = (line.split() for line in done.out.splitlines())
    assert heading == ["SYMBOL", "VOLATILITY", "VOLUME", "TREND", "CHANGE", "%", "REGIME", "CONFIDENCE"]
    assert rows == [
        ["BTCUSDT", "0.5", "1.25", "bullish", "2.5", "balanced_market", "0.7"],
        ["ETHUSDT", "0.75", "-", "bearish", "-2.5", "unknown", "-"],
        ["XRPUSDT", "-", "-", "unknown", "-", "unknown", "-"],
    ]
    one = json.loads(typed("analytics", "overview", "--pairs", "ETHUSDT", "--json", "--url", api.url).out)
    assert list(one["overview"]) == ["ETHUSDT"]


# -- anomalies ----------------------------------------------------------------------------------------------


def log(number: int, **changes: Any) -> AuditLog:
    values: dict[str, Any] = {
        "audit_id": f"a{number}",
        "dataset_id": "candles_BTCUSDT_1h",
        "symbol": "BTCUSDT",
        "audit_type": "anomaly",
        "severity": "high",
        "details": "price=42000.10, method=zscore",
        "at_ms": NOW_MS + number * 1000,
    }
    return AuditLog(**{**values, **changes})


def test_anomalies_are_listed_the_newest_first_and_filtered(api: ServedApi, typed: Terminal) -> None:
    none = typed("analytics", "anomalies", "BTCUSDT", "--url", api.url)
    assert none.out == "No anomaly is known; `data-manager analytics detect BTCUSDT` looks for some now.\n"
    api.catalog.save_audit_logs([log(1), log(2, severity="low"), log(3)])
    done = typed("analytics", "anomalies", "BTCUSDT", "--limit", "2", "--url", api.url)
    heading, *rows = done.out.splitlines()
    assert heading.split() == ["FOUND", "SEVERITY", "DATASET", "WHAT"]
    assert [row.split()[0] for row in rows] == ["2025-10-20T12:00:03Z", "2025-10-20T12:00:02Z"]
    assert done.err == "2 of 3; more with --limit\n"
    low = json.loads(typed("analytics", "anomalies", "BTCUSDT", "--severity", "low", "--json", "--url", api.url).out)
    assert [each["audit_id"] for each in low["data"]] == ["a2"]


def test_what_is_found_on_demand_is_told_bar_by_bar(api: ServedApi, typed: Terminal) -> None:
    typed.set(API_TOKEN=TOKEN)
    found = Found(NOW_MS, "mad", "high", "far off", 5.25, 3.5, 42000.1)
    api.system.detected = Detected("1", anomalies=(found,))
    done = typed("analytics", "detect", "BTCUSDT", "--method", "mad", "--period", "1d", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    assert api.system.searches == [("BTCUSDT", "1d", "mad")]
    first, heading, row = done.out.splitlines()
    assert first == "1 found in BTCUSDT 1d by mad."
    assert heading.split() == ["BAR", "SEVERITY", "SCORE", "PRICE", "WHY"]
    assert row.split() == ["2025-10-20T12:00:00Z", "high", "5.25", "42000.1", "far", "off"]
    assert json.loads(typed("analytics", "detect", "BTCUSDT", "--json", "--url", api.url).out)["method"] == "zscore"


def test_bars_that_cannot_be_judged_are_an_answer(api: ServedApi, typed: Terminal) -> None:
    typed.set(API_TOKEN=TOKEN)
    api.system.detected = Detected("1", note="10 bars are too few")
    assert typed("analytics", "detect", "BTCUSDT", "--url", api.url).out == "10 bars are too few\n"


def test_detecting_needs_the_token_and_analytics_at_work(api: ServedApi, typed: Terminal) -> None:
    refused = typed("analytics", "detect", "BTCUSDT", "--url", api.url)
    assert (refused.code, "--token-file" in refused.err) == (2, True)
    typed.set(API_TOKEN=TOKEN)
    api.system.latest = tree(actor("http"))
    assert typed("analytics", "detect", "BTCUSDT", "--url", api.url).code == 3


@pytest.mark.parametrize(
    "arguments", [["show", "BTCUSDT"], ["overview"], ["anomalies", "BTCUSDT"], ["detect", "BTCUSDT"]]
)
def test_a_service_that_is_away_ends_with_3(typed: Terminal, arguments: list[str]) -> None:
    done = typed("analytics", *arguments, "--url", f"http://127.0.0.1:{free_port()}")
    assert done.code == 3
    assert "`data-manager run`" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["show"],
        ["show", "btc"],
        ["show", "BTCUSDT", "--category", "none"],
        ["overview", "--pairs", "x"],
        ["anomalies", "BTCUSDT", "--severity", "huge"],
        ["detect", "BTCUSDT", "--method", "guess"],
    ],
)
def test_what_cannot_be_asked_ends_with_2(api: ServedApi, typed: Terminal, arguments: list[str]) -> None:
    typed.set(API_TOKEN=TOKEN)
    assert typed("analytics", *arguments, "--url", api.url).code == 2

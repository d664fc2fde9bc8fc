"""Analytics as a process of the tree: from an empty folder to every document, and what becomes of it when it dies."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.records import ALL_SYMBOLS, CATEGORIES, Analytics
from tests.eventually import eventually_sync
from tests.servers.nats import NatsServer
from tests.servers.service import TOKEN, RunningService

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
SETTINGS = {
    "enable_analytics": "true",
    "enable_backfiller": "true",
    "exchange_enabled": "true",
    "exchange_rate": "100",
    "binance_rate_limit": "2400",
    "heartbeat_s": "1",  # production's patience: ten processes start at once, and one of them imports pandas
    "heartbeat_miss_s": "10",
    "drain_timeout_s": "12",
}
PATIENCE_S = 180.0  # three times what a quiet machine may take
COMPUTING, MODELS = "/scipy/", "/sklearn/"  # what only analytics may have, and only the process of its models
PAIR = "pair=BTCUSDT"
ROUTES = {
    "volatility": f"{PAIR}&period=1h",
    "volume": f"{PAIR}&period=1h",
    "spread": PAIR,
    "trend": f"{PAIR}&period=1d",
    "deviation": f"{PAIR}&period=1d",
    "seasonality": f"{PAIR}&period=1h",
    "correlation": "pairs=BTCUSDT,ETHUSDT&period=1h",
    "regime": PAIR,
    "market-overview": "pairs=BTCUSDT,ETHUSDT",
}
DATA = ("values", "data", "correlation_matrix", "overview")  # where a route's answer has them


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that began with nothing, and has written its first documents."""
    folder = tmp_path_factory.mktemp("analytics")
    with ExitStack() as cleanup:
        nats = cleanup.enter_context(NatsServer(folder / "nats"))
        running = RunningService(folder, nats.url, ",".join(SYMBOLS), **SETTINGS)
        cleanup.push(running)
        running.start(ready=False)
        eventually_sync(lambda: len(documents(running)) >= 83, PATIENCE_S, every=1)
        yield running


def documents(service: RunningService) -> list[Analytics]:
    """All that are stored."""
    return [row for symbol in (*SYMBOLS, ALL_SYMBOLS) for row in service.rows(symbol, Analytics)]


def libraries(pid: int) -> set[str]:
    """Which of the heavy packages a process has loaded; none where it has ended."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except FileNotFoundError:
        return set()
    return {name for name in (COMPUTING, MODELS) if name in maps}


def children(pid: int) -> list[int]:
    """The processes that any thread of that one has started."""
    found = (file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for each in found for child in each]


def detected(service: RunningService, method: str) -> tuple[int, Any]:
    """The answer to a request for anomalies."""
    path = f"/anomalies/detect?{PAIR}&timeframe=1h&method={method}"
    status, answer = service.request("POST", path, TOKEN)
    return status, json.loads(answer) if answer else None


def test_a_service_that_begins_with_nothing_has_every_document_with_its_coverage(service: RunningService) -> None:
    found = documents(service)
    kinds = Counter((each.category, each.timeframe) for each in found)
    assert kinds == {
        **{(category, timeframe): len(SYMBOLS) for category in CATEGORIES for timeframe in ("1h", "1d")},
        ("correlation_matrix", "1h"): 1,
        ("correlation_matrix", "1d"): 1,
        ("market_overview", "1h"): 1,
    }
    assert kinds.total() == 83
    for each in found:
        about = json.loads(each.body)["metadata"]
        assert each.state in ("complete", "partial"), each
        assert about["n"] > 0
        assert 0 < about["completeness"] <= 100


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_of_analysis_answers_with_data(route: str, service: RunningService) -> None:
    status, answer = service.get(f"/analysis/{route}?{ROUTES[route]}")
    assert status == 200
    assert [name for name in DATA if answer.get(name)] != []
    assert answer["metadata"]["state"] in ("complete", "partial")


def test_anomalies_are_looked_for_where_it_is_asked_to(service: RunningService) -> None:
    eventually_sync(lambda: detected(service, "ecod")[0] == 200, PATIENCE_S, every=1)
    status, answer = detected(service, "zscore")
    assert (status, answer["method"], answer["anomalies_detected"]) == (200, "zscore", len(answer["anomalies"]))


def test_no_other_process_carries_what_analytics_needs_nor_itself_the_models(service: RunningService) -> None:
    def with_models() -> bool:
        detected(service, "ecod")
        return any(MODELS in libraries(child) for child in children(service.actor("analytics")["pid"]))

    eventually_sync(with_models, PATIENCE_S, every=1)
    actors = {name: libraries(view["pid"]) for name, view in service.actors().items()}
    assert actors.pop("analytics") == {COMPUTING}
    assert len(actors) == len(SYMBOLS) + 5
    assert set().union(*actors.values()) == set()


def test_its_death_is_nobody_elses_and_it_goes_on_where_it_was(service: RunningService) -> None:
    before = service.actors()
    newest = max(each.computed_ms for each in documents(service))
    os.kill(before["analytics"]["pid"], signal.SIGKILL)
    service.wait(lambda: service.actor("analytics")["restarts"] == before["analytics"]["restarts"] + 1, PATIENCE_S)
    eventually_sync(lambda: sum(each.computed_ms > newest for each in documents(service)) >= 83, PATIENCE_S, every=1)
    after = service.actors()
    others = before.keys() - {"analytics"}
    assert {name: after[name]["pid"] for name in others} == {name: before[name]["pid"] for name in others}
    assert service.get("/health/readiness")[0] == 200


def test_it_stops_in_order_while_it_is_at_work(service: RunningService) -> None:
    assert service.stop(timeout=30) == 0

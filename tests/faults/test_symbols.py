"""F29: symbols come and go while the service runs under load, and nobody else notices."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.records import ALL_SYMBOLS, Trade
from tests.servers.load import Load
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

BTC, ETH, XRP = "BTCUSDT", "ETHUSDT", "XRPUSDT"
CONFIGURED = f"{BTC},{ETH}"
RATE = 300
OTHERS = ["ingest/BTCUSDT", "router", "http", "auditor"]


def newest(service: RunningService, symbol: str) -> int:
    return max((row.trade_id for row in service.rows(symbol, Trade)), default=0)


def add(service: RunningService, symbol: str) -> None:
    assert service.post("/symbols", {"symbol": symbol})["status"] == "active"


def retire(service: RunningService, symbol: str) -> None:
    """And wait for the end of its actor."""
    assert service.post(f"/symbols/{symbol}/retire")["status"] == "retired"
    service.wait(lambda: service.actor(f"ingest/{symbol}")["state"] == "retired")


def processes(service: RunningService) -> dict[str, tuple[Any, Any]]:
    actors = service.actors()
    return {name: (actors[name]["pid"], actors[name]["restarts"]) for name in OTHERS}


def listed(service: RunningService) -> dict[str, str]:
    return {each["symbol"]: each["status"] for each in service.get("/symbols")[1]["data"]}


def stored_while_ready(service: RunningService, symbol: str, beyond: int) -> None:
    """Wait until later trades of a symbol are stored; the service is ready all the time."""

    def are_there() -> bool:
        assert service.get("/health/readiness")[0] == 200
        return newest(service, symbol) > beyond

    service.wait(are_there)


def assert_no_alarm(service: RunningService) -> None:
    status, told = service.get("/system/incidents")
    assert (status, told["data"]) == (200, [])
    assert service.get("/health/summary")[1]["data"]["reasons"] == []


def test_a_symbol_is_added_and_one_retired_under_load_and_the_list_outlives_restarts(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, CONFIGURED) as service,
    ):
        with Load(nats.url, [BTC, ETH, XRP], RATE) as load:
            service.wait(lambda: newest(service, ETH) > 50)
            before = processes(service)
            add(service, XRP)
            stored_while_ready(service, XRP, 50)
            retire(service, ETH)
            last, seen = newest(service, ETH), newest(service, BTC)
            stored_while_ready(service, BTC, seen + 100)
            assert newest(service, ETH) == last
            served = service.get("/data/trades", pair=ETH, limit=1)
            assert (served[0], served[1]["data"][0]["trade_id"]) == (200, last)
            assert processes(service) == before
            assert_no_alarm(service)
        # what came for a symbol that was not the service's is skipped, and counted as everything is
        service.wait(lambda: service.events(BTC, ETH, XRP) == 3 * load.sent)
        assert service.ledger(ALL_SYMBOLS).by_type["trade"].skipped > 0

        assert service.stop() == 0
        service.start()
        kept = {BTC: "active", ETH: "retired", XRP: "active"}
        assert listed(service) == kept
        assert f"ingest/{ETH}" not in service.actors()
        service.stop(signal.SIGKILL)
        service.start()
        assert listed(service) == kept
        assert service.actor(f"ingest/{XRP}")["state"] == "running"
        assert_no_alarm(service)
        lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
        warned = [line["symbols"] for line in lines if line["event"] == "symbols_stay_retired"]
        assert warned == [[ETH], [ETH]]  # once a start


def test_what_waits_for_a_symbol_that_retires_is_stored_when_it_is_added_again(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, CONFIGURED) as service,
    ):
        with Load(nats.url, [BTC, ETH], RATE) as load:
            service.wait(lambda: newest(service, ETH) > 50)
            assert service.command(f"ingest/{ETH}", "pause") == 200
            service.wait(lambda: service.actor(f"ingest/{ETH}")["state"] == "paused")
            stored, sent = newest(service, ETH), load.sent
            service.wait(lambda: newest(service, BTC) > sent + 100)
            retire(service, ETH)
            seen = newest(service, BTC)
            service.wait(lambda: newest(service, BTC) > seen + 100)
            assert newest(service, ETH) == stored
            add(service, ETH)
            service.wait(lambda: newest(service, ETH) > seen)
        service.wait(lambda: service.events(BTC, ETH) == 2 * load.sent)
        waited = [row.trade_id for row in service.rows(ETH, Trade) if stored < row.trade_id <= sent + 100]
        assert waited == list(range(stored + 1, sent + 101))
        assert service.stop() == 0

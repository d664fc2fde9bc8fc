"""Backfill as a process of the tree: killed while it fetches, and without any network."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest

from data_manager.storage.records import TIMEFRAMES, Candle
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

SYMBOL = "BTCUSDT"
HISTORY = {"enable_backfiller": "true", "history_bootstrap": "true", "binance_rate_limit": "2400"}
NOBODY = "http://127.0.0.1:1"
KILLS = 3
ALL = set(TIMEFRAMES)


def fetched(service: RunningService) -> set[str]:
    """The timeframes whose first history is there."""
    _, answer = service.get("/backfill/jobs", status="completed", limit=1000)
    jobs = answer["jobs"] if answer else []
    return {job["request"]["timeframe"] for job in jobs if job["reason"] == "bootstrap"}


def said_by_the_exchange(service: RunningService, timeframe: str, start_ms: int) -> dict[int, tuple[str, ...]]:
    """Its bars from that time on, at most 300: prices and volume by open time."""
    port = json.loads((service.data_dir / "exchange.json").read_text())["port"]
    query = f"symbol={SYMBOL}&interval={timeframe}&startTime={start_ms}&limit=300"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/fapi/v1/klines?{query}") as response:
        return {row[0]: tuple(row[1:6]) for row in json.loads(response.read())}


def test_first_history_is_the_exchanges_own_however_often_its_process_is_killed(tmp_path: Path) -> None:
    settings = {**HISTORY, "exchange_enabled": "true", "enable_auditor": "false", "restart_intensity": "50"}
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL, **settings) as service:
        for _ in range(KILLS):
            before = len(service.rows(SYMBOL, Candle))
            service.wait(
                lambda before=before: len(service.rows(SYMBOL, Candle)) > before or fetched(service) == ALL, 60
            )
            pid = service.actor("backfill")["pid"]
            os.kill(pid, signal.SIGKILL)
            service.wait(lambda pid=pid: service.actor("backfill")["pid"] not in (None, pid), 30)
        service.wait(lambda: fetched(service) == ALL, 120)
        for timeframe in ALL:
            bars = {bar.open_time: bar for bar in service.rows(SYMBOL, Candle, timeframe=timeframe)}
            theirs = said_by_the_exchange(service, timeframe, min(bars))
            assert len(theirs) == 300
            ours = {
                at: (bar.open, bar.high, bar.low, bar.close, bar.volume) for at, bar in bars.items() if at in theirs
            }
            assert ours == theirs


def test_without_a_network_the_service_is_ready_and_backfill_waits_calmly(tmp_path: Path) -> None:
    settings = {**HISTORY, "binance_fapi_base_url": NOBODY}
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL, **settings) as service:
        service.wait(lambda: service.actor("backfill")["detail"] == "exchange", 30)
        assert service.actor("backfill")["state"] == "waiting"
        later = service.actor("backfill")["uptime_s"] + 4
        service.wait(lambda: service.actor("backfill")["uptime_s"] > later)
        lines = [json.loads(line) for line in service.log.read_text().splitlines()]
        assert len([line for line in lines if line["event"] == "backfill_waits" and line["part"] == "exchange"]) == 1
        assert service.actor("backfill")["restarts"] == 0
        assert service.get("/health/readiness")[0] == 200

"""The closed loop on the whole tree: what is missing is found, fetched, proven and closed, and then asked no more."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.records import TIMEFRAMES, Candle, Funding, Trade
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

SYMBOL = "BTCUSDT"
WITHOUT_HISTORY = {"depth", "book_tickers", "tickers", "mark_prices"}
SCALED = {
    "audit_interval": "1",
    "gap_tolerance_seconds": "1",
    "exchange_enabled": "true",
    "enable_backfiller": "true",
    "history_bootstrap": "true",
    "binance_rate_limit": "2400",
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    """A service whose exchange is simulated, with all of its first history."""
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL, **SCALED) as service:
        service.wait(lambda: histories(service) == {"completed": len(TIMEFRAMES)}, 60)
        yield service


def test_deleted_candles_funding_and_trades_come_back_from_the_exchange(service: RunningService) -> None:
    job = service.post("/backfill/start", funding_of_ten_days())
    service.wait(lambda: status_of(service, job["job_id"]) == "completed", 30)
    service.wait(lambda: len(service.rows(SYMBOL, Trade)) > 300, 30)
    before = {timeframe: bars(service, timeframe) for timeframe in TIMEFRAMES}
    settled = {row.funding_time: row.funding_rate for row in service.rows(SYMBOL, Funding) if row.settled}
    trades = service.rows(SYMBOL, Trade)

    with rows_of(service) as files:
        for timeframe, first, last in (("1m", -700, -640), ("1h", -400, -397), ("1d", -50, -49)):
            times = sorted(before[timeframe])[first:last]
            files.execute(
                "DELETE FROM candles WHERE timeframe = ? AND open_time BETWEEN ? AND ?",
                (timeframe, times[0], times[-1]),
            )
        files.execute("DELETE FROM funding_rates WHERE funding_time = ?", (sorted(settled)[3],))
        lost = [row.trade_id for row in trades[100:140]]
        files.execute("DELETE FROM trades WHERE trade_id BETWEEN ? AND ?", (lost[0], lost[-1]))
    audit_everything(service)

    found = {"candles_BTCUSDT_1m", "candles_BTCUSDT_1h", "candles_BTCUSDT_1d", "funding_rates_BTCUSDT"}
    service.wait(lambda: found | {"trades_BTCUSDT"} <= closed(service).keys(), 60)
    for timeframe, values in before.items():
        now = bars(service, timeframe)
        assert {at: now.get(at) for at in values} == values, timeframe
    assert {row.funding_time: row.funding_rate for row in service.rows(SYMBOL, Funding) if row.settled} == settled
    assert set(range(lost[0], lost[-1] + 1)) <= covered(service)
    assert all(gap["closed_at"] and gap["evidence"] for gap in closed(service).values())

    service.wait(lambda: not lasting(service), 60)
    asked = requests(service)
    audits = audits_done(service)
    audit_everything(service)
    service.wait(lambda: audits_done(service) > audits + 1, 30)
    assert not lasting(service)
    assert requests(service) == asked


def test_an_outage_of_the_feed_is_repaired_where_the_exchange_has_history_and_named_where_it_has_none(
    service: RunningService,
) -> None:
    service.wait(lambda: len(service.rows(SYMBOL, Trade)) > 50, 30)
    order(service, {"kind": "silence", "seconds": 65})  # longer than each type may be silent (conf/audit.yaml)
    service.wait(lambda: "trades_BTCUSDT" in closed(service), 120)
    gap = closed(service)["trades_BTCUSDT"]
    assert gap["end"] > gap["start"]
    assert status_of(service, gap["job_id"]) == "completed"
    assert ids_unbroken(service)
    service.wait(lambda: {gap["data_type"] for gap in gaps(service, "unfillable")} == WITHOUT_HISTORY, 30)
    assert {gap["cause"] for gap in gaps(service, "unfillable")} == {"feed"}
    # the minute of the outage becomes whole as well, once it has passed
    minute = int(datetime.fromisoformat(gap["start"]).timestamp() * 1000) // TIMEFRAMES["1m"] * TIMEFRAMES["1m"]
    service.wait(lambda: minute in bars(service, "1m") and not lasting(service), 120)


# -- what they ask ------------------------------------------------------------------------------------------


def funding_of_ten_days() -> dict[str, object]:
    """A job that a user asks for."""
    now = datetime.now(UTC)
    start, end = (now - timedelta(days=days) for days in (10, 0))
    return {"symbol": SYMBOL, "data_type": "funding", "start_time": start.isoformat(), "end_time": end.isoformat()}


def histories(service: RunningService) -> dict[str, int]:
    """How many jobs for first history have each status."""
    status, body = service.get("/backfill/jobs", limit=1000)
    jobs = body["jobs"] if status == 200 else []
    return dict(Counter(job["status"] for job in jobs if job["reason"] == "bootstrap"))


def status_of(service: RunningService, job_id: str) -> str:
    """How far the job is."""
    return str(service.get(f"/backfill/jobs/{job_id}")[1]["status"])


def gaps(service: RunningService, status: str) -> list[dict[str, Any]]:
    """Those of that status, the latest first."""
    code, body = service.get("/gaps", status=status, limit=1000)
    return list(body["data"]) if code == 200 else []


def closed(service: RunningService) -> dict[str, dict[str, Any]]:
    """A closed gap of each dataset that has one."""
    return {gap["dataset_id"]: gap for gap in gaps(service, "closed")}


def lasting(service: RunningService) -> list[dict[str, Any]]:
    """Gaps that have not ended."""
    return [*gaps(service, "open"), *gaps(service, "backfilling")]


def bars(service: RunningService, timeframe: str) -> dict[int, tuple[object, ...]]:
    """What every bar says, by its open time."""
    return {
        row.open_time: (row.open, row.high, row.low, row.close, row.volume, row.trades_count)
        for row in service.rows(SYMBOL, Candle, timeframe=timeframe)
        if row.complete
    }


def covered(service: RunningService) -> set[int]:
    """The raw trade ids that some stored trade covers."""
    return {number for row in service.rows(SYMBOL, Trade) for number in range(row.first_id, row.last_id + 1)}


def ids_unbroken(service: RunningService) -> bool:
    """Whether the ids of all stored trades follow one another."""
    ids = covered(service)
    return len(ids) == max(ids) - min(ids) + 1


def audit_everything(service: RunningService) -> None:
    """From its beginning, at once."""
    service.post("/audit/run")


def audits_done(service: RunningService) -> float:
    """Rounds of the auditor that have ended."""
    _, page = service.request("GET", "/metrics")
    lines = [line for line in page.decode().splitlines() if line.startswith("data_manager_audit_rounds_total")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextlib.contextmanager
def rows_of(service: RunningService) -> Iterator[sqlite3.Connection]:
    """The symbol's file, to be changed behind the service's back."""
    connection = sqlite3.connect(service.data_dir / "market" / f"{SYMBOL}.sqlite3", timeout=10)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


# -- the exchange -------------------------------------------------------------------------------------------


def exchange(service: RunningService, method: str, path: str, body: object = None) -> Any:
    """A request to the simulated exchange's routes for tests."""
    port = json.loads((service.data_dir / "exchange.json").read_text())["port"]
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())


def order(service: RunningService, fault: object) -> None:
    """Have the exchange commit a fault."""
    exchange(service, "POST", "/faults", fault)


def requests(service: RunningService) -> dict[str, int]:
    """What was asked of the exchange for rows, by route."""
    counted = exchange(service, "GET", "/requests")
    return {path: times for path, times in counted.items() if not path.endswith("/time")}

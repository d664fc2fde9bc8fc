"""A hole in the data is found, named over HTTP, and closed when it is filled."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.records import MINUTE_MS, Candle
from tests.actors.ingest.examples import EXAMPLES, enveloped
from tests.servers.load import publish
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

SYMBOL = "BTCUSDT"
NOW = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS


def closed_bar(minutes_ago: int) -> bytes:
    """The kline event of a closed 1m bar."""
    start = NOW - minutes_ago * MINUTE_MS
    data: dict[str, Any] = {**EXAMPLES["kline"].data, "E": start + MINUTE_MS}  # type: ignore[dict-item]
    data["k"] = {**data["k"], "i": "1m", "t": start, "T": start + MINUTE_MS - 1, "x": True}
    return enveloped(data, "btcusdt@kline_1m")


def test_a_missing_bar_is_a_gap_until_it_comes(tmp_path: Path) -> None:
    audits = {"audit_interval": "0.5", "gap_tolerance_seconds": "3600"}
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL, **audits) as service:
        publish(nats.url, *(closed_bar(ago) for ago in range(120, 50, -1) if ago not in (90, 89)))
        service.wait(lambda: len(service.rows(SYMBOL, Candle, timeframe="1m")) == 68)
        service.wait(lambda: listed(service, "open"), 30)
        (gap,) = listed(service, "open")
        assert (gap["dataset_id"], gap["pair"], gap["timeframe"]) == ("candles_BTCUSDT_1m", SYMBOL, "1m")
        assert "2 of the bars that must be there are not stored" in gap["evidence"]
        status, same = service.get(f"/gaps/{gap['gap_id']}")
        assert (status, same["gap_id"], same["start"], same["end"]) == (200, gap["gap_id"], gap["start"], gap["end"])

        publish(nats.url, closed_bar(90), closed_bar(89))
        service.wait(lambda: listed(service, "closed"), 30)
        assert [each["gap_id"] for each in listed(service, "closed")] == [gap["gap_id"]]
        assert listed(service, "open") == []


@pytest.mark.parametrize("disturbance", ["ingest is killed", "the broker is restarted"])
def test_what_was_disturbed_is_audited_at_once_and_not_when_its_turn_comes(tmp_path: Path, disturbance: str) -> None:
    audits = {"audit_interval": "3600", "gap_tolerance_seconds": "3600"}
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL, **audits) as service:
        publish(nats.url, *(closed_bar(ago) for ago in range(120, 50, -1) if ago != 90))
        service.wait(lambda: listed(service, "open"), 30)  # by the round that every start begins with
        publish(nats.url, closed_bar(90))
        service.wait(lambda: len(service.rows(SYMBOL, Candle, timeframe="1m")) == 70)
        assert listed(service, "open")
        if disturbance == "ingest is killed":
            os.kill(service.actor(f"ingest/{SYMBOL}")["pid"], signal.SIGKILL)
        else:
            nats.stop()
            nats.start()
        service.wait(lambda: listed(service, "closed"), 30)


def listed(service: RunningService, status: str) -> list[dict[str, Any]]:
    """The gaps of that status, of the timeframe under test: the bars of others were never sent."""
    code, body = service.get("/gaps", pair=SYMBOL, status=status)
    assert code == 200
    return [gap for gap in body["data"] if gap["timeframe"] == "1m"]


def depth_update(first: int, last: int, previous: int) -> bytes:
    """A change of the order book, of diff streams."""
    now = time.time_ns() // 1_000_000
    levels = [[str(43_000 + number), "1.000"] for number in range(3)]
    data = {"e": "depthUpdate", "E": now, "T": now, "s": SYMBOL, "U": first, "u": last, "pu": previous}
    return enveloped({**data, "b": levels[::-1], "a": []}, "btcusdt@depth")


def test_a_break_in_the_chain_of_depth_updates_is_a_gap_with_both_ids_that_nobody_can_fill(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL) as service:
        publish(nats.url, depth_update(1, 10, 0), depth_update(11, 20, 10), depth_update(31, 40, 30))
        service.wait(lambda: service.get("/gaps", pair=SYMBOL, status="unfillable")[1]["data"], 30)
        (gap,) = service.get("/gaps", pair=SYMBOL, status="unfillable")[1]["data"]
        assert gap["dataset_id"] == "depth_BTCUSDT"
        assert gap["evidence"] == "the chain ended at 20, the next update follows 30"

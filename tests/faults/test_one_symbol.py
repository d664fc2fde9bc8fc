"""F1 to F4 and F6: one symbol's process dies in every way while all are under load."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from data_manager.storage.records import Trade
from tests.servers.load import Load
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService, monotonic

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
VICTIM = "ingest/BTCUSDT"
OTHERS = ["ingest/ETHUSDT", "ingest/BNBUSDT", "router", "http"]
FAULTY = {VICTIM: "tests.faults.actors.FaultyIngest"}
RATE = 600


def assert_nothing_lost_or_doubled(service: RunningService, published: int) -> None:
    """Every event published is in the ledger once, balanced, and every trade is a row of its own."""
    try:
        service.wait(lambda: service.events(*SYMBOLS) == published * len(SYMBOLS), 15)
    except AssertionError:
        print(published, {symbol: service.ledger(symbol) for symbol in SYMBOLS}, service.actors())
        raise
    for symbol in SYMBOLS:
        ids = [row.trade_id for row in service.rows(symbol, Trade)]
        assert ids == list(range(1, published + 1)), symbol
        counts = service.ledger(symbol).by_type["trade"]
        assert counts.balanced, symbol
        assert counts.stored == published, symbol


def assert_untouched(before: dict[str, dict[str, object]], after: dict[str, dict[str, object]]) -> None:
    for name in OTHERS:
        assert after[name]["pid"] == before[name]["pid"], name
        assert after[name]["restarts"] == before[name]["restarts"], name


def newest_trade(service: RunningService) -> int:
    return max((row.trade_id for row in service.rows("BTCUSDT", Trade)), default=0)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("kill", "signal 9"),
        ("segfault", "signal 11"),
        pytest.param("spin", "unresponsive", marks=pytest.mark.faults),
        pytest.param("stop", "unresponsive", marks=pytest.mark.faults),
    ],
)
def test_one_symbol_dies_under_load_and_nothing_is_lost_and_nobody_else_notices(
    tmp_path: Path, fault: str, cause: str
) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, ",".join(SYMBOLS), actors=FAULTY) as service,
    ):
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 100)
            before = service.actors()
            pid = before[VICTIM]["pid"]
            if fault in ("kill", "stop"):
                os.kill(pid, signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
            else:
                (service.data_dir / "fault").write_text(fault)
            died = monotonic()
            view = service.wait_restarted(VICTIM, pid)
            seen = newest_trade(service)
            service.wait(lambda: newest_trade(service) > seen, 3 * 2)
            took = monotonic() - died
            assert view["last_cause"].startswith(cause)
            assert view["restarts"] == before[VICTIM]["restarts"] + 1
            assert took < 3 * (2 if fault in ("kill", "segfault") else 4), "far beyond the scaled deadline"
            if fault == "stop":
                with pytest.raises(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            assert_untouched(before, service.actors())
        assert_nothing_lost_or_doubled(service, load.sent)
        assert service.stop() == 0


def kill_until_parked(service: RunningService, at_most: int = 20) -> None:
    """Kill the victim whenever it has a process, until the supervisor gives it up."""
    for _ in range(at_most):
        service.wait(lambda: service.actor(VICTIM)["pid"] or service.actor(VICTIM)["state"] == "parked")
        pid = service.actor(VICTIM)["pid"]
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        service.wait(lambda pid=pid: service.actor(VICTIM)["pid"] != pid)
    raise AssertionError(f"not parked after {at_most} kills")


@pytest.mark.faults
def test_twenty_kills_park_a_symbol_whose_backlog_waits_until_it_is_resumed(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, ",".join(SYMBOLS), park_probe_s="300") as service,
    ):
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 50)
            before = service.actors()
            kill_until_parked(service)
            assert service.get("/health/readiness")[0] == 200
            stored = newest_trade(service)
            service.wait(lambda: load.sent > stored + 200)
            assert newest_trade(service) == stored
            assert service.command(VICTIM, "resume") == 200
            service.wait(lambda: newest_trade(service) > stored)
            assert_untouched(before, service.actors())
        assert_nothing_lost_or_doubled(service, load.sent)

"""F9 to F13: the broker, the supervisor or everything goes; what was accepted is stored, once."""

from __future__ import annotations

import os
import signal
from itertools import cycle
from pathlib import Path

import pytest

from data_manager.system.lifecycle import descendants_of
from tests.eventually import eventually_sync
from tests.faults.test_one_symbol import RATE, SYMBOLS, assert_nothing_lost_or_doubled, newest_trade
from tests.servers.load import Load, publish, trade
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService, alive

PAIRS = ",".join(SYMBOLS)


def test_a_killed_supervisor_ends_the_process_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 50)
            family = descendants_of(service.pid)
            os.kill(supervisor_of(family), signal.SIGKILL)
            assert service.wait_exit(5) == 71
            eventually_sync(lambda: not any(alive(pid) for pid in family), 5)
            service.start()
        assert_nothing_lost_or_doubled(service, load.sent)


def supervisor_of(family: list[int]) -> int:
    """The supervisor's process, by the title Thespian gives it."""
    return next(pid for pid in family if "Supervisor" in Path(f"/proc/{pid}/cmdline").read_text())


def test_the_whole_tree_is_killed_under_load_and_started_again_without_cleaning(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 100)
            family = [service.pid, *descendants_of(service.pid)]
            for pid in family:
                os.kill(pid, signal.SIGKILL)
            eventually_sync(lambda: not any(alive(pid) for pid in family), 5)
            service.wait_exit(5)
            service.start()
            seen = newest_trade(service)
            service.wait(lambda: newest_trade(service) > seen)
        assert_nothing_lost_or_doubled(service, load.sent)


def test_killing_main_alone_takes_every_process_along(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        family = descendants_of(service.pid)
        os.kill(service.pid, signal.SIGKILL)
        eventually_sync(lambda: not any(alive(pid) for pid in family), 5)


def test_sigterm_under_load_ends_in_order_and_the_next_start_gets_nothing_twice(tmp_path: Path) -> None:
    # production's ack wait: on a slow machine a tenth of it is shorter than the way through the buffers
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, PAIRS, ack_wait_s="10") as service,
    ):
        with Load(nats.url, SYMBOLS, 3 * RATE) as load:
            service.wait(lambda: newest_trade(service) > 500)
            assert service.stop(signal.SIGTERM, timeout=15) == 0
            service.start()
            seen = newest_trade(service)
            service.wait(lambda: newest_trade(service) > seen)
        assert_nothing_lost_or_doubled(service, load.sent)
        assert [service.ledger(symbol).total.redelivered for symbol in SYMBOLS] == [0, 0, 0]


def test_a_second_sigterm_forces_the_end(tmp_path: Path) -> None:
    actors = {"ingest/BTCUSDT": "tests.faults.actors.FaultyIngest"}
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(
            tmp_path, nats.url, PAIRS, actors=actors, heartbeat_miss_s="60", drain_timeout_s="30"
        ) as service,
    ):
        (service.data_dir / "fault").write_text("spin")
        publish(nats.url, trade("BTCUSDT", 1))
        eventually_sync(lambda: not (service.data_dir / "fault").exists())
        os.kill(service.pid, signal.SIGTERM)
        service.wait(lambda: service.actor("router")["state"] == "stopped")
        assert service.stop(signal.SIGTERM, timeout=3) == 130


@pytest.mark.faults
def test_the_broker_is_restarted_twenty_times_under_load(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        with Load(nats.url, SYMBOLS, RATE) as load:
            for _, number in zip(range(20), cycle((signal.SIGTERM, signal.SIGKILL)), strict=False):
                seen = newest_trade(service)
                service.wait(lambda seen=seen: newest_trade(service) > seen, 5)
                nats.restart(number)
                seen = load.sent
                service.wait(lambda seen=seen: newest_trade(service) > seen, 5)
        assert_nothing_lost_or_doubled(service, load.sent)
        assert {view["restarts"] for view in service.actors().values()} == {0}


@pytest.mark.faults
def test_without_nats_the_service_waits_says_so_once_and_recovers_by_itself(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        publish(nats.url, *(trade(symbol, 1) for symbol in SYMBOLS))
        service.wait(lambda: newest_trade(service) == 1)
        nats.stop()
        service.wait(lambda: service.actor("router")["state"] == "waiting")
        lines = service.log.read_text().count("\n")
        status, body = service.get("/health/readiness")
        assert (status, body["components"]["nats"]) == (200, "unhealthy")  # its history is still served
        assert service.get("/health/liveness")[0] == 200
        assert service.get("/data/trades", pair="BTCUSDT")[0] == 200
        later = service.actor("router")["uptime_s"] + 3
        service.wait(lambda: service.actor("router")["uptime_s"] > later)
        assert service.log.read_text().count("\n") - lines <= 2 * len(service.actors())
        assert {view["restarts"] for view in service.actors().values()} == {0}
        nats.start()
        service.wait(lambda: service.actor("router")["state"] == "running")
        publish(nats.url, *(trade(symbol, 2) for symbol in SYMBOLS))
        assert_nothing_lost_or_doubled(service, 2)


def test_a_service_started_before_nats_is_alive_but_not_ready_until_it_comes(tmp_path: Path) -> None:
    nats = NatsServer(tmp_path / "nats").start()
    nats.stop()
    service = RunningService(tmp_path, nats.url, PAIRS)
    try:
        service.start(ready=False)
        service.wait(lambda: service.get("/health/liveness")[0] == 200)
        status, body = service.get("/health/readiness")
        assert (status, body["components"]["nats"]) == (503, "unhealthy")
        nats.start()
        service.wait(lambda: service.get("/health/readiness")[0] == 200)
        assert service.stop() == 0
    finally:
        service.__exit__(None, None, None)
        nats.stop()

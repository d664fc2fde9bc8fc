"""F13 in its real length: the broker is away for five minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.measure import private_mib
from tests.eventually import eventually_sync
from tests.faults.test_one_symbol import SYMBOLS, assert_nothing_lost_or_doubled, newest_trade
from tests.servers.load import publish, trade
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService, monotonic

AWAY_S = 300
GROWTH_MIB = 8.0  # of one process in that time: what allocators do by themselves


@pytest.mark.nightly
@pytest.mark.timeout(AWAY_S + 120)
def test_five_minutes_without_a_broker_cost_no_restart_and_no_memory(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, ",".join(SYMBOLS), heartbeat_miss_s="10") as service,
    ):
        publish(nats.url, *(trade(symbol, 1) for symbol in SYMBOLS))
        service.wait(lambda: newest_trade(service) == 1)
        nats.stop()
        service.wait(lambda: service.actor("router")["state"] == "waiting")
        lines, away = service.log.read_text().count("\n"), monotonic()
        before = {name: private_mib(view["pid"]) for name, view in service.actors().items()}
        eventually_sync(lambda: monotonic() - away > AWAY_S, AWAY_S + 30, every=1)
        assert service.get("/health/liveness")[0] == 200
        assert service.get("/health/summary")[1]["data"]["status"] != "healthy"
        status, body = service.get("/health/readiness")
        assert (status, body["components"]["nats"]) == (200, "unhealthy")
        after = {name: private_mib(view["pid"]) for name, view in service.actors().items()}
        assert {name: after[name] - before[name] for name in after if after[name] - before[name] > GROWTH_MIB} == {}
        assert service.log.read_text().count("\n") - lines <= 3 * len(after)
        nats.start()
        service.wait(lambda: service.actor("router")["state"] == "running")
        publish(nats.url, *(trade(symbol, 2) for symbol in SYMBOLS))
        assert_nothing_lost_or_doubled(service, 2)
        assert {view["restarts"] for view in service.actors().values()} == {0}
        assert service.stop() == 0

"""F16: the network between the service and its servers is slow, cut again and again, or half open."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.test_one_symbol import SYMBOLS, assert_nothing_lost_or_doubled, newest_trade
from tests.servers.databases import MongoServer
from tests.servers.load import Load
from tests.servers.nats import NatsServer
from tests.servers.proxy import Proxy
from tests.servers.service import RunningService, monotonic

pytestmark = pytest.mark.faults

PAIRS = ",".join(SYMBOLS)
RATE = 150
# Production's waits: a delay of two seconds is no tenth of it.
PATIENT = {"ack_wait_s": "10", "store_timeout_s": "5", "heartbeat_miss_s": "10"}
HALF_OPEN_S = 30  # within which a half-open connection is found


def nobody_was_restarted(service: RunningService) -> bool:
    return {view["restarts"] for view in service.actors().values()} == {0}


def test_a_slow_line_to_nats_that_is_cut_again_and_again_costs_time_and_nothing_else(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        Proxy(nats.port) as line,
        RunningService(tmp_path, f"nats://127.0.0.1:{line.port}", PAIRS, **PATIENT) as service,
    ):
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 50)
            line.delay_s, line.cut_share = 2.0, 0.05
            service.wait(lambda: line.cuts >= 2, 60)
            seen = newest_trade(service)
            service.wait(lambda: newest_trade(service) > seen, 60)
            line.delay_s, line.cut_share = 0.0, 0.0
            sent = load.sent
            service.wait(lambda: newest_trade(service) > sent, 60)
        assert_nothing_lost_or_doubled(service, load.sent)
        assert nobody_was_restarted(service)
        assert service.stop() == 0


def test_half_open_connections_to_nats_are_found_and_replaced(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        Proxy(nats.port) as line,
        RunningService(tmp_path, f"nats://127.0.0.1:{line.port}", PAIRS, **PATIENT) as service,
    ):
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 50)
            line.fall_silent()
            silent = monotonic()
            sent = load.sent
            service.wait(lambda: newest_trade(service) > sent, 2 * HALF_OPEN_S)
            assert monotonic() - silent < HALF_OPEN_S
        assert_nothing_lost_or_doubled(service, load.sent)
        assert nobody_was_restarted(service)


def through(line: Proxy) -> str:
    """A URI by which a client stays on the line: by itself it goes where the server says that it is."""
    return f"mongodb://127.0.0.1:{line.port}/market?directConnection=true"


@pytest.mark.nightly
@pytest.mark.parametrize("fault", ["slow and cut", "half open"])
def test_a_bad_line_to_mongodb_costs_time_and_nothing_else(tmp_path: Path, fault: str) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        MongoServer(tmp_path / "mongo") as mongo,
        Proxy(mongo.port) as line,
        RunningService(tmp_path, nats.url, PAIRS, mongodb_url=through(line), **PATIENT) as service,
    ):
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 20, 30)
            assert line.connections >= len(SYMBOLS)
            sent, began = load.sent, monotonic()
            if fault == "slow and cut":
                line.delay_s, line.cut_share = 1.0, 0.05  # there and back 2 s, as its client counts
                service.wait(lambda: line.cuts >= 2, 60)
                line.delay_s, line.cut_share = 0.0, 0.0
            else:
                line.fall_silent()
            service.wait(lambda: newest_trade(service) > sent, 2 * HALF_OPEN_S)
            assert fault == "slow and cut" or monotonic() - began < HALF_OPEN_S
        assert_nothing_lost_or_doubled(service, load.sent)
        assert nobody_was_restarted(service)

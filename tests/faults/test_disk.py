"""F18 and F30: the disk takes no more writes of one process, logs included, or a symbol's file is damaged.

A disk that is full under everybody is tested where the stores are (tests/storage): a limit on one process's writes is
as near as a test may come to it without filling the disk of whoever runs it.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from data_manager.storage.records import Trade
from tests.faults.test_one_symbol import OTHERS, RATE, SYMBOLS, assert_nothing_lost_or_doubled, newest_trade
from tests.servers.load import Load, publish, trade
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

PAIRS = ",".join(SYMBOLS)
VICTIM = "ingest/BTCUSDT"


def test_while_the_disk_takes_no_write_nothing_is_acknowledged_and_afterwards_nothing_is_missing(
    tmp_path: Path,
) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 50)
            before = service.actors()
            pid = before[VICTIM]["pid"]
            limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
            service.wait(lambda: service.actor(VICTIM)["detail"] == "market_store")
            stored, sent = newest_trade(service), load.sent
            service.wait(lambda: load.sent > sent + 3 * RATE // len(SYMBOLS))
            assert newest_trade(service) == stored
            assert service.actor("ingest/ETHUSDT")["state"] == "running"
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
            service.wait(lambda: newest_trade(service) > sent)
            after = service.actors()
            for name in (*OTHERS, VICTIM):
                assert (after[name]["pid"], after[name]["restarts"]) == (before[name]["pid"], 0), name
        assert_nothing_lost_or_doubled(service, load.sent)
        assert service.stop() == 0


def test_a_damaged_file_stops_its_symbol_alone_with_a_sentence_and_is_left_as_it_is(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, PAIRS) as service:
        publish(nats.url, *(trade(symbol, 1) for symbol in SYMBOLS))
        assert_nothing_lost_or_doubled(service, 1)
        assert service.stop() == 0
        file = service.data_dir / "market" / "BTCUSDT.sqlite3"
        damaged = b"this was a database" + file.read_bytes()[19:]
        file.write_bytes(damaged)
        service.start(ready=False)
        service.wait(lambda: service.get("/health/liveness")[0] == 200)
        publish(nats.url, *(trade(symbol, 2) for symbol in SYMBOLS))
        service.wait(lambda: service.actors().get(VICTIM, {}).get("detail") == "market_store")
        for symbol in SYMBOLS[1:]:
            service.wait(lambda symbol=symbol: len(service.rows(symbol, Trade)) == 2)
        assert "is damaged" in service.log.read_text()
        assert "move it away or restore it from a backup" in service.log.read_text()
        assert file.read_bytes() == damaged
        assert service.stop() == 0

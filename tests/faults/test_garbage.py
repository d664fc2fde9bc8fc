"""F8: ten thousand messages that are no events, among good ones, on the whole tree."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from data_manager.storage.records import ALL_SYMBOLS
from data_manager.system.commands.disorder.garbage import garbage
from tests.faults.test_one_symbol import SYMBOLS, newest_trade
from tests.servers.load import Load, publish
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

BAD = 10_000
SEED = 8


def test_ten_thousand_bad_messages_are_quarantined_every_one_and_no_good_one_is(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    bytes_without_sense = [b"\xfe" + rng.randbytes(rng.randint(0, 200)) for _ in range(BAD // 2)]
    bad = [*bytes_without_sense, *garbage(SEED, BAD // 2, SYMBOLS)]
    rng.shuffle(bad)
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, ",".join(SYMBOLS)) as service:
        with Load(nats.url, SYMBOLS, 600) as load:
            service.wait(lambda: newest_trade(service) > 20)
            before = service.actors()
            publish(nats.url, *bad)
        good = load.sent * len(SYMBOLS)
        service.wait(lambda: service.events(*SYMBOLS) == good + BAD, 60)
        ledgers = [service.ledger(symbol) for symbol in (*SYMBOLS, ALL_SYMBOLS)]
        assert sum(ledger.total.quarantined for ledger in ledgers) == BAD
        assert sum(ledger.total.stored for ledger in ledgers) == good
        assert all(counts.balanced for ledger in ledgers for counts in ledger.by_type.values())
        after = service.actors()
        assert {name: view["pid"] for name, view in after.items()} == {
            name: view["pid"] for name, view in before.items()
        }
        assert service.stop() == 0

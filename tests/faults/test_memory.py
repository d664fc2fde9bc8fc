"""F5: one symbol's process takes more memory than it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.test_one_symbol import (
    FAULTY,
    RATE,
    SYMBOLS,
    VICTIM,
    assert_nothing_lost_or_doubled,
    assert_untouched,
    newest_trade,
)
from tests.servers.load import Load
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

LIMITS = {"ingest_memory_soft_mb": "160", "ingest_memory_hard_mb": "400", "heartbeat_miss_s": "8"}


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("hoard 200", "memory "),  # above the soft limit: it finishes its batch, and starts afresh
        ("hoard 2000", "MemoryError"),  # at once beyond the hard one, of its own address space
    ],
)
def test_a_symbol_that_hoards_memory_is_replaced_and_nothing_is_lost(tmp_path: Path, fault: str, cause: str) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, ",".join(SYMBOLS), actors=FAULTY, **LIMITS) as service,
    ):
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 100)
            before = service.actors()
            (service.data_dir / "fault").write_text(fault)
            view = service.wait_restarted(VICTIM, before[VICTIM]["pid"], 20)
            assert view["last_cause"].startswith(cause), view["last_cause"]
            seen = newest_trade(service)
            service.wait(lambda: newest_trade(service) > seen)
            assert_untouched(before, service.actors())
        assert_nothing_lost_or_doubled(service, load.sent)
        assert service.stop() == 0

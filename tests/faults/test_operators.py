"""F14: an operator deletes consumers under load; what they had not handed out comes all the same, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats as nats_py
import pytest

from data_manager.system.settings import Settings
from tests.faults.test_one_symbol import RATE, SYMBOLS, assert_nothing_lost_or_doubled, newest_trade
from tests.servers.load import Load
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

pytestmark = pytest.mark.faults

NOTICED_S = 30
DEFAULTS = Settings()


def delete(url: str, stream: str, consumer: str) -> None:
    async def do() -> None:
        client = await nats_py.connect(url)
        assert await client.jetstream().delete_consumer(stream, consumer)
        await client.close()

    asyncio.run(do())


@pytest.mark.parametrize(
    ("stream", "consumer"),
    [(DEFAULTS.market_stream, "ingest-BTCUSDT"), (DEFAULTS.feed_stream, "router")],
)
def test_a_consumer_that_is_deleted_under_load_is_made_again_and_costs_no_event(
    tmp_path: Path, stream: str, consumer: str
) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, ",".join(SYMBOLS)) as service:
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: newest_trade(service) > 100)
            delete(nats.url, stream, consumer)
            sent = load.sent
            service.wait(lambda: newest_trade(service) > sent, NOTICED_S)
        assert_nothing_lost_or_doubled(service, load.sent)
        assert {view["restarts"] for view in service.actors().values()} == {0}
        assert service.stop() == 0

import asyncio
import re

import pytest
from nats.js.errors import NotFoundError

from data_manager.actors.feed_consumer import DISCARDED, DURABLE, MISSING, RECREATED
from data_manager.storage.ledger import BatchEntry
from data_manager.storage.protocols import Write
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.frames import position
from data_manager.system.settings import Settings
from data_manager.system.streams import incarnation_of
from tests.actors.routers import FEED, MARKET, SUBJECT, Broker, Router, settings_for, trade
from tests.eventually import eventually
from tests.servers.nats import NatsServer


@pytest.fixture
def server(tmp_path):
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def settings(server, tmp_path) -> Settings:
    return settings_for(server.url, tmp_path / "data")


async def exists(broker: Broker) -> bool:
    try:
        await broker.js.consumer_info(FEED, DURABLE)
    except NotFoundError:
        return False
    return True


async def published_until_noted(broker: Broker, through: int) -> int:
    """Publish until a batch says that all up to `through` was routed; returns the number of trades."""
    number = (await broker.js.stream_info(FEED)).state.last_seq

    async def noted() -> bool:
        nonlocal number
        number += 1
        await broker.publish(trade(number))
        await broker.routed(number)
        return max(batch.routed_through for _, batch in await broker.batches()) >= through

    await eventually(noted, every=0.2)
    return number


def numbers(detail: str) -> range:
    """The sequences that a suspicion names."""
    first, last = re.fullmatch(r"FEED sequences (\d+) to (\d+)", detail).groups()
    return range(int(first), int(last) + 1)


# -- F14: an operator deletes things -----------------------------------------------------------------------


def test_a_deleted_consumer_is_made_again_after_what_was_routed(server, settings):
    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.publish(*(trade(n) for n in range(1, 11)))
            await broker.settled()
            last = await published_until_noted(broker, 10)
            await broker.js.delete_consumer(FEED, DURABLE)
            await broker.publish(trade(last + 1))
            await eventually(lambda: exists(broker))
            await broker.routed(last + 1)
            await broker.settled()
            ids = await broker.trade_ids("BTCUSDT")
            assert sorted(set(ids)) == list(range(1, last + 2))
            assert ids[:10] == list(range(1, 11))
            copies = [n for n in ids if ids.count(n) > 1]  # of the last second
            assert not copies or min(copies) > 10
            assert router.sent == []

    asyncio.run(scenario())


def test_after_a_restart_the_ledgers_tell_where_a_deleted_consumer_goes_on(server, settings):
    async def scenario():
        async with Broker(server.url) as broker:
            async with Router(settings) as router:
                await router.running()
                await broker.publish(*(trade(n) for n in range(1, 7)))
                await broker.settled()
            await broker.js.delete_consumer(FEED, DURABLE)
            note(incarnation_of(await broker.js.stream_info(FEED)), routed_through=4)
            async with Router(settings) as router:
                await router.running()
                await broker.settled()
            assert await broker.trade_ids("BTCUSDT") == [1, 2, 3, 4, 5, 5, 6, 6]

    def note(incarnation: int, routed_through: int) -> None:
        """What ingest stores with a batch."""
        store = SqliteMarketStore(settings.market_dir, clock=SystemClock())
        store.write(Symbol("ETHUSDT"), Write(batches=[BatchEntry(1, incarnation, routed_through, (position(1),))]))
        store.close()

    asyncio.run(scenario())


def test_without_any_knowledge_a_deleted_consumer_begins_with_feeds_first(server, settings):
    async def scenario():
        async with Broker(server.url) as broker:
            async with Router(settings) as router:
                await router.running()
                await broker.publish(trade(1), trade(2))
                await broker.settled()
            await broker.js.delete_consumer(FEED, DURABLE)
            async with Router(settings) as router:
                await router.running()
                await broker.settled()
                assert router.sent == []
            assert (await broker.js.consumer_info(FEED, DURABLE)).delivered.consumer_seq == 2  # both again
            assert set(await broker.trade_ids("BTCUSDT")) == {1, 2}

    asyncio.run(scenario())


def test_a_deleted_feed_is_made_again_and_the_time_it_was_away_is_suspected(server, settings):
    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.publish(trade(1))
            await broker.settled()
            await broker.js.delete_stream(FEED)
            await eventually(lambda: router.suspected(RECREATED))
            await broker.publish(trade(2))
            await broker.routed(2)
            (_, before), (_, after) = await broker.batches()
            assert before.incarnation < after.incarnation
            assert before.frames[0].position == after.frames[0].position
            (suspicion,) = router.suspected(RECREATED)
            assert suspicion.symbol == ALL_SYMBOLS
            assert suspicion.start_ms == before.frames[0].received_us // 1000
            assert suspicion.end_ms <= after.frames[0].received_us // 1000

    asyncio.run(scenario())


def test_a_deleted_market_is_made_again(server, settings):
    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.js.delete_stream(MARKET)
            await broker.publish(trade(1))
            await broker.settled()
            assert await broker.trade_ids("BTCUSDT") == [1]

    asyncio.run(scenario())


# -- F15: FEED over its limits -----------------------------------------------------------------------------


@pytest.fixture
def small(server, tmp_path) -> Settings:
    """FEED holds about ten messages, and the router takes at most two at a time."""
    return settings_for(server.url, tmp_path / "data", feed_max_bytes=2_000, feed_max_ack_pending=2)


def test_what_feed_discarded_before_the_router_came_is_suspected_with_its_range(server, small):
    async def scenario():
        async with Broker(server.url) as broker:
            async with Router(small) as router:
                await router.running()
                await broker.publish(*(trade(n) for n in range(1, 4)))
                await broker.settled()
            await broker.publish(*(trade(n) for n in range(4, 31)))
            first = (await broker.js.stream_info(FEED)).state.first_seq
            assert first > 4
            async with Router(small) as router:
                await router.running()
                await broker.settled()
                (suspicion,) = router.suspected(DISCARDED)
                assert (suspicion.symbol, suspicion.detail) == (
                    ALL_SYMBOLS,
                    f"FEED sequences 4 to {first - 1}",
                )
                assert router.count("suspected_gaps_total", symbol=ALL_SYMBOLS, reason=DISCARDED) == 1
            assert await broker.trade_ids("BTCUSDT") == [1, 2, 3, *range(first, 31)]

    asyncio.run(scenario())


def test_what_feed_discards_while_the_router_is_held_up_is_suspected_with_its_range(server, small):
    async def scenario():
        async with Broker(server.url) as broker:
            await broker.refuse_batches()
            async with Router(small) as router:
                await router.running()
                await broker.publish(trade(1), trade(2))
                await eventually(lambda: router.worker.status().state == "waiting")
                await broker.publish(*(trade(n) for n in range(3, 31)))
                await broker.open_market()
                await broker.settled()
                await eventually(lambda: router.suspected(DISCARDED))
                told = router.suspected(DISCARDED)
                assert all(suspicion.start_ms <= suspicion.end_ms for suspicion in told)
                lost = {number for suspicion in told for number in numbers(suspicion.detail)}
            assert lost
            assert lost == set(range(1, 31)) - set(await broker.trade_ids("BTCUSDT"))

    asyncio.run(scenario())


def test_messages_that_an_operator_deletes_are_missed_after_some_patience(server, settings):
    async def scenario():
        async with Broker(server.url) as broker:
            async with Router(settings) as router:
                await router.running()
                await broker.publish(trade(1))
                await broker.settled()
            await broker.publish(*(trade(n) for n in range(2, 6)))
            await broker.js.delete_msg(FEED, 3)
            async with Router(settings) as router:
                await eventually(lambda: router.suspected(MISSING))
                (suspicion,) = router.suspected(MISSING)
                assert suspicion.detail == "FEED sequences 3 to 3"
            assert await broker.trade_ids("BTCUSDT") == [1, 2, 4, 5]

    asyncio.run(scenario())


def test_the_users_own_stream_may_hold_other_subjects_and_its_jumps_mean_nothing(server, settings):
    async def scenario():
        async with Broker(server.url) as broker:
            await broker.js.add_stream(name="mine", subjects=[SUBJECT, "other.>"])
            async with Router(settings) as router:
                await router.running()
                await broker.publish(trade(1))
                for _ in range(5):
                    await broker.js.publish("other.thing", b"not for us")
                await broker.publish(trade(7))
                await broker.routed(2)
                assert [f.position for f in await broker.frames("BTCUSDT")] == [position(1), position(7)]
                await asyncio.sleep(3 * settings.ack_wait_s)
                assert router.sent == []
            assert (await broker.js.consumer_info("mine", DURABLE)).num_ack_pending == 0

    asyncio.run(scenario())


def test_feed_headroom_is_told_once_events_flow(server, settings):
    name = ("data_manager_feed_headroom_seconds", ())

    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            assert name not in router.metrics.totals().gauges

            async def told() -> bool:
                await broker.publish(trade(1))
                return name in router.metrics.totals().gauges

            await eventually(told, every=0.05)
            assert 0 < router.metrics.totals().gauges[name] <= settings.feed_max_age_s

    asyncio.run(scenario())

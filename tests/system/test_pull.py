"""The pull consumer against a real server that is stopped, killed, frozen and emptied under it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from data_manager.system.clock import SystemClock
from data_manager.system.connection import Connection
from data_manager.system.delivery import Delivery
from data_manager.system.errors import FeedError
from data_manager.system.pull import EXPIRES_S, ConsumerGone, PullConsumer
from data_manager.system.settings import Settings
from data_manager.system.streams import ensure_consumer, ensure_feed
from tests.eventually import eventually
from tests.servers.nats import NatsServer, connected

SUBJECT = "binance.futures.websocket.data"
STREAM = "data_manager_feed"
MANY, BIG = 10_000, 2**30

Scenario = Callable[[Connection], Awaitable[None]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as server:
        yield server


def play(server: NatsServer, scenario: Scenario, *, ack_wait: float = 10, timeout: float = 60) -> None:
    """Run the scenario on a connection, with a stream and the durable `d` in place."""

    async def run() -> None:
        settings = Settings(nats_url=server.url)
        async with connected(settings) as c, asyncio.timeout(timeout):
            await ensure_feed(c.client.jetstream(), settings)
            await make_consumer(c, ack_wait)
            await scenario(c)

    asyncio.run(run())


async def make_consumer(c: Connection, ack_wait: float = 10) -> None:
    await ensure_consumer(c.client.jetstream(), STREAM, "d", ack_wait=ack_wait, max_ack_pending=20_000)


async def fill(c: Connection, count: int, payload: bytes = b"x" * 100) -> None:
    """Core publishes, in the stream when it returns."""
    info = await c.client.jetstream().stream_info(STREAM)
    for _ in range(count - 1):
        await c.client.publish(SUBJECT, payload)
    await c.client.jetstream().publish(SUBJECT, payload)
    after = await c.client.jetstream().stream_info(STREAM)
    assert after.state.last_seq == info.state.last_seq + count


async def opened(c: Connection, window: int = 500) -> PullConsumer:
    consumer = PullConsumer(c.client, STREAM, "d", window=window, clock=SystemClock())
    await consumer.open()
    return consumer


async def ack(c: Connection, deliveries: list[Delivery]) -> None:
    for delivery in deliveries:
        await c.client.publish(delivery.reply, b"")


async def take(consumer: PullConsumer, count: int) -> list[Delivery]:
    """Exactly so many; fails by the scenario's time limit."""
    taken: list[Delivery] = []
    while len(taken) < count:
        taken += await consumer.batch(count - len(taken), BIG, 0.01)
    return taken


async def waiting_requests(c: Connection) -> int:
    info = await c.client.jetstream().consumer_info(STREAM, "d")
    return info.num_waiting or 0


def sequences(deliveries: list[Delivery]) -> list[int]:
    return [delivery.sequence for delivery in deliveries]


def test_messages_come_in_order_with_what_the_server_knows_of_them(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        js = c.client.jetstream()
        await js.publish(SUBJECT, b"one")
        await js.publish(SUBJECT, b"two", headers={"traceparent": "00-abc-def-01", "other": "x"})
        consumer = await opened(c)
        first, second = await take(consumer, 2)
        assert (first.payload, first.sequence, first.redelivered, first.trace) == (b"one", 1, False, None)
        assert (second.payload, second.sequence, second.trace) == (b"two", 2, "00-abc-def-01")
        age_s = (SystemClock().now_us() - first.received_us) / 1e6
        assert 0 <= age_s < 10
        await consumer.close()

    play(server, scenario)


def test_more_than_a_window_flows_without_a_pause(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await fill(c, 3000)
        consumer = await opened(c, window=64)
        async with asyncio.timeout(5):
            got = await take(consumer, 3000)
        assert sequences(got) == list(range(1, 3001))
        await consumer.close()

    play(server, scenario)


def test_no_more_than_a_window_waits_here(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await fill(c, 1000)
        consumer = await opened(c, window=100)
        await asyncio.sleep(2.5 * EXPIRES_S)
        info = await c.client.jetstream().consumer_info(STREAM, "d")
        assert info.num_ack_pending == 100
        assert consumer.lag == 1000
        assert sequences(await take(consumer, 1000)) == list(range(1, 1001))
        assert consumer.lag == 0
        await consumer.close()

    play(server, scenario)


def test_it_stays_awake_through_many_idle_requests(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        consumer = await opened(c)
        for number in range(1, 4):
            await asyncio.sleep(1.5 * EXPIRES_S)
            await fill(c, 1)
            (got,) = await asyncio.wait_for(take(consumer, 1), 0.2)
            assert got.sequence == number
        await consumer.close()

    play(server, scenario)


@pytest.mark.parametrize("backlog", [0, 30_000])
def test_a_clean_stop_under_load_leads_to_no_redelivery(server: NatsServer, backlog: int) -> None:
    """F11. The subscription alone, taken away with a backlog, loses about a hundred deliveries each time."""
    stops = 8

    async def scenario(c: Connection) -> None:
        async with connected(Settings(nats_url=server.url), "publisher") as other:
            if backlog:
                await fill(other, backlog)
            running = True

            async def publish() -> int:
                count = backlog
                while running:
                    for _ in range(20):
                        await other.client.publish(SUBJECT, b"x" * 100)
                    count += 20
                    await asyncio.sleep(0.002)
                await other.client.flush()
                return count

            publishing = asyncio.create_task(publish())
            got: list[Delivery] = []
            for stop in range(stops + 1):
                consumer = await opened(c, window=2000)
                while len(got) < (stop + 1) * 500:
                    batch = list(await consumer.batch(100, BIG, 0.001))
                    await ack(c, batch)
                    got += batch
                if stop == stops:
                    running = False
                    total = await publishing
                    while len(got) < total:
                        batch = list(await consumer.batch(MANY, BIG, 0.001))
                        await ack(c, batch)
                        got += batch
                stopping = asyncio.create_task(consumer.stop_pulling())
                while batch := list(await consumer.batch(MANY, BIG, 0)):
                    await ack(c, batch)
                    got += batch
                await stopping
                await consumer.close()
            await c.client.flush()
            assert sequences(got) == list(range(1, total + 1))
            assert not any(delivery.redelivered for delivery in got)

            async def settled() -> bool:
                info = await c.client.jetstream().consumer_info(STREAM, "d")
                return info.num_ack_pending == 0 and info.num_pending == 0 and not info.num_redelivered

            await eventually(settled)

    play(server, scenario)


def test_a_stop_is_quick_and_hands_out_what_was_delivered(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await fill(c, 10)
        consumer = await opened(c)
        assert len(await take(consumer, 3)) == 3
        await eventually(lambda: consumer.lag == 7)
        async with asyncio.timeout(EXPIRES_S + 0.5):
            await consumer.stop_pulling()
        await fill(c, 5)
        assert sequences(list(await consumer.batch(MANY, BIG, 60))) == [4, 5, 6, 7, 8, 9, 10]
        assert not await consumer.batch(MANY, BIG, 60)

    play(server, scenario)


def test_a_stop_wakes_a_taker_that_waits(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        consumer = await opened(c)
        taking = asyncio.create_task(consumer.batch(1, BIG, 0))
        await asyncio.sleep(0.05)
        await consumer.stop_pulling()
        assert not await asyncio.wait_for(taking, 1)

    play(server, scenario)


def test_what_was_not_acknowledged_comes_again_after_its_ack_wait(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await fill(c, 4)
        consumer = await opened(c)
        first = await take(consumer, 4)
        await ack(c, first[:2])
        await consumer.close()
        again = await opened(c)
        second = await take(again, 2)
        assert sorted(sequences(second)) == [3, 4]
        assert all(delivery.redelivered for delivery in second)
        await again.close()

    play(server, scenario, ack_wait=0.5)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_after_every_server_restart_it_consumes_again_and_nothing_is_missing(
    server: NatsServer, sig: signal.Signals
) -> None:
    """F12, shortened: each time within 5 s of the port opening."""

    async def scenario(c: Connection) -> None:
        consumer = await opened(c)
        seen: set[int] = set()
        for restart in range(1, 6):
            await asyncio.to_thread(server.restart, sig)
            await eventually(lambda: c.connected)
            await fill(c, 50)
            async with asyncio.timeout(5):
                while len(seen) < restart * 50:
                    batch = list(await consumer.batch(MANY, BIG, 0.01))
                    await ack(c, batch)
                    seen.update(sequences(batch))
        assert seen == set(range(1, 251))
        await consumer.close()

    play(server, scenario, ack_wait=1)


def test_a_deleted_consumer_is_noticed_at_once(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        consumer = await opened(c)
        await eventually(lambda: waiting_requests(c))
        await c.client.jetstream().delete_consumer(STREAM, "d")
        with pytest.raises(ConsumerGone, match="consumer d of stream data_manager_feed: Consumer Deleted"):
            await asyncio.wait_for(consumer.batch(1, BIG, 0), 1)
        await consumer.close()

    play(server, scenario)


def test_a_deleted_stream_is_noticed_after_what_had_arrived(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await fill(c, 5)
        consumer = await opened(c)
        await eventually(lambda: consumer.lag == 5)
        await asyncio.sleep(0.1)
        await c.client.jetstream().delete_stream(STREAM)
        await asyncio.sleep(0.1)
        assert sequences(list(await consumer.batch(MANY, BIG, 0))) == [1, 2, 3, 4, 5]
        with pytest.raises(ConsumerGone):
            await asyncio.wait_for(consumer.batch(1, BIG, 0), 1)
        await consumer.close()

    play(server, scenario)


def test_a_consumer_that_vanished_while_the_server_was_down_is_noticed(server: NatsServer, tmp_path: Path) -> None:
    async def scenario(c: Connection) -> None:
        consumer = await opened(c)
        server.kill()
        (tmp_path / "jetstream").rename(tmp_path / "lost")
        await asyncio.to_thread(server.start)
        with pytest.raises(ConsumerGone):
            await asyncio.wait_for(consumer.batch(1, BIG, 0), 10)
        await consumer.close()

    play(server, scenario)


def test_a_frozen_server_is_waited_for(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await fill(c, 10)
        consumer = await opened(c)
        assert len(await take(consumer, 10)) == 10
        server.freeze()
        await asyncio.sleep(3 * EXPIRES_S)
        server.thaw()
        await fill(c, 10)
        assert sequences(await asyncio.wait_for(take(consumer, 10), 10)) == list(range(11, 21))
        await consumer.close()

    play(server, scenario)


def test_a_lost_request_is_noticed_by_silence(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_manager.system.pull.SILENCE_S", 0.5)

    async def scenario(c: Connection) -> None:
        consumer = await opened(c)
        inbox = consumer._subscription
        assert inbox is not None
        await c.client._send_unsubscribe(inbox._id)  # the server forgets us, and we do not know
        await fill(c, 1)
        assert len(await asyncio.wait_for(take(consumer, 1), 5)) == 1
        await consumer.close()

    play(server, scenario)


def test_a_slow_taker_is_not_taken_for_silence(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_manager.system.pull.SILENCE_S", 0.3)

    async def scenario(c: Connection) -> None:
        await fill(c, 200)
        consumer = await opened(c, window=100)
        inbox = None
        for _ in range(3):
            await asyncio.sleep(0.5)
            assert consumer._subscription is (inbox or consumer._subscription)
            inbox = consumer._subscription
        got = await take(consumer, 200)
        assert not any(delivery.redelivered for delivery in got)
        await consumer.close()

    play(server, scenario)


def test_opening_on_a_missing_consumer_says_so(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await c.client.jetstream().delete_consumer(STREAM, "d")
        with pytest.raises(ConsumerGone, match="consumer not found"):
            await opened(c)

    play(server, scenario)


def test_opening_without_an_answer_is_a_feed_error(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        server.freeze()
        try:
            with pytest.raises(FeedError, match="no answer about consumer d") as raised:
                await opened(c)
            assert not isinstance(raised.value, ConsumerGone)
        finally:
            server.thaw()

    play(server, scenario)


def test_a_connection_closed_for_good_ends_the_waiting(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        consumer = await opened(c)
        await c.client.close()
        with pytest.raises(FeedError, match="closed the connection for good"):
            await asyncio.wait_for(consumer.batch(1, BIG, 0), 2)
        await consumer.close()

    play(server, scenario)


def test_two_takers_of_one_durable_share_the_messages(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        one, two = await opened(c, window=50), await opened(c, window=50)
        await fill(c, 1000)
        got: list[list[int]] = [[], []]

        async def work(consumer: PullConsumer, mine: list[int]) -> None:
            while sum(map(len, got)) < 1000:
                batch = list(await consumer.batch(20, BIG, 0.001))
                await ack(c, batch)
                mine += sequences(batch)

        working = [asyncio.create_task(work(*pair)) for pair in zip((one, two), got, strict=True)]
        await eventually(lambda: sum(map(len, got)) == 1000)
        for consumer in (one, two):
            await consumer.close()
        await asyncio.gather(*working)
        assert sorted(got[0] + got[1]) == list(range(1, 1001))
        assert all(got)

    play(server, scenario)

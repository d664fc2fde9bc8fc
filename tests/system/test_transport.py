"""Sources and market publishers, with JetStream and without, on a real server."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from data_manager.system import transport
from data_manager.system.acked import Accepted, AckedPublisher
from data_manager.system.clock import SystemClock
from data_manager.system.connection import Connection
from data_manager.system.errors import FeedError
from data_manager.system.settings import Settings
from data_manager.system.streams import ensure_consumer, ensure_feed, ensure_market
from data_manager.system.transport import (
    Bound,
    CorePublisher,
    CoreSource,
    Delivery,
    Dropped,
    JetStreamPublisher,
    JetStreamSource,
    MarketPublisher,
    Source,
    SubjectFull,
)
from tests.eventually import eventually
from tests.servers.nats import NatsServer, connected

SUBJECT = "binance.futures.websocket.data"
STREAM = "data_manager_feed"
BTC, ETH = "data_manager.market.BTCUSDT", "data_manager.market.ETHUSDT"
MANY, BIG = 10_000, 2**30

Scenario = Callable[[Connection], Awaitable[None]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as server:
        yield server


def play(server: NatsServer, scenario: Scenario) -> None:
    async def run() -> None:
        async with connected(Settings(nats_url=server.url)) as c, asyncio.timeout(60):
            await scenario(c)

    asyncio.run(run())


class Feed:
    """A bound FEED source and what it told about rebinding."""

    def __init__(self, c: Connection, *, ack_wait: float = 10, settings: Settings | None = None) -> None:
        self.rebound: list[tuple[str, int, int]] = []
        self.binds = 0
        self._c, self._ack_wait = c, ack_wait
        self._settings = settings or Settings()
        self.source = JetStreamSource(
            c.client,
            self.bind,
            window=500,
            clock=SystemClock(),
            on_rebound=lambda *told: self.rebound.append(told),
        )

    async def bind(self) -> Bound:
        self.binds += 1
        js = self._c.client.jetstream(timeout=1)
        feed = await ensure_feed(js, self._settings)
        await ensure_consumer(js, feed.name, "router", ack_wait=self._ack_wait, max_ack_pending=20_000)
        return Bound(feed.name, "router", feed.incarnation)


async def fill(c: Connection, count: int) -> None:
    for _ in range(count):
        await c.client.jetstream().publish(SUBJECT, b"x" * 100)


async def take(source: Source, count: int, ack: bool = True) -> list[Delivery]:
    taken: list[Delivery] = []
    while len(taken) < count:
        batch = await source.batch(count - len(taken), BIG, 0.01)
        if ack:
            await source.ack(batch)
        taken += batch
    return taken


def sequences(deliveries: list[Delivery]) -> list[int]:
    return [delivery.sequence for delivery in deliveries]


# -- JetStreamSource ----------------------------------------------------------------------------------------


def test_a_source_makes_what_it_needs_and_delivers(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        feed = Feed(c)
        assert feed.source.lag is None
        assert feed.source.trouble
        await feed.source.open()
        assert (feed.source.lag, feed.source.trouble) == (0, "")
        await fill(c, 20)
        assert sequences(await take(feed.source, 20)) == list(range(1, 21))
        info = await c.client.jetstream().stream_info(STREAM)
        assert info.created is not None
        assert feed.source.incarnation // 1000 == round(info.created.timestamp() * 1e6)
        assert not feed.rebound
        await feed.source.close()

    play(server, scenario)


def test_a_deleted_consumer_is_made_again_and_unacknowledged_messages_come_back(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        feed = Feed(c)
        await feed.source.open()
        await fill(c, 10)
        await take(feed.source, 10, ack=False)
        before = feed.source.incarnation
        await c.client.jetstream().delete_consumer(STREAM, "router")
        assert sequences(await take(feed.source, 10)) == list(range(1, 11))
        ((reason, old, new),) = feed.rebound
        assert "router" in reason
        assert (old, new) == (before, before)
        await feed.source.close()

    play(server, scenario)


def test_a_deleted_stream_is_made_again_with_another_incarnation(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(c: Connection) -> None:
        feed = Feed(c)
        await feed.source.open()
        await fill(c, 5)
        await eventually(lambda: feed.source.lag == 5)
        await asyncio.sleep(0.1)
        before = feed.source.incarnation
        await c.client.jetstream().delete_stream(STREAM)
        await asyncio.sleep(0.2)
        assert sequences(await take(feed.source, 5)) == [1, 2, 3, 4, 5]  # the last copies there are
        assert feed.source.incarnation == before
        taking = asyncio.create_task(take(feed.source, 1))
        await eventually(lambda: feed.rebound)
        await fill(c, 1)
        assert sequences(await taking) == [1]
        ((_, old, new),) = feed.rebound
        assert old == before != new == feed.source.incarnation
        await feed.source.close()

    play(server, scenario)
    told = [record.msg for record in caplog.records if record.msg in ("nats_bound", "nats_consumer_gone")]
    assert told == ["nats_bound", "nats_consumer_gone", "nats_bound"]


def test_binding_is_tried_until_it_works_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(c: Connection) -> None:
        js = c.client.jetstream()
        await js.add_stream(name=STREAM, subjects=["old.subject"])
        feed = Feed(c)
        opening = asyncio.create_task(feed.source.open())
        await eventually(lambda: feed.binds >= 3)
        assert "STREAM_PREFIX" in feed.source.trouble
        await js.delete_stream(STREAM)
        await opening
        assert not feed.source.trouble
        await feed.source.close()

    with NatsServer(tmp_path) as server:
        play(server, scenario)
    assert [r.msg for r in caplog.records if "bind" in r.msg or "bound" in r.msg] == [
        "nats_cannot_bind",
        "nats_bound",
    ]


def test_a_stop_ends_the_binding(tmp_path: Path) -> None:
    async def scenario(c: Connection) -> None:
        feed = Feed(c)
        opening = asyncio.create_task(feed.source.open())
        await eventually(lambda: feed.binds >= 1)
        await feed.source.stop_pulling()
        await asyncio.wait_for(opening, 2)
        assert not await feed.source.batch(1, BIG, 0)
        await feed.source.close()

    with NatsServer(tmp_path, jetstream=False) as server:
        play(server, scenario)


def test_a_clean_stop_leaves_nothing_to_redeliver(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        feed = Feed(c)
        await feed.source.open()
        await fill(c, 300)
        got = await take(feed.source, 100)
        await feed.source.stop_pulling()
        while batch := await feed.source.batch(50, BIG, 0.01):
            await feed.source.ack(batch)
            got += batch
        await feed.source.close()
        assert sequences(got) == list(range(1, 301))

        async def settled() -> bool:
            info = await c.client.jetstream().consumer_info(STREAM, "router")
            return (info.num_ack_pending, info.num_pending, info.num_redelivered) == (0, 0, 0)

        await eventually(settled)

    play(server, scenario)


def test_a_slow_batch_in_progress_is_not_delivered_again(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        feed = Feed(c, ack_wait=0.5)
        await feed.source.open()
        await fill(c, 2)
        slow, left = await take(feed.source, 2, ack=False)
        for _ in range(6):
            await asyncio.sleep(0.2)
            await feed.source.in_progress([slow])
        await feed.source.ack([slow])
        (again,) = await take(feed.source, 1)
        assert again.sequence == left.sequence
        assert again.redelivered
        await feed.source.close()

    play(server, scenario)


def test_acknowledgements_given_while_the_server_is_away_arrive_later(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        feed = Feed(c)
        await feed.source.open()
        await fill(c, 100)
        got = await take(feed.source, 100, ack=False)
        server.stop()
        await eventually(lambda: not c.connected)
        await feed.source.ack(got)
        await asyncio.to_thread(server.start)
        await eventually(lambda: c.connected)

        async def acknowledged() -> bool:
            info = await c.client.jetstream().consumer_info(STREAM, "router")
            return info.num_ack_pending == 0

        await eventually(acknowledged)
        await feed.source.close()

    play(server, scenario)


def test_more_acknowledgements_than_can_wait_are_given_up_quietly(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        feed = Feed(c)
        await feed.source.open()
        await fill(c, 1)
        (one,) = await take(feed.source, 1)
        server.stop()
        await eventually(lambda: not c.connected)
        await feed.source.ack([one] * 200_000)
        await c.close()
        with pytest.raises(FeedError, match="for good"):
            await feed.source.ack([one])
        await feed.source.close()

    play(server, scenario)


# -- CoreSource ---------------------------------------------------------------------------------------------


def test_core_messages_get_positions_that_rise_and_start_at_the_clock(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        before = SystemClock().now_us()
        source = CoreSource(c.client, SUBJECT, queue="router", clock=SystemClock())
        await source.open()
        assert (source.lag, source.incarnation, source.trouble) == (0, 0, "")
        await c.client.publish(SUBJECT, b"one")
        await c.client.publish(SUBJECT, b"two", headers={"traceparent": "00-abc-def-01"})
        one, two = await take(source, 2)
        await source.in_progress([one])
        assert (one.payload, two.payload, two.trace) == (b"one", b"two", "00-abc-def-01")
        assert before < one.sequence == two.sequence - 1
        assert before <= one.received_us <= two.received_us <= SystemClock().now_us()
        assert not one.reply
        assert not one.redelivered
        await source.close()

    play(server, scenario)


def test_a_stopped_core_source_hands_out_what_had_arrived(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        source = CoreSource(c.client, SUBJECT, queue="router", clock=SystemClock())
        await source.open()
        for _ in range(1000):
            await c.client.publish(SUBJECT, b"x")
        await source.stop_pulling()
        assert len(await source.batch(MANY, BIG, 60)) == 1000
        assert not await source.batch(MANY, BIG, 60)
        await c.client.publish(SUBJECT, b"late")
        await c.client.flush()
        assert source.lag == 0
        await source.close()

    play(server, scenario)


def test_members_of_a_queue_group_share_the_messages(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        async with connected(Settings(nats_url=server.url), "other") as other:
            sources = [CoreSource(x.client, SUBJECT, queue="router", clock=SystemClock()) for x in (c, other)]
            for source in sources:
                await source.open()
            for _ in range(500):
                await c.client.publish(SUBJECT, b"x")
            await eventually(lambda: sum(source.lag for source in sources) == 500)
            assert all(source.lag for source in sources)
            for source in sources:
                await source.close()

    play(server, scenario)


def test_a_core_source_drops_and_counts_beyond_its_bound(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CORE_PENDING_MESSAGES", 50)

    async def scenario(c: Connection) -> None:
        source = CoreSource(c.client, SUBJECT, queue="router", clock=SystemClock())
        await source.open()
        for _ in range(200):
            await c.client.publish(SUBJECT, b"x")
            await asyncio.sleep(0)
        await eventually(lambda: source.dropped + c.errors["subscription"] == 150)
        assert source.lag == 50
        await source.close()

    play(server, scenario)


def test_a_core_source_is_back_after_a_restart(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        source = CoreSource(c.client, SUBJECT, queue="router", clock=SystemClock())
        await source.open()
        await asyncio.to_thread(server.restart, signal.SIGKILL)
        await eventually(lambda: c.reconnects == 1 and c.connected)
        await c.client.publish(SUBJECT, b"x")
        assert len(await take(source, 1)) == 1
        await source.close()

    play(server, scenario)


# -- publishers ---------------------------------------------------------------------------------------------


async def market(c: Connection, **settings: object) -> JetStreamPublisher:
    await ensure_market(c.client.jetstream(), Settings(**settings))  # type: ignore[arg-type]
    publisher = JetStreamPublisher(c.client, SystemClock())
    await publisher.open()
    return publisher


async def messages(c: Connection, stream: str = "data_manager_market") -> int:
    return (await c.client.jetstream().stream_info(stream)).state.messages


def test_a_batch_is_in_the_stream_when_publish_returns(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await market(c)
        assert await publisher.publish(BTC, b"batch", "id-1") is None
        assert await messages(c) == 1
        kept = await c.client.jetstream().get_msg("data_manager_market", seq=1)
        assert (kept.data, kept.headers) == (b"batch", {"Nats-Msg-Id": "id-1"})
        await publisher.close()

    play(server, scenario)


def test_the_same_id_is_stored_once(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await market(c)
        for _ in range(3):
            assert await publisher.publish(BTC, b"batch", "id-1") is None
        assert await messages(c) == 1
        await publisher.close()

    play(server, scenario)


def test_a_full_subject_is_an_outcome_of_its_own_and_no_other_subjects_affair(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await market(c, market_max_batches=2)
        assert await publisher.publish(BTC, b"1", "b1") is None
        assert await publisher.publish(BTC, b"2", "b2") is None
        assert await publisher.publish(BTC, b"3", "b3") == SubjectFull(BTC)
        assert await publisher.publish(ETH, b"1", "e1") is None
        assert await publisher.publish(BTC, b"2", "b2") is None  # it is in the stream, though that is full
        await c.client.jetstream().purge_stream("data_manager_market", subject=BTC)
        assert await publisher.publish(BTC, b"3", "b3") is None
        await publisher.close()

    play(server, scenario)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_every_batch_is_stored_once_across_server_restarts(server: NatsServer, sig: signal.Signals) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await market(c)
        numbers = iter(range(10**9))
        stop = asyncio.Event()
        done: list[int] = []

        async def publish() -> None:
            while not stop.is_set():
                number = next(numbers)
                assert await publisher.publish(BTC, b"x" * 1000, f"id-{number}") is None
                done.append(number)

        async with asyncio.TaskGroup() as group:
            for _ in range(32):
                group.create_task(publish())
            for restart in range(1, 4):
                await eventually(lambda wanted=restart * 300: len(done) > wanted)  # type: ignore[misc]
                await asyncio.to_thread(server.restart, sig)
            await eventually(lambda: len(done) > 1200)
            stop.set()
        assert sorted(done) == list(range(len(done)))
        assert await messages(c) == len(done)
        await publisher.close()

    play(server, scenario)


def test_a_deleted_market_is_waited_for(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await market(c)
        await c.client.jetstream().delete_stream("data_manager_market")
        publishing = asyncio.create_task(publisher.publish(BTC, b"x", "1"))
        await eventually(lambda: publisher.trouble == f"no stream captures {BTC}")
        await ensure_market(c.client.jetstream(), Settings())
        assert await publishing is None
        assert not publisher.trouble
        await publisher.close()

    play(server, scenario)


def test_what_is_unanswered_at_the_close_is_a_feed_error(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = JetStreamPublisher(c.client, SystemClock())
        await publisher.open()
        publishing = asyncio.create_task(publisher.publish(BTC, b"x", "1"))
        await eventually(lambda: publisher.trouble)
        await publisher.close()
        with pytest.raises(FeedError, match="closed before the stream answered"):
            await publishing

    play(server, scenario)


def test_a_connection_closed_for_good_ends_a_publish(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = JetStreamPublisher(c.client, SystemClock())
        await publisher.open()
        publishing = asyncio.create_task(publisher.publish(BTC, b"x", "1"))
        await eventually(lambda: publisher.trouble)
        await c.client.close()
        with pytest.raises(FeedError, match="for good"):
            await publishing
        with pytest.raises(FeedError, match="for good"):
            await publisher.publish(BTC, b"x", "2")
        await publisher.close()

    play(server, scenario)


def test_a_batch_the_server_can_never_take_is_a_feed_error(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await market(c)
        with pytest.raises(FeedError, match=r"a message of 9437184 bytes exceeds the server's max_payload"):
            await publisher.publish(BTC, b"x" * (9 * 2**20), "1")
        core = CorePublisher(c.client)
        with pytest.raises(FeedError, match="maximum payload"):
            await core.publish(BTC, b"x" * (9 * 2**20), "1")
        await publisher.close()

    play(server, scenario)


def test_a_cancelled_publish_is_forgotten(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        acked = AckedPublisher(c.client, SystemClock())
        await acked.open()
        outcome = await acked.send(BTC, b"x", "1")
        assert len(acked) == 1
        outcome.cancel()
        await eventually(lambda: len(acked) == 0)
        await ensure_market(c.client.jetstream(), Settings())
        accepted = await (await acked.send(BTC, b"x", "2"))
        assert accepted == Accepted(sequence=1, duplicate=False)
        assert await (await acked.send(BTC, b"x", "2")) == Accepted(sequence=1, duplicate=True)
        await acked.close()

    play(server, scenario)


def test_a_core_batch_reaches_who_listens(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        source: Source = CoreSource(c.client, BTC, queue="ingest", clock=SystemClock())
        await source.open()
        publisher: MarketPublisher = CorePublisher(c.client)
        await publisher.open()
        assert await publisher.publish(BTC, b"batch", "ignored") is None
        (got,) = await take(source, 1)
        assert got.payload == b"batch"
        await publisher.close()
        await source.close()

    play(server, scenario)


def test_core_batches_that_cannot_even_wait_are_dropped_and_said(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = CorePublisher(c.client)
        server.stop()
        await eventually(lambda: not c.connected)
        outcomes = [await publisher.publish(BTC, b"x" * 2**20, str(n)) for n in range(12)]
        assert outcomes[0] is None
        assert outcomes[-1] == Dropped(BTC)
        assert publisher.trouble
        await asyncio.to_thread(server.start)
        await eventually(lambda: c.connected)
        await c.client.flush()
        assert await publisher.publish(BTC, b"x", "again") is None
        assert not publisher.trouble

    play(server, scenario)

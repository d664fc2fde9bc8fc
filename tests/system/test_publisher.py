"""Publishing raw events, counted exactly where a stream captures them."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from data_manager.system import publisher as module
from data_manager.system.clock import SystemClock
from data_manager.system.connection import Connection
from data_manager.system.errors import FeedError
from data_manager.system.publisher import WINDOW, FeedPublisher, open_feed
from data_manager.system.settings import Settings
from data_manager.system.streams import ensure_feed
from tests.eventually import eventually
from tests.servers.nats import NatsServer, connected

SUBJECT = "binance.futures.websocket.data"
STREAM = "data_manager_feed"

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


async def opened(c: Connection, *, captured: bool) -> FeedPublisher:
    if captured:
        await ensure_feed(c.client.jetstream(), Settings())
    publisher = FeedPublisher(c.client, SUBJECT, SystemClock())
    await publisher.open()
    assert publisher.captured is captured
    return publisher


async def stored(c: Connection) -> list[bytes]:
    """Every payload of the stream, in order."""
    js = c.client.jetstream()
    last = (await js.stream_info(STREAM)).state.last_seq
    return [(await js.get_msg(STREAM, seq=n)).data or b"" for n in range(1, last + 1)]


def test_what_counts_as_published_is_in_the_stream_in_order(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=True)
        events = [b"event %d" % n for n in range(1000)]
        for event in events:
            await publisher.publish(event)
        assert await publisher.drain()
        assert publisher.published == 1000
        assert await stored(c) == events
        await publisher.close()

    play(server, scenario)


def test_the_same_event_twice_is_two_events(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        one, two = await opened(c, captured=True), await opened(c, captured=True)
        for publisher in (one, one, two):
            await publisher.publish(b"same")
        assert await one.drain()
        assert await two.drain()
        assert (one.published, two.published) == (2, 1)
        assert await stored(c) == [b"same"] * 3
        await one.close()
        await two.close()

    play(server, scenario)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_each_event_is_in_the_stream_exactly_once_across_broker_restarts(
    server: NatsServer, sig: signal.Signals
) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=True)
        events = [b"%06d" % n for n in range(6000)]

        async def publish() -> None:
            for event in events:
                await publisher.publish(event)
                if publisher.published % 50 == 0:
                    await asyncio.sleep(0.001)

        publishing = asyncio.create_task(publish())
        for restart in range(1, 3):
            await eventually(lambda wanted=restart * 1500: publisher.published > wanted)  # type: ignore[misc]
            await asyncio.to_thread(server.restart, sig)
        await publishing
        assert await publisher.drain(20)
        assert publisher.published == len(events)
        assert sorted(await stored(c)) == events
        await publisher.close()

    play(server, scenario)


def test_no_more_than_a_window_is_unacknowledged(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=True)
        server.freeze()
        taken = 0

        async def publish() -> None:
            nonlocal taken
            for _ in range(WINDOW + 100):
                await publisher.publish(b"x")
                taken += 1

        publishing = asyncio.create_task(publish())
        await eventually(lambda: taken == WINDOW)
        await asyncio.sleep(0.05)
        assert taken == WINDOW
        assert not await publisher.drain(0.1)
        server.thaw()
        await publishing
        assert await publisher.drain()
        assert publisher.published == WINDOW + 100
        await publisher.close()

    play(server, scenario)


def test_a_stream_that_refuses_for_good_is_counted_apart(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        await c.client.jetstream().add_stream(
            name="theirs",
            subjects=["binance.>"],
            discard="new",
            discard_new_per_subject=True,
            max_msgs_per_subject=3,
        )
        publisher = FeedPublisher(c.client, SUBJECT)
        await publisher.open()
        for _ in range(5):
            await publisher.publish(b"x")
        assert await publisher.drain()
        assert (publisher.published, publisher.refused) == (3, 2)
        await publisher.close()

    play(server, scenario)


@pytest.mark.parametrize("jetstream", [True, False])
def test_without_a_stream_events_go_to_who_listens(tmp_path: Path, jetstream: bool) -> None:
    async def scenario(c: Connection) -> None:
        got = await c.client.subscribe(SUBJECT)
        publisher = await opened(c, captured=False)
        for _ in range(500):
            await publisher.publish(b"x")
        assert await publisher.drain()
        assert publisher.published == 500
        await eventually(lambda: got.pending_msgs == 500)
        await publisher.close()

    with NatsServer(tmp_path, jetstream=jetstream) as server:
        play(server, scenario)


def test_nobody_listening_is_said_once(
    server: NatsServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.02)
    caplog.set_level(logging.INFO)

    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=False)
        for _ in range(10):
            await publisher.publish(b"x")
            await asyncio.sleep(0.03)
        assert await publisher.drain()
        await publisher.close()

    play(server, scenario)
    assert [r.msg for r in caplog.records].count("nobody_listens") == 1


def test_a_listener_means_no_warning(server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(c: Connection) -> None:
        await c.client.subscribe(SUBJECT)
        publisher = await opened(c, captured=False)
        await publisher.publish(b"x")
        assert await publisher.drain()
        await publisher.close()

    play(server, scenario)
    assert "nobody_listens" not in [r.msg for r in caplog.records]


def test_a_stream_that_appears_later_is_noticed(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.05)

    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=False)
        await publisher.publish(b"lost")
        assert await publisher.drain()
        await ensure_feed(c.client.jetstream(), Settings())
        sent = 0
        while not publisher.captured:
            await publisher.publish(b"x")
            sent += 1
            await asyncio.sleep(0.02)
        await publisher.publish(b"acknowledged")
        assert await publisher.drain()
        assert publisher.published == sent + 2
        assert await stored(c) == [b"x"] * sent + [b"acknowledged"]
        await publisher.close()

    play(server, scenario)


def test_core_publishing_waits_while_nats_is_away(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=False)
        server.stop()
        await eventually(lambda: not c.connected)
        publishing = asyncio.create_task(publisher.publish(b"x"))
        await asyncio.sleep(0.2)
        assert not publishing.done()
        await asyncio.to_thread(server.start)
        await publishing
        assert publisher.published == 1
        await publisher.close()

    play(server, scenario)


@pytest.mark.parametrize("captured", [True, False])
def test_an_event_too_large_is_a_feed_error_and_the_next_one_works(server: NatsServer, captured: bool) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=captured)
        with pytest.raises(FeedError, match=r"payload"):
            await publisher.publish(b"x" * (9 * 2**20))
        await publisher.publish(b"x")
        assert await publisher.drain()
        assert publisher.published == 1
        await publisher.close()

    play(server, scenario)


@pytest.mark.parametrize("captured", [True, False])
def test_a_connection_closed_for_good_is_a_feed_error(server: NatsServer, captured: bool) -> None:
    async def scenario(c: Connection) -> None:
        publisher = await opened(c, captured=captured)
        await c.client.close()
        with pytest.raises(FeedError):
            await publisher.publish(b"x")
        await publisher.close()

    play(server, scenario)


def test_a_silent_server_leaves_the_question_open(server: NatsServer) -> None:
    async def scenario(c: Connection) -> None:
        server.freeze()
        try:
            with pytest.raises(FeedError, match="did not say whether a stream captures"):
                await FeedPublisher(c.client, SUBJECT).open()
        finally:
            server.thaw()

    play(server, scenario)


def open_with(server: NatsServer, stopped: bool = False, **changes: str) -> tuple[bool, bool]:
    """Whether a publisher was opened, and whether its subject is captured then."""
    result: list[bool] = []

    async def scenario(c: Connection) -> None:
        publisher, stop = FeedPublisher(c.client, SUBJECT, SystemClock()), asyncio.Event()
        if stopped:
            stop.set()
        asyncio.get_running_loop().call_later(3, stop.set)
        result.append(await open_feed(publisher, c.client, Settings.model_validate(changes), stop))
        result.append(publisher.captured)
        await publisher.close()

    play(server, scenario)
    opened, captured = result
    return opened, captured


def test_a_feed_is_opened_with_a_stream_that_captures_it(server: NatsServer) -> None:
    assert open_with(server) == (True, True)


def test_a_feed_over_core_is_opened_without_one(server: NatsServer) -> None:
    assert open_with(server, delivery="core") == (True, False)


def test_a_feed_is_not_opened_after_a_stop(server: NatsServer) -> None:
    assert open_with(server, stopped=True) == (False, False)


def test_a_feed_whose_server_cannot_do_what_is_demanded_waits_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with NatsServer(tmp_path, jetstream=False) as server:
        assert open_with(server, delivery="jetstream") == (False, False)
    assert [record.message for record in caplog.records].count("publisher_waiting") == 1

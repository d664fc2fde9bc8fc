"""Streams and consumers on a real server: created once, used as they are, refused with a sentence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, DeliverPolicy, DiscardPolicy, RetentionPolicy

from data_manager.system.connection import Connection
from data_manager.system.errors import FeedError
from data_manager.system.settings import Delivery, Settings
from data_manager.system.streams import (
    capturing_stream,
    ensure_consumer,
    ensure_feed,
    ensure_market,
    has_jetstream,
    resolve_delivery,
)
from tests.servers.nats import NatsServer, connected

SUBJECT = "binance.futures.websocket.data"
LIMITS: dict[str, Any] = {"ack_wait": 10, "max_ack_pending": 20_000}

Scenario = Callable[[Connection, Settings], Awaitable[None]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path) as server:
        yield server


def play(server: NatsServer, scenario: Scenario, **settings: object) -> None:
    async def run() -> None:
        chosen = Settings(nats_url=server.url, **settings)  # type: ignore[arg-type]
        async with connected(chosen) as c, asyncio.timeout(60):
            await scenario(c, chosen)

    asyncio.run(run())


def js_of(c: Connection) -> JetStreamContext:
    return c.client.jetstream()


def warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [vars(r)["fields"] for r in caplog.records if r.msg == "nats_limits_differ"]


# -- delivery -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jetstream", "setting", "resolved"),
    [
        (True, Delivery.AUTO, Delivery.JETSTREAM),
        (True, Delivery.JETSTREAM, Delivery.JETSTREAM),
        (True, Delivery.CORE, Delivery.CORE),
        (False, Delivery.AUTO, Delivery.CORE),
        (False, Delivery.CORE, Delivery.CORE),
    ],
)
def test_delivery_is_what_is_set_or_what_the_server_can_do(
    tmp_path: Path, jetstream: bool, setting: Delivery, resolved: Delivery
) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        assert await has_jetstream(c.client) is jetstream
        assert await resolve_delivery(c.client, settings) is resolved

    with NatsServer(tmp_path, jetstream=jetstream) as server:
        play(server, scenario, delivery=setting)


def test_demanded_jetstream_that_is_absent_is_a_sentence(tmp_path: Path) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        with pytest.raises(FeedError, match="DELIVERY=jetstream, but NATS has no JetStream"):
            await resolve_delivery(c.client, settings)

    with NatsServer(tmp_path, jetstream=False) as server:
        play(server, scenario, delivery=Delivery.JETSTREAM)


def test_an_account_without_jetstream_counts_as_without(tmp_path: Path) -> None:
    extra = "accounts { A { users: [ { user: a, password: b } ] } }"

    async def run(server: NatsServer) -> None:
        async with connected(Settings(nats_url=server.url.replace("nats://", "nats://a:b@"))) as c:
            assert not await has_jetstream(c.client)

    with NatsServer(tmp_path, extra=extra) as server:
        asyncio.run(run(server))


def test_no_answer_is_unknown_and_not_absent(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        server.freeze()
        try:
            with pytest.raises(FeedError, match="did not say within 1 s"):
                await resolve_delivery(c.client, settings)
        finally:
            server.thaw()

    play(server, scenario)


# -- FEED ---------------------------------------------------------------------------------------------------


def test_feed_is_created_with_the_limits_of_the_settings(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        feed = await ensure_feed(js_of(c), settings)
        info = await js_of(c).stream_info("px_feed")
        config = info.config
        assert config.subjects == [SUBJECT]
        assert config.retention == RetentionPolicy.LIMITS
        assert config.discard == DiscardPolicy.OLD
        assert (config.max_bytes, config.max_age, config.duplicate_window) == (10_000_000, 3600, 120)
        assert (feed.name, feed.exclusive, feed.last_seq) == ("px_feed", True, 0)
        assert info.created is not None
        assert abs(feed.incarnation / 1e9 - info.created.timestamp()) < 1e-5

    play(server, scenario, stream_prefix="px", feed_max_bytes=10_000_000, feed_max_age_s=3600)


def test_feed_tells_its_range_and_keeps_its_incarnation(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        first = await ensure_feed(js_of(c), settings)
        for _ in range(5):
            await js_of(c).publish(SUBJECT, b"x")
        await js_of(c).purge_stream(first.name, seq=3)
        again = await ensure_feed(js_of(c), settings)
        assert (again.first_seq, again.last_seq, again.incarnation) == (3, 5, first.incarnation)
        await js_of(c).delete_stream(first.name)
        assert (await ensure_feed(js_of(c), settings)).incarnation != first.incarnation

    play(server, scenario)


@pytest.mark.parametrize("age", [30.0, 86_400.0])
def test_feed_can_be_created_with_any_age(server: NatsServer, age: float) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        assert (await ensure_feed(js_of(c), settings)).exclusive

    play(server, scenario, feed_max_age_s=age)


def test_a_stream_of_the_users_that_captures_the_subject_is_used(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        await js_of(c).add_stream(name="theirs", subjects=["binance.>"])
        feed = await ensure_feed(js_of(c), settings)
        assert (feed.name, feed.exclusive) == ("theirs", False)
        assert [s.config.name for s in await js_of(c).streams_info()] == ["theirs"]

    play(server, scenario)


def test_other_limits_of_an_existing_stream_are_kept_and_said_once(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        await ensure_feed(js_of(c), settings)
        await ensure_feed(js_of(c), settings)
        assert not warnings(caplog)
        await ensure_feed(js_of(c), settings.model_copy(update={"feed_max_bytes": 5_000_000}))
        assert (await js_of(c).stream_info("data_manager_feed")).config.max_bytes == settings.feed_max_bytes

    caplog.set_level(logging.WARNING)
    play(server, scenario)
    (fields,) = warnings(caplog)
    assert fields == {"of": "data_manager_feed", "max_bytes": f"{2 * 2**30}, the settings say 5000000"}


def test_our_name_with_another_subject_is_a_sentence(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        await js_of(c).add_stream(name="data_manager_feed", subjects=["old.subject"])
        with pytest.raises(FeedError, match=r"captures \['old.subject'\].*set another STREAM_PREFIX"):
            await ensure_feed(js_of(c), settings)

    play(server, scenario)


def test_too_little_storage_is_a_sentence_with_the_way_out(tmp_path: Path) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        with pytest.raises(FeedError, match=r"refuses stream data_manager_feed.*lower FEED_MAX_BYTES"):
            await ensure_feed(js_of(c), settings)

    with NatsServer(tmp_path, max_store="10MB") as server:
        play(server, scenario)


def test_a_server_without_jetstream_is_a_sentence(tmp_path: Path) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        with pytest.raises(FeedError, match="JetStream is not there"):
            await ensure_feed(js_of(c), settings)

    with NatsServer(tmp_path, jetstream=False) as server:
        play(server, scenario)


def test_a_silent_server_is_a_sentence(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        server.freeze()
        try:
            with pytest.raises(FeedError, match="gave no answer about stream"):
                await ensure_feed(c.client.jetstream(timeout=0.2), settings)
        finally:
            server.thaw()

    play(server, scenario)


def test_many_replicas_may_create_at_the_same_time(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        js = js_of(c)
        feeds = await asyncio.gather(*(ensure_feed(js, settings) for _ in range(10)))
        assert len({feed.incarnation for feed in feeds}) == 1
        markets = await asyncio.gather(*(ensure_market(js, settings) for _ in range(10)))
        assert len(set(markets)) == 1
        starts = [None, 3] * 5  # two owners may know of different positions
        await asyncio.gather(
            *(ensure_consumer(js, "data_manager_feed", "router", start_after=s, **LIMITS) for s in starts)
        )

    play(server, scenario)


def test_a_subject_is_captured_by_name_by_wildcard_or_not(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        js = js_of(c)
        assert await capturing_stream(js, "a.b") is None
        await js.add_stream(name="wide", subjects=["a.*"])
        assert await capturing_stream(js, "a.b") == "wide"
        assert await capturing_stream(js, "b.b") is None

    play(server, scenario)


# -- MARKET and consumers -----------------------------------------------------------------------------------


def test_market_is_a_work_queue_that_refuses_per_subject(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        incarnation = await ensure_market(js_of(c), settings)
        config = (await js_of(c).stream_info("data_manager_market")).config
        assert config.subjects == ["data_manager.market.*"]
        assert config.retention == RetentionPolicy.WORK_QUEUE
        assert config.discard == DiscardPolicy.NEW
        assert config.discard_new_per_subject
        assert config.max_msgs_per_subject == 20_000
        assert await ensure_market(js_of(c), settings) == incarnation

    play(server, scenario)


def test_an_existing_market_of_the_same_limits_gives_no_warning(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        await ensure_market(js_of(c), settings)
        await ensure_market(js_of(c), settings)
        for _ in range(2):
            await ensure_consumer(js_of(c), "data_manager_market", "ingest", **LIMITS)

    caplog.set_level(logging.WARNING)
    play(server, scenario)
    assert not warnings(caplog)


def test_a_consumer_never_gives_up_and_never_expires(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        await ensure_market(js_of(c), settings)
        subject = settings.market_subject("BTCUSDT")
        await ensure_consumer(js_of(c), "data_manager_market", "btc", filter_subject=subject, **LIMITS)
        config = (await js_of(c).consumer_info("data_manager_market", "btc")).config
        assert config.ack_policy == AckPolicy.EXPLICIT
        assert config.deliver_policy == DeliverPolicy.ALL
        assert (config.max_deliver, config.ack_wait, config.max_ack_pending) == (-1, 10, 20_000)
        assert not config.inactive_threshold
        assert config.filter_subject == subject

    play(server, scenario)


def test_a_consumer_starts_after_a_given_sequence_only_when_it_is_new(server: NatsServer) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        feed = await ensure_feed(js_of(c), settings)
        for _ in range(9):
            await js_of(c).publish(SUBJECT, b"x")
        for start_after in (6, 2):
            await ensure_consumer(js_of(c), feed.name, "router", start_after=start_after, **LIMITS)
            assert (await js_of(c).consumer_info(feed.name, "router")).num_pending == 3

    play(server, scenario)


def test_other_limits_of_an_existing_consumer_are_kept_and_said(
    server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        feed = await ensure_feed(js_of(c), settings)
        await ensure_consumer(js_of(c), feed.name, "router", ack_wait=5, max_ack_pending=100)
        await ensure_consumer(js_of(c), feed.name, "router", ack_wait=5, max_ack_pending=200)
        assert (await js_of(c).consumer_info(feed.name, "router")).config.max_ack_pending == 100

    caplog.set_level(logging.WARNING)
    play(server, scenario)
    (fields,) = warnings(caplog)
    assert fields == {"of": "data_manager_feed/router", "max_ack_pending": "100, the settings say 200"}


@pytest.mark.parametrize("create_stream", [False, True])
def test_a_consumer_that_cannot_be_is_a_sentence(server: NatsServer, create_stream: bool) -> None:
    async def scenario(c: Connection, settings: Settings) -> None:
        if create_stream:  # a work queue gives each message to one consumer: filters must not overlap
            await ensure_market(js_of(c), settings)
            await ensure_consumer(js_of(c), "data_manager_market", "all", **LIMITS)
        with pytest.raises(FeedError, match=r"refuses consumer btc of stream data_manager_market.*error \d+"):
            await ensure_consumer(
                js_of(c), "data_manager_market", "btc", filter_subject="data_manager.market.BTCUSDT", **LIMITS
            )

    play(server, scenario)

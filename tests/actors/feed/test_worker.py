"""The feed between a simulated exchange's WebSocket and a real nats-server."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from nats.js.api import DiscardPolicy, StreamConfig

from data_manager.actors.exchange import streams as streaming
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.schedule import Schedule
from data_manager.actors.exchange.silence import ALL
from data_manager.actors.feed import subscription
from data_manager.actors.feed.envelope import NOT_A_FRAME
from data_manager.actors.feed.worker import FINISH_S, NATS_AWAY, REFUSED, TOO_LARGE
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.messages import Ping
from tests.actors.feed.feeding import (
    FAST,
    FEED,
    SYMBOLS,
    Feeding,
    agg_ids,
    decoded,
    feeding,
    missing,
    simulated,
    streams,
)
from tests.actors.feed.serving import served, socket_that
from tests.eventually import eventually
from tests.log_capture import logs_to
from tests.servers.nats import NatsServer, connected

PUBLIC = {"depth20@100ms": "depthUpdate", "bookTicker": "bookTicker"}
MARKET = {
    "aggTrade": "aggTrade",
    "kline_1m": "kline",
    "ticker": "24hrTicker",
    "markPrice@1s": "markPriceUpdate",
}


def test_every_stream_comes_in_the_envelope_with_the_bytes_that_the_exchange_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, _):
            await feed.heard(600)
            await feed.stop()
            messages = await feed.captured()
        frames = decoded(messages)
        assert all(
            list(frame) == ["stream", "data", "timestamp", "message_id", "source", "version"] for frame in frames
        )
        assert {frame["stream"]: frame["data"]["e"] for frame in frames} == {
            f"{symbol.lower()}@{name}": event for symbol in SYMBOLS for name, event in (PUBLIC | MARKET).items()
        }
        assert len({frame["message_id"] for frame in frames}) == len(frames)
        first, last = frames[0]["data"]["E"], frames[-1]["data"]["E"]
        schedule = Schedule(Market(7, FAST.trades_per_minute), SYMBOLS, FAST, set((PUBLIC | MARKET).values()))
        sent = {orjson.dumps(event) for event in schedule.due(first - 1000, last + 1000)}
        assert {message.partition(b',"data":')[2].rpartition(b',"timestamp"')[0] for message in messages} <= sent

    asyncio.run(scenario())


def test_each_class_has_a_socket_of_its_own_and_its_own_count(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, exchange):
            assert exchange.streams.connections == 2
            await feed.heard(200)
            await feed.stop()
            assert exchange.streams.connections == 0
            by_type = Counter(message["data"]["e"] for message in decoded(await feed.captured()))
        assert feed.counted("messages") == {
            "public": sum(by_type[event] for event in PUBLIC.values()),
            "market": sum(by_type[event] for event in MARKET.values()),
        }

    asyncio.run(scenario())


def test_a_stop_leaves_nothing_heard_unpublished(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, _):
            await feed.heard(300)
            await feed.stop()
            assert len(await feed.captured()) == feed.count("messages")
            assert feed.count("dropped") == 0
            assert feed.worker.status().lag == 0

    asyncio.run(scenario())


# -- connections --------------------------------------------------------------------------------------------


def test_after_a_break_it_is_back_with_new_events(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, exchange):
            await feed.heard(100)
            exchange.streams.disconnect()
            await feed.becomes("waiting", "exchange")
            await feed.becomes("running")
            assert exchange.streams.connections == 2
            assert feed.count("reconnects") == 2
            await feed.heard(100)
            await feed.stop()
            assert len(await feed.captured()) == feed.count("messages")

    asyncio.run(scenario())


def test_a_planned_reconnect_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "OVERLAP_S", 0.3)

    async def scenario() -> None:
        most = 0
        async with feeding(tmp_path, conf=streams(reconnect_hours=0.5 / 3600)) as (feed, exchange):
            while feed.count("reconnects") < 8:
                most = max(most, exchange.streams.connections)
                assert feed.worker.status().state == "running"
                await asyncio.sleep(0.02)
            await feed.stop()
            messages = await feed.captured()
        assert most in (3, 4)  # the old ones and the new ones at the same time
        for symbol in SYMBOLS:
            ids = agg_ids(messages, symbol)
            assert len(ids) > 100
            assert missing(ids) == 0

    asyncio.run(scenario())


def test_a_socket_that_brings_nothing_is_left_for_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path, conf=streams(silence_seconds=1.2)) as (feed, exchange):
            exchange.silences.begin(ALL, now_ms(SystemClock()))
            await feed.becomes("waiting", "exchange")
            exchange.silences.end(now_ms(SystemClock()))
            await feed.becomes("running")
            assert feed.count("reconnects") >= 1  # the other class may have come back in time

    asyncio.run(scenario())


def test_pings_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PING_S", 1.0)  # who does not answer in half of it is cut off

    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, exchange):
            await feed.heard(600)
            assert feed.count("reconnects") == 0
            assert exchange.streams.connections == 2

    asyncio.run(scenario())


def test_it_waits_for_the_exchange_and_says_why_once(tmp_path: Path) -> None:
    async def scenario(nats: NatsServer) -> None:
        async with simulated() as before:
            port, url = before.port, before.ws_url
        log = io.StringIO()
        with logs_to(log):
            async with Feeding(url, nats, tmp_path) as feed:
                await feed.becomes("waiting", "exchange")
                await asyncio.sleep(1.5)  # several tries
                async with simulated(port=port):
                    await feed.becomes("running")
                    await feed.heard(50)
                    await feed.stop()
        said = Counter(
            (line["event"], line.get("stream_class")) for line in map(orjson.loads, log.getvalue().splitlines())
        )
        assert said["feed_waiting", "public"] == said["feed_waiting", "market"] == 1
        assert said["feed_connected", "public"] == said["feed_connected", "market"] == 1
        assert feed.count("reconnects") == 0

    with NatsServer(tmp_path) as nats:
        asyncio.run(scenario(nats))


def test_what_is_no_event_is_counted_told_once_and_not_published(tmp_path: Path) -> None:
    async def act(socket: web.WebSocketResponse, _: web.Request) -> None:
        for text in ('{"result":null,"id":1}', "[]", '{"stream":"btcusdt@ticker","data":{"e":"24hrTicker"}}'):
            await socket.send_str(text)
        await socket.receive(timeout=10)

    async def scenario(nats: NatsServer) -> None:
        log = io.StringIO()
        with logs_to(log):
            async with served(socket_that(act)) as url, Feeding(url, nats, tmp_path) as feed:
                await feed.heard(2)  # one a class
                await feed.stop()
                assert len(await feed.captured()) == 2
        assert feed.counted("dropped") == {NOT_A_FRAME: 4}
        assert log.getvalue().count("feed_not_understood") == 1

    with NatsServer(tmp_path) as nats:
        asyncio.run(scenario(nats))


# -- NATS ---------------------------------------------------------------------------------------------------


def test_a_short_outage_of_nats_costs_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, _):
            await feed.heard(100)
            feed.nats.kill()
            await feed.becomes("waiting", "nats")
            await feed.heard(200)
            feed.nats.start()
            await feed.becomes("running")
            await feed.heard(100)
            await feed.stop()
            messages = await feed.captured()
        assert feed.count("dropped") == 0
        assert len(messages) == feed.count("messages")
        assert missing(agg_ids(messages)) == 0

    asyncio.run(scenario())


def test_what_has_no_room_while_nats_is_away_is_dropped_and_counted(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = io.StringIO()
        with logs_to(log):
            async with feeding(tmp_path, buffer_bytes=40_000) as (feed, _):
                feed.nats.kill()
                await feed.becomes("waiting", "nats")
                await eventually(lambda: feed.count("dropped") > 100)
                feed.nats.start()
                await feed.becomes("running")
                await eventually(lambda: "feed_taken_again" in log.getvalue())
                await feed.heard(100)
                await feed.stop()
                messages = await feed.captured()
        assert set(feed.counted("dropped")) == {NATS_AWAY}
        assert len(messages) + feed.count("dropped") == feed.count("messages")
        assert missing(agg_ids(messages)) > 10
        said: dict[str, list[dict[str, Any]]] = {}
        for line in map(orjson.loads, log.getvalue().splitlines()):
            said.setdefault(line["event"], []).append(line)
        assert len(said["feed_dropping"]) == 1
        assert [line["dropped"] for line in said["feed_taken_again"]] == [feed.count("dropped")]

    asyncio.run(scenario())


def test_without_jetstream_subscribers_hear_all_that_came(tmp_path: Path) -> None:
    async def scenario(nats: NatsServer) -> None:
        heard: list[bytes] = []

        async def hear(message: Any) -> None:
            heard.append(message.data)

        async with simulated() as exchange:
            feed = Feeding(exchange.ws_url, nats, tmp_path)
            async with connected(feed.settings) as listener:
                await listener.client.subscribe(feed.settings.nats_consumer_subject, cb=hear)
                await listener.client.flush()
                async with feed:
                    await feed.becomes("running")
                    await feed.heard(200)
                    await feed.stop()
                await eventually(lambda: len(heard) >= feed.count("messages"))
        assert len(heard) == feed.count("messages")
        assert missing(agg_ids(heard)) == 0

    with NatsServer(tmp_path, jetstream=False) as nats:
        asyncio.run(scenario(nats))


def test_what_nats_cannot_take_for_its_size_is_dropped_alone(tmp_path: Path) -> None:
    async def scenario(nats: NatsServer) -> None:
        async with simulated() as exchange, Feeding(exchange.ws_url, nats, tmp_path) as feed:
            await feed.becomes("running")
            await feed.heard(200)
            await feed.stop()
            kept = Counter(message["data"]["e"] for message in decoded(await feed.captured()))
        assert kept["depthUpdate"] == 0  # the only one of more than 1 KiB
        assert kept["bookTicker"] > 0
        assert feed.counted("dropped") == {TOO_LARGE: feed.count("messages") - kept.total()}

    with NatsServer(tmp_path, extra="max_payload: 1024") as nats:
        asyncio.run(scenario(nats))


def test_what_a_stream_of_the_user_s_has_no_room_for_is_counted(tmp_path: Path) -> None:
    async def scenario(nats: NatsServer) -> None:
        async with simulated() as exchange:
            feed = Feeding(exchange.ws_url, nats, tmp_path)
            small = StreamConfig(
                name=FEED,
                subjects=[feed.settings.nats_consumer_subject],
                max_msgs_per_subject=50,
                discard=DiscardPolicy.NEW,
                discard_new_per_subject=True,
            )
            async with connected(feed.settings) as user:
                await user.client.jetstream().add_stream(small)
            async with feed:
                await feed.becomes("running")
                await feed.heard(200)
                await feed.stop()
                assert len(await feed.captured()) == 50
        assert feed.counted("dropped") == {REFUSED: feed.count("messages") - 50}

    with NatsServer(tmp_path) as nats:
        asyncio.run(scenario(nats))


def test_it_waits_for_nats_and_stops_at_once_meanwhile(tmp_path: Path) -> None:
    async def scenario(nats: NatsServer) -> None:
        async with simulated() as exchange:
            async with Feeding(exchange.ws_url, nats, tmp_path) as feed:
                await feed.becomes("waiting", "nats")
                assert exchange.streams.connections == 0
                await asyncio.wait_for(feed.stop(), 2)
            async with Feeding(exchange.ws_url, nats, tmp_path) as feed:
                await feed.becomes("waiting", "nats")
                nats.start()
                await feed.becomes("running")
                await feed.heard(50)

    with NatsServer(tmp_path) as nats:
        nats.stop()
        asyncio.run(scenario(nats))


def test_a_server_that_cannot_do_what_is_demanded_is_waited_for_and_the_exchange_not_bothered(tmp_path: Path) -> None:
    async def scenario(nats: NatsServer) -> None:
        log = io.StringIO()
        with logs_to(log):
            async with simulated() as exchange, Feeding(exchange.ws_url, nats, tmp_path, delivery="jetstream") as feed:
                await eventually(lambda: "publisher_waiting" in log.getvalue())
                await asyncio.sleep(1.2)  # two more tries
                assert (feed.worker.status().state, feed.worker.status().detail) == ("waiting", "nats")
                assert exchange.streams.connections == 0
        assert log.getvalue().count("publisher_waiting") == 1

    with NatsServer(tmp_path, jetstream=False) as nats:
        asyncio.run(scenario(nats))


def test_a_symbol_s_name_may_have_letters_of_any_script(tmp_path: Path) -> None:
    async def scenario(nats: NatsServer) -> None:
        names = ("币安人生USDT",)
        async with (
            simulated(symbols=names) as exchange,
            Feeding(exchange.ws_url, nats, tmp_path, supported_pairs=names) as feed,
        ):
            await feed.becomes("running")
            await feed.heard(50)
            await feed.stop()
            assert {message["data"]["s"] for message in decoded(await feed.captured())} == set(names)

    with NatsServer(tmp_path) as nats:
        asyncio.run(scenario(nats))


def test_it_stops_within_its_time_while_nats_is_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, _):
            feed.nats.kill()
            await feed.becomes("waiting", "nats")
            await feed.heard(100)
            await asyncio.wait_for(feed.stop(), 3 * FINISH_S)

    asyncio.run(scenario())


def test_nobody_writes_to_it_and_it_is_never_busy(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as nats:
        feed = Feeding("ws://127.0.0.1:1", nats, tmp_path)
    assert feed.worker.busy_since() is None
    with pytest.raises(TypeError, match="feed does not understand Ping"):
        feed.worker.receive(Ping(1))


def test_the_streams_of_a_symbol_that_is_added_come_and_those_of_a_retired_one_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path, supported_pairs=SYMBOLS[:1]) as (feed, exchange):
            await feed.heard(100)
            feed.symbols.become(SYMBOLS)
            await eventually(lambda: exchange.streams.connections == 2)
            await feed.becomes("running")
            await feed.heard(300)
            feed.symbols.become(SYMBOLS[1:])
            await feed.becomes("running")
            await feed.heard(300)
            await feed.stop()
            assert exchange.streams.connections == 0
            messages = await feed.captured()
        first, second = (agg_ids(messages, symbol) for symbol in SYMBOLS)
        assert missing(first) == missing(second) == 0
        assert max(first) < max(second)  # ids go by time, and are the same for all

    asyncio.run(scenario())


def test_a_connection_that_a_change_does_not_concern_stays(tmp_path: Path) -> None:
    async def scenario() -> None:
        per_symbol = len(streams().market.names)
        async with feeding(tmp_path, conf=streams(max_names=per_symbol), supported_pairs=SYMBOLS[:1]) as (
            feed,
            exchange,
        ):
            before = exchange.streams.connections
            feed.symbols.become(SYMBOLS)
            await eventually(lambda: exchange.streams.connections > before)
            await feed.becomes("running")
            await feed.heard(100)
            asked = [
                line["streams"]
                for line in map(orjson.loads, log.getvalue().splitlines())
                if line["event"] == "feed_connected"
            ]
        assert asked.count(per_symbol) == 2  # one for each symbol, and never again

    with logs_to(log := io.StringIO()):
        asyncio.run(scenario())


def test_without_any_symbol_it_runs_and_waits_for_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as (feed, exchange):
            await feed.heard(50)
            feed.symbols.become(())
            await eventually(lambda: exchange.streams.connections == 0)
            await feed.becomes("running")
            feed.symbols.become(SYMBOLS)
            await feed.heard(50)

    asyncio.run(scenario())

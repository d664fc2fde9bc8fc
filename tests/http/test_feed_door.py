from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from data_manager.http import feed_door
from data_manager.http.feed_door import MAX_WAITING, FeedDoor, Republished
from data_manager.system.clock import SystemClock
from data_manager.system.errors import DataError, FeedError
from data_manager.system.settings import Delivery, Settings
from data_manager.system.streams import ensure_feed
from tests.eventually import eventually
from tests.servers.nats import NatsServer, connected


@asynccontextmanager
async def door_to(settings: Settings) -> AsyncIterator[FeedDoor]:
    door = FeedDoor(settings, SystemClock(), random.Random(1))
    try:
        yield door
    finally:
        await door.close()


@asynccontextmanager
async def feed(settings: Settings) -> AsyncIterator[object]:
    async with connected(settings) as connection:
        await ensure_feed(connection.client.jetstream(), settings)
        yield connection.client.jetstream()


def open_clients(server: NatsServer) -> int:
    """How many connections the server's process holds, by the kernel's own word."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{server.port:04X}") and line.split()[3] == "01" for line in lines)


def test_a_message_is_in_the_stream_when_it_is_answered_and_once_for_each_id(tmp_path: Path) -> None:
    async def run() -> None:
        with NatsServer(tmp_path) as server:
            settings = Settings(nats_url=server.url)
            async with feed(settings) as js, door_to(settings) as door:
                first = await door.publish(b"one", "a")
                assert first == Republished(Delivery.JETSTREAM, settings.feed_stream, 1)
                assert (await door.publish(b"one", "a")).sequence == 1  # the answer to the first was lost, perhaps
                assert (await door.publish(b"one", "测试USDT-5-1:b")).sequence == 2
                stored = await js.get_msg(settings.feed_stream, 2)  # type: ignore[attr-defined]
                assert stored.data == b"one"

    asyncio.run(run())


def test_without_a_stream_nothing_is_published_and_nothing_claimed(tmp_path: Path) -> None:
    async def run() -> None:
        with NatsServer(tmp_path) as server:
            async with door_to(Settings(nats_url=server.url)) as door:
                with pytest.raises(FeedError, match="no stream"):
                    await door.publish(b"one", "a")

    asyncio.run(run())


def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    async def run() -> None:
        with NatsServer(tmp_path) as server:
            settings = Settings(nats_url=server.url, nats_connect_timeout=0.5)
            async with feed(settings):
                pass
            async with door_to(settings) as door:
                await door.publish(b"one", "a")
                server.kill()
                await eventually(lambda: not door._connection or not door._connection.connected)
                with pytest.raises(FeedError, match="could not be reached"):
                    await door.publish(b"two", "b")
                server.start()
                assert (await door.publish(b"two", "b")).sequence == 2

    asyncio.run(run())


def test_over_core_it_is_sent_to_whoever_listens(tmp_path: Path) -> None:
    async def run() -> None:
        with NatsServer(tmp_path, jetstream=False) as server:
            settings = Settings(nats_url=server.url)
            async with connected(settings) as connection, door_to(settings) as door:
                heard = await connection.client.subscribe(settings.nats_consumer_subject)
                await connection.client.flush()
                assert await door.publish(b"one", "a") == Republished(Delivery.CORE, None, None)
                assert (await heard.next_msg(2)).data == b"one"

    asyncio.run(run())


def test_what_the_server_never_takes_is_refused_for_good(tmp_path: Path) -> None:
    async def run() -> None:
        with NatsServer(tmp_path) as server:
            settings = Settings(nats_url=server.url)
            async with feed(settings), door_to(settings) as door:
                with pytest.raises(DataError, match="NATS takes 8388608 in a message"):
                    await door.publish(bytes(8 * 2**20 + 1), "a")

    asyncio.run(run())


def test_no_more_than_so_many_wait_and_all_of_those_are_published(tmp_path: Path) -> None:
    async def run() -> None:
        with NatsServer(tmp_path) as server:
            settings = Settings(nats_url=server.url)
            async with feed(settings), door_to(settings) as door:
                asked = [door.publish(b"x", str(number)) for number in range(MAX_WAITING + 3)]
                answers = await asyncio.gather(*asked, return_exceptions=True)
                published = [each for each in answers if isinstance(each, Republished)]
                assert [each.sequence for each in published] == list(range(1, MAX_WAITING + 1))
                assert sum(isinstance(each, FeedError) for each in answers) == 3

    asyncio.run(run())


def test_the_connection_ends_when_nobody_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        with NatsServer(tmp_path) as server:
            settings = Settings(nats_url=server.url)
            async with feed(settings):
                pass
            async with door_to(settings) as door:
                assert open_clients(server) == 0
                await door.publish(b"one", "a")
                assert open_clients(server) == 1
                monkeypatch.setattr(feed_door, "IDLE_S", 0.01)
                await door.publish(b"two", "b")
                await eventually(lambda: open_clients(server) == 0)
                assert (await door.publish(b"three", "c")).sequence == 3

    asyncio.run(run())

"""How a connection to the exchange ends, and that its end has a reason."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from data_manager.actors.feed import connection as module
from data_manager.actors.feed.connection import BAN_CAP_S, Connection
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.errors import ExchangeClosed, ExchangeUnavailable
from tests.actors.feed.serving import Handler, served, socket_that


def ended(handler: Handler, silence_s: float = 10.0) -> tuple[list[bytes], Exception]:
    """What a connection heard, and why it ended."""

    async def run() -> tuple[list[bytes], Exception]:
        heard: list[bytes] = []
        async with served(handler) as url, aiohttp.ClientSession() as session, asyncio.timeout(20):
            connection = Connection(session, url, silence_s, heard.append, SystemClock())
            assert await connection.works() is bool(heard)
            assert not await connection.lasts(15)
            assert connection.done
            assert not connection.alive
            return heard, connection.reason()

    return asyncio.run(run())


def test_frames_are_heard_in_order_until_the_exchange_says_goodbye() -> None:
    async def act(socket: web.WebSocketResponse, _: web.Request) -> None:
        for text in ("one", "two", "three €"):
            await socket.send_str(text)
        await socket.close(code=1001)

    heard, reason = ended(socket_that(act))
    assert heard == [b"one", b"two", "three €".encode()]
    assert isinstance(reason, ExchangeUnavailable)
    assert str(reason) == "the exchange closed the connection (code 1001)"


def test_a_cut_is_an_end() -> None:
    async def act(socket: web.WebSocketResponse, request: web.Request) -> None:
        await socket.send_str("one")
        await asyncio.sleep(0.1)
        assert request.transport is not None
        request.transport.abort()

    heard, reason = ended(socket_that(act))
    assert heard == [b"one"]
    assert "code 1006" in str(reason)


def test_silence_is_an_end_although_the_socket_is_open() -> None:
    async def act(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("one")
        await socket.receive(timeout=10)

    heard, reason = ended(socket_that(act), silence_s=0.2)
    assert heard == [b"one"]
    assert str(reason) == "the connection brought nothing for 0.2 s"


def test_a_connection_that_never_brings_anything_does_not_work() -> None:
    async def act(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.receive(timeout=10)

    assert ended(socket_that(act), silence_s=0.2)[0] == []


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (b"\x82\x01x", "a frame that is no text"),
        (b"\xff\x01x", "broke the protocol"),
        (b"\x81\x7f" + (2**21).to_bytes(8) + b"x", "broke the protocol"),  # two MiB are announced
    ],
)
def test_what_is_no_frame_of_a_stream_is_an_end(frame: bytes, sentence: str) -> None:
    async def act(socket: web.WebSocketResponse, request: web.Request) -> None:
        assert request.transport is not None
        request.transport.write(frame)  # type: ignore[attr-defined]
        await socket.receive(timeout=10)

    heard, reason = ended(socket_that(act))
    assert heard == []
    assert sentence in str(reason)


@pytest.mark.parametrize("status", [200, 400, 403, 429, 451, 503])
def test_a_refusal_is_told_with_its_status(status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    _, reason = ended(refuse)
    assert isinstance(reason, ExchangeUnavailable)
    assert str(reason) == f"the exchange refused the connection with status {status}"


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize(("after", "seconds"), [("120", 120), (str(10**9), BAN_CAP_S)])
def test_a_ban_is_kept_for_as_long_as_the_exchange_says_within_reason(status: int, after: str, seconds: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": after})

    before = now_ms(SystemClock())
    _, reason = ended(refuse)
    assert isinstance(reason, ExchangeClosed)
    assert before + seconds * 1000 <= reason.until_ms <= now_ms(SystemClock()) + seconds * 1000


def test_nobody_there_is_a_reason() -> None:
    async def run() -> Exception:
        async with aiohttp.ClientSession() as session:
            connection = Connection(session, "ws://127.0.0.1:1/stream", 1, lambda text: None, SystemClock())
            assert not await connection.works()
            return connection.reason()

    assert "127.0.0.1" in str(asyncio.run(run()))


def test_a_handshake_that_is_not_answered_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_S", 0.2)
    done = asyncio.Event()

    async def think(_: web.Request) -> web.Response:
        await done.wait()
        return web.Response()

    _, reason = ended(think)
    assert str(reason) == "the exchange did not answer within 0.2 s"


def test_a_fault_of_ours_is_not_taken_for_one_of_the_exchange_s() -> None:
    async def act(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("one")
        await socket.receive(timeout=10)

    def hear(text: bytes) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with served(socket_that(act)) as url, aiohttp.ClientSession() as session:
            connection = Connection(session, url, 10, hear, SystemClock())
            await connection.works()
            assert not await connection.lasts(5)
            with pytest.raises(ZeroDivisionError):
                connection.reason()

    asyncio.run(run())


def test_a_close_says_goodbye() -> None:
    goodbye: list[int | None] = []

    async def act(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("one")
        await socket.receive(timeout=10)
        goodbye.append(socket.close_code)

    async def run() -> None:
        async with served(socket_that(act)) as url, aiohttp.ClientSession() as session:
            connection = Connection(session, url, 10, lambda text: None, SystemClock())
            assert await connection.works()
            assert connection.alive
            await connection.close()
            assert connection.done
            async with asyncio.timeout(5):
                while not goodbye:
                    await asyncio.sleep(0.01)

    asyncio.run(run())
    assert goodbye == [1000]

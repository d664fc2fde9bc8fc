"""The WebSocket side: the feed's events in frames with the exchange's own names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from data_manager.actors.exchange import streams
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.schedule import Cadence, Schedule
from data_manager.actors.exchange.server import SimulatedExchange
from data_manager.actors.exchange.subscriptions import MAX_STREAMS
from data_manager.system.clock import SystemClock
from tests.eventually import eventually

FAST = Cadence(trades_per_minute=6000, book_ms=100, statistics_ms=1000)
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def streaming(scenario: Callable[[SimulatedExchange, aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def run() -> None:
        market = Market(7, FAST.trades_per_minute)
        exchange = SimulatedExchange(market, SystemClock(), SYMBOLS, cadence=FAST)
        async with exchange, aiohttp.ClientSession() as session:
            await scenario(exchange, session)

    asyncio.run(run())


async def heard(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    return [orjson.loads(await socket.receive_str(timeout=10)) for _ in range(count)]


def test_frames_are_the_schedule_s_events_under_their_names() -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        names = "btcusdt@aggTrade/ethusdt@aggTrade/btcusdt@markPrice@1s/btcusdt@kline_1m"
        async with session.ws_connect(f"{exchange.ws_url}/market/stream?streams={names}") as socket:
            frames = await heard(socket, 200)
        assert all(list(frame) == ["stream", "data"] for frame in frames)
        assert {frame["stream"] for frame in frames} == set(names.split("/"))
        events = [frame["data"] for frame in frames]
        first, last = events[0]["E"], events[-1]["E"]
        schedule = Schedule(Market(7, FAST.trades_per_minute), SYMBOLS, FAST, {"aggTrade", "markPriceUpdate", "kline"})
        due = [event for event in schedule.due(first, last + 1) if streams.stream_name(event) in names.split("/")]
        assert [event for event in events if first < event["E"] < last] == [
            event
            for event in due
            if first < event["E"] < last  # type: ignore[operator]
        ]

    streaming(scenario)


def test_books_come_on_their_own_path() -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        path = f"{exchange.ws_url}/public/stream?streams=btcusdt@depth20@100ms/ethusdt@bookTicker"
        async with session.ws_connect(path) as socket:
            frames = await heard(socket, 10)
        assert {(frame["data"]["e"], frame["data"]["s"]) for frame in frames} == {
            ("depthUpdate", "BTCUSDT"),
            ("bookTicker", "ETHUSDT"),
        }

    streaming(scenario)


@pytest.mark.parametrize(
    "path",
    [
        "/market/stream?streams=btcusdt@aggTrade/btcusdt@bookTicker",
        "/public/stream?streams=btcusdt@aggTrade",
        "/public/stream?streams=btcusdt@forceOrder",  # although nobody sends any
        "/market/stream?streams=btcusdt@depth@100ms",
        "/market/stream?streams=" + "/".join(f"btcusdt@kline_{n}m" for n in range(MAX_STREAMS + 1)),
    ],
)
def test_what_cannot_be_streamed_here_is_refused(path: str) -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(exchange.ws_url + path)
        assert refused.value.status == 400

    streaming(scenario)


def test_a_client_may_ask_for_streams_and_leave_them_while_it_is_connected() -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{exchange.ws_url}/market/stream") as socket:

            async def ask(method: str, *params: str) -> tuple[Any, set[str]]:
                """The answer, and the streams of the frames before it."""
                await socket.send_json({"method": method, "params": params, "id": 7})
                before: set[str] = set()
                while "id" not in (frame := (await heard(socket, 1))[0]):
                    before.add(frame["stream"])
                assert frame["id"] == 7
                return frame.get("result", frame.get("error")), before

            assert await ask("SUBSCRIBE", "btcusdt@aggTrade") == (None, set())
            assert {frame["stream"] for frame in await heard(socket, 20)} == {"btcusdt@aggTrade"}
            assert (await ask("SUBSCRIBE", "btcusdt@bookTicker"))[0]["msg"].endswith("served by /public/stream.")
            await ask("SUBSCRIBE", "ethusdt@markPrice@1s")
            await ask("UNSUBSCRIBE", "btcusdt@aggTrade")
            await heard(socket, 1)
            result, _ = await ask("LIST_SUBSCRIPTIONS")
            assert result == ["ethusdt@markPrice@1s"]
            assert {frame["stream"] for frame in await heard(socket, 2)} == {"ethusdt@markPrice@1s"}

    streaming(scenario)


def test_the_paths_without_a_class_are_retired() -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        for path in ("/stream?streams=btcusdt@aggTrade", "/ws/btcusdt@aggTrade"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(exchange.ws_url + path)
            assert refused.value.status == 404

    streaming(scenario)


def test_a_stream_that_nobody_knows_stays_silent() -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        path = f"{exchange.ws_url}/market/stream?streams=btcusdt@nothing/nopeusdt@aggTrade/ethusdt@aggTrade"
        async with session.ws_connect(path) as socket:
            assert {frame["stream"] for frame in await heard(socket, 20)} == {"ethusdt@aggTrade"}

    streaming(scenario)


def test_it_answers_pings_and_pings_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.2)

    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        path = f"{exchange.ws_url}/market/stream?streams=btcusdt@nothing"
        async with session.ws_connect(path, autoping=False) as socket:
            await socket.ping(b"are you there")
            answers = [await socket.receive(timeout=10), await socket.receive(timeout=10)]
            assert {answer.type for answer in answers} == {aiohttp.WSMsgType.PONG, aiohttp.WSMsgType.PING}
            assert b"are you there" in {bytes(answer.data) for answer in answers}
            while (answer := await socket.receive(timeout=10)).type is aiohttp.WSMsgType.PING:
                pass  # never answered
            assert answer.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    streaming(scenario)


def test_a_disconnect_on_demand_cuts_everybody_who_may_come_again() -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        path = f"{exchange.ws_url}/market/stream?streams=btcusdt@aggTrade"
        async with session.ws_connect(path) as socket:
            await heard(socket, 1)
            await session.post(f"{exchange.url}/faults", json={"kind": "disconnect"})
            while (message := await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSED, 1006)
        await eventually(lambda: exchange.streams.connections == 0)
        async with session.ws_connect(path) as socket:
            assert await heard(socket, 1)

    streaming(scenario)


def test_a_silence_is_a_gap_in_the_ids_of_its_symbol_alone() -> None:
    async def scenario(exchange: SimulatedExchange, session: aiohttp.ClientSession) -> None:
        path = f"{exchange.ws_url}/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade"
        async with session.ws_connect(path) as socket:
            frames = await heard(socket, 50)
            await session.post(f"{exchange.url}/faults", json={"kind": "silence", "symbol": "BTCUSDT"})
            await asyncio.sleep(0.5)
            await session.delete(f"{exchange.url}/faults")
            frames += await heard(socket, 200)

        def missing(symbol: str) -> int:
            ids = [frame["data"]["a"] for frame in frames if frame["data"]["s"] == symbol]
            return int(ids[-1] - ids[0] + 1 - len(ids))

        assert missing("ETHUSDT") == 0
        assert missing("BTCUSDT") > 10

    streaming(scenario)


def test_who_is_connected_at_the_end_is_told_goodbye() -> None:
    async def scenario() -> None:
        async with aiohttp.ClientSession() as session:
            async with SimulatedExchange(Market(7, 96), SystemClock(), SYMBOLS) as exchange:
                socket = await session.ws_connect(f"{exchange.ws_url}/market/stream?streams=btcusdt@nothing")
                leaving = asyncio.create_task(socket.receive(timeout=10))
            assert (await leaving).type is aiohttp.WSMsgType.CLOSE
            await socket.close()

    asyncio.run(scenario())

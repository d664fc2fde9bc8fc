"""The WebSocket side: combined streams of the events that the feed publishes, with the exchange's own names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from contextlib import suppress

import orjson
from aiohttp import WSMsgType, web

from data_manager.actors.exchange import wire
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.schedule import Cadence, Schedule
from data_manager.actors.exchange.silence import Silences
from data_manager.actors.exchange.subscriptions import MARKET, PUBLIC, Subscriptions
from data_manager.system.clock import Clock, now_ms

TICK_S = 0.05
MAX_BEHIND_MS = 2000  # what a slow client has not taken for longer is not sent any more
MAX_CONNECTIONS = 64
PING_S = 180.0
CLOSE_S = 1.0  # for a client to answer a goodbye

NAMES = {**wire.STREAMS, "kline": "kline_1m"}  # event type `e` -> what follows the symbol in the stream's name

_TYPES = {name: event_type for event_type, name in NAMES.items()}


class Streams:
    """Combined streams, `PATH?streams=btcusdt@aggTrade/...` or asked for in frames; each path serves its own class."""

    def __init__(
        self, market: Market, symbols: Sequence[str], cadence: Cadence, silences: Silences, clock: Clock
    ) -> None:
        self._market = market
        self._symbols = symbols
        self._cadence = cadence
        self._silences = silences
        self._clock = clock
        self._open: dict[web.WebSocketResponse, web.Request] = {}

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [web.get(path, self._serve) for path in (PUBLIC, MARKET)]

    def disconnect(self) -> None:
        """Cut every connection, without a goodbye."""
        for request in self._open.values():
            if request.transport is not None:
                request.transport.abort()

    async def close(self, _: web.Application) -> None:
        """Say goodbye to everybody."""
        await asyncio.gather(*(socket.close() for socket in self._open))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        names = Subscriptions(request.path)
        if problem := self._full() or names.add(filter(None, request.query.get("streams", "").split("/"))):
            return web.json_response({"code": -1, "msg": problem}, status=400)
        socket = web.WebSocketResponse(heartbeat=PING_S, timeout=CLOSE_S)
        self._open[socket] = request
        try:
            await socket.prepare(request)
            sending = asyncio.create_task(self._send(socket, names))
            try:
                async for message in socket:  # answers pings, and ends when the client goes
                    if message.type is WSMsgType.TEXT:
                        await socket.send_str(names.obey(message.data.encode()).decode())
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending
        finally:
            del self._open[socket]
        return socket

    def _full(self) -> str | None:
        full = len(self._open) >= MAX_CONNECTIONS
        return f"{MAX_CONNECTIONS} connections are open already." if full else None

    async def _send(self, socket: web.WebSocketResponse, carried: Subscriptions) -> None:
        """Send what is due until the client has gone."""
        names, schedule = carried.names, self._schedule_of(carried.names)
        start = now_ms(self._clock)
        try:
            while not socket.closed:
                if names != carried.names:
                    names, schedule = carried.names, self._schedule_of(carried.names)
                end = max(start, now_ms(self._clock))
                start = end if end - start > MAX_BEHIND_MS else start
                for event in schedule.due(start, end):
                    if (name := stream_name(event)) in names:
                        await socket.send_str(orjson.dumps({"stream": name, "data": event}).decode())
                start = end
                await asyncio.sleep(TICK_S)
        except ConnectionResetError:
            pass  # it went without a goodbye

    def _schedule_of(self, names: Set[str]) -> Schedule:
        """The events of these streams, and of some others of their symbols and types."""
        parts = [name.partition("@") for name in names]
        wanted = {part[0] for part in parts}
        symbols = [symbol for symbol in self._symbols if symbol.lower() in wanted]
        types = {_TYPES[part[2]] for part in parts if part[2] in _TYPES}
        return Schedule(self._market, symbols, self._cadence, types, self._silences)


def stream_name(event: wire.Event) -> str:
    """The combined stream's name of an event."""
    return f"{str(event['s']).lower()}@{NAMES[str(event['e'])]}"

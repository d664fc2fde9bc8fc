"""The WebSocket side: combined streams of the events that the feed publishes, with the exchange's own names."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from contextlib import suppress

import orjson
from aiohttp import web

from data_manager.actors.exchange import wire
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.schedule import Cadence, Schedule
from data_manager.actors.exchange.silence import Silences
from data_manager.system.clock import Clock, now_ms

TICK_S = 0.05
MAX_BEHIND_MS = 2000  # what a slow client has not taken for longer is not sent any more
MAX_STREAMS = 200  # of a connection
MAX_CONNECTIONS = 64
PING_S = 180.0
CLOSE_S = 1.0  # for a client to answer a goodbye

NAMES = {**wire.STREAMS, "kline": "kline_1m"}  # event type `e` -> what follows the symbol in the stream's name
PUBLIC = frozenset({"depthUpdate", "bookTicker"})
# Libraries disagree on where the undocumented `trade` belongs; here it is market data like aggTrade.
MARKET = frozenset(NAMES) - PUBLIC
PATHS = {"/public/stream": PUBLIC, "/market/stream": MARKET}

_TYPES = {name: event_type for event_type, name in NAMES.items()}


class Streams:
    """`PATH?streams=btcusdt@aggTrade/...` on each of PATHS; a stream that belongs to the other path is refused."""

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
        return [web.get(path, self._serve) for path in PATHS]

    def disconnect(self) -> None:
        """Cut every connection, without a goodbye."""
        for request in self._open.values():
            if request.transport is not None:
                request.transport.abort()

    async def close(self, _: web.Application) -> None:
        """Say goodbye to everybody."""
        await asyncio.gather(*(socket.close() for socket in self._open))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        if problem := self._problem(names, PATHS[request.path]):
            return web.json_response({"code": -1, "msg": problem}, status=400)
        socket = web.WebSocketResponse(heartbeat=PING_S, timeout=CLOSE_S)
        self._open[socket] = request
        try:
            await socket.prepare(request)
            sending = asyncio.create_task(self._send(socket, names))
            try:
                async for _ in socket:  # answers pings, and ends when the client goes
                    pass
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError):
                    await sending
        finally:
            del self._open[socket]
        return socket

    def _problem(self, names: Sequence[str], served: Set[str]) -> str | None:
        """Why the streams cannot be had here; names that nobody knows are no problem, and stay silent."""
        if not names or len(names) > MAX_STREAMS:
            return f"Name 1 to {MAX_STREAMS} streams."
        if len(self._open) >= MAX_CONNECTIONS:
            return f"{MAX_CONNECTIONS} connections are open already."
        foreign = [name for name in names if _TYPES.get(name.partition("@")[2], next(iter(served))) not in served]
        return f"{foreign[0]} is served by the other path of {', '.join(PATHS)}." if foreign else None

    async def _send(self, socket: web.WebSocketResponse, names: Sequence[str]) -> None:
        """Send what is due until the client has gone."""
        parts = [name.partition("@") for name in names]
        symbols = [symbol for symbol in self._symbols if symbol.lower() in {part[0] for part in parts}]
        types = {_TYPES[part[2]] for part in parts if part[2] in _TYPES}
        schedule = Schedule(self._market, symbols, self._cadence, types, self._silences)
        start = now_ms(self._clock)
        try:
            while not socket.closed:
                end = max(start, now_ms(self._clock))
                start = end if end - start > MAX_BEHIND_MS else start
                for event in schedule.due(start, end):
                    if (name := stream_name(event)) in names:
                        await socket.send_str(orjson.dumps({"stream": name, "data": event}).decode())
                start = end
                await asyncio.sleep(TICK_S)
        except ConnectionResetError:
            pass  # it went without a goodbye


def stream_name(event: wire.Event) -> str:
    """The combined stream's name of an event."""
    return f"{str(event['s']).lower()}@{NAMES[str(event['e'])]}"

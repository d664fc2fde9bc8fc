"""The REST side over HTTP: charges each request, plays the faults that are set, and tells the weight used.

Beside the exchange's routes stand two for tests: `/faults` (GET, POST one, DELETE all) and `/requests`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import msgspec
import orjson
from aiohttp import web

from data_manager.actors.exchange import faults
from data_manager.actors.exchange.answers import Answers, Route
from data_manager.actors.exchange.faults import Fault, Faults
from data_manager.actors.exchange.meter import Meter, banned, too_many
from data_manager.actors.exchange.queries import Query, Refusal
from data_manager.actors.exchange.silence import Silences
from data_manager.system.clock import Clock, now_ms

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="silence"):
    """The feed of a symbol (all: "") is silent from now on, for so long or until all faults are cleared."""

    symbol: str = ""
    seconds: faults.Pause | None = None


class Disconnect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="disconnect"):
    """Every WebSocket is cut now, without a goodbye."""


_orders = msgspec.json.Decoder(Fault | Silence | Disconnect)


class RestSide:
    """The handlers. `requests` counts what came in, by route; refused requests too."""

    def __init__(self, answers: Answers, listed: list[str], meter: Meter, played: Faults, clock: Clock) -> None:
        self._answers = answers
        self._listed = listed
        self._meter = meter
        self._faults = played
        self._clock = clock
        self.requests: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """The exchange's routes."""
        return [web.get(path, self._handler(path, route)) for path, route in self._answers.routes.items()]

    def _handler(self, path: str, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.requests[path] += 1
            fault = self._faults.take(path)
            try:
                self._refuse(fault)
                response = await self._respond(route, request)
            except Refusal as refusal:
                return self._refused(refusal)
            match fault:
                case faults.ServerError(status=status):
                    return web.Response(status=status, text="<html>Bad gateway</html>", content_type="text/html")
                case faults.Slow(seconds=seconds):
                    await asyncio.sleep(seconds)
                case faults.Truncated():
                    return await cut_short(request, response)
            return response

        return handle

    def _refuse(self, fault: faults.AnyAnswer | None) -> None:
        match fault:
            case faults.TooMany(retry_after_s=seconds):
                raise too_many(seconds)
            case faults.Banned(retry_after_s=seconds):
                raise banned(seconds)

    async def _respond(self, route: Route, request: web.Request) -> web.Response:
        now, query = now_ms(self._clock), Query(request.query, self._listed)
        if route.funding:
            self._meter.charge_funding(now)
        else:
            self._meter.charge(route.weigh(query), now)
        return self._json(await route.answer(query, now))

    def _refused(self, refusal: Refusal) -> web.Response:
        response = self._json(refusal.body, refusal.status)
        if refusal.retry_after_s is not None:
            response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response

    def _json(self, answer: object, status: int = 200) -> web.Response:
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._meter.used(now_ms(self._clock)))}
        return web.json_response(body=orjson.dumps(answer), status=status, headers=headers)


class Control:
    """The routes for tests. `disconnect` cuts all WebSockets."""

    def __init__(
        self, rest: RestSide, played: Faults, silences: Silences, disconnect: Callable[[], None], clock: Clock
    ) -> None:
        self._rest = rest
        self._faults = played
        self._silences = silences
        self._disconnect = disconnect
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [
            web.get("/faults", self._list),
            web.post("/faults", self._set),
            web.delete("/faults", self._clear),
            web.get("/requests", self._requests),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._faults.active()), content_type="application/json")

    async def _set(self, request: web.Request) -> web.Response:
        try:
            self._obey(_orders.decode(await request.read()))
        except ValueError as error:  # msgspec's ValidationError is one
            return web.json_response({"msg": str(error)}, status=400)
        return web.json_response({})

    def _obey(self, order: Fault | Silence | Disconnect) -> None:
        match order:
            case Silence(symbol=symbol, seconds=seconds):
                self._silences.begin(symbol, now_ms(self._clock), seconds)
            case Disconnect():
                self._disconnect()
            case fault:
                self._faults.add(fault)

    async def _clear(self, request: web.Request) -> web.Response:
        self._faults.clear()
        self._silences.end(now_ms(self._clock))
        return web.json_response({})

    async def _requests(self, request: web.Request) -> web.Response:
        return web.json_response(self._rest.requests)


async def cut_short(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Send half of the response's body under the length of the whole, and cut the connection."""
    body = response.body
    assert isinstance(body, bytes)
    half = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half

"""The simulated exchange as a server on loopback: its REST side and its WebSocket streams on one port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Self

from aiohttp import web

from data_manager.actors.exchange.answers import Answers
from data_manager.actors.exchange.faults import Fault, Faults
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.meter import WEIGHT_A_MINUTE, Meter
from data_manager.actors.exchange.rest import Control, RestSide
from data_manager.actors.exchange.schedule import Cadence
from data_manager.actors.exchange.silence import Silences
from data_manager.actors.exchange.streams import Streams
from data_manager.http.listen import bind
from data_manager.system.clock import Clock

HOST = "127.0.0.1"
STOP_S = 1.0  # for requests under way to finish; aiohttp waits this long twice
DEFAULT_CADENCE = Cadence(trades_per_minute=96, book_ms=500, statistics_ms=1000)


class SimulatedExchange:
    """Serves a market from `__aenter__` to `__aexit__`; `port` 0 takes a free one.

    `faults` are in force from the start; `silences` quieten the streams, and whatever feed shares them.
    Entering raises ConfigError when the port cannot be bound.
    """

    def __init__(
        self,
        market: Market,
        clock: Clock,
        symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"),
        *,
        cadence: Cadence = DEFAULT_CADENCE,
        port: int = 0,
        weight_a_minute: int = WEIGHT_A_MINUTE,
        faults: Iterable[Fault] = (),
        silences: Silences | None = None,
    ) -> None:
        self._wanted = port
        self._cleanup = AsyncExitStack()
        self.port = 0
        self.faults = Faults(faults)
        self.silences = silences or Silences()
        answers = Answers(market, symbols, self.faults, weight_a_minute)
        self._rest = RestSide(answers, list(symbols), Meter(weight_a_minute), self.faults, clock)
        self.streams = Streams(market, symbols, cadence, self.silences, clock)
        control = Control(self._rest, self.faults, self.silences, self.streams.disconnect, clock)
        self._app = web.Application()
        self._app.add_routes([*self._rest.routes(), *control.routes(), *self.streams.routes()])
        self._app.on_shutdown.append(self.streams.close)

    @property
    def url(self) -> str:
        """Base of the REST routes."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Base of the streams."""
        return f"ws://{HOST}:{self.port}"

    @property
    def requests(self) -> Counter[str]:
        """Requests that came in, by route."""
        return self._rest.requests

    async def __aenter__(self) -> Self:
        listener = bind(HOST, self._wanted, "EXCHANGE_PORT")
        self._cleanup.callback(listener.close)
        self.port = listener.getsockname()[1]
        runner = web.AppRunner(self._app, access_log=None, handle_signals=False, shutdown_timeout=STOP_S)
        await runner.setup()
        self._cleanup.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listener).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cleanup.aclose()

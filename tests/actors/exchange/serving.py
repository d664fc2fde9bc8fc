"""A simulated exchange on loopback with a clock that stands where the test puts it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson

from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.server import SimulatedExchange

NOW = 1_760_918_400_000  # 2025-10-20 00:00 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
MARKET = Market(7, 96)  # pure, so tests may share its caches


class SetClock:
    """Stands still until it is set."""

    def __init__(self, now_ms: int = NOW) -> None:
        self.now_ms = now_ms

    def now_us(self) -> int:
        return self.now_ms * 1000

    def monotonic(self) -> float:
        return self.now_ms / 1000


class Asking:
    """A client of one exchange, and the clock of both."""

    def __init__(self, exchange: SimulatedExchange, session: aiohttp.ClientSession, clock: SetClock) -> None:
        self.exchange = exchange
        self.session = session
        self.clock = clock

    async def get(self, path: str, **parameters: Any) -> tuple[int, Any, Any]:
        """Status, JSON and headers."""
        async with self.session.get(self.exchange.url + path, params=parameters) as response:
            return response.status, orjson.loads(await response.read()), response.headers

    async def rows(self, route: str, **parameters: Any) -> Any:
        """The JSON of a route under /fapi/v1 that must answer 200."""
        status, answer, _ = await self.get(f"/fapi/v1/{route}", **parameters)
        assert status == 200, answer
        return answer

    async def order(self, **fault: Any) -> int:
        """Set a fault over the control route; returns the status."""
        async with self.session.post(f"{self.exchange.url}/faults", json=fault) as response:
            return response.status


def asking(scenario: Callable[[Asking], Awaitable[None]], **options: Any) -> None:
    """Run a scenario against an exchange of its own."""

    async def run() -> None:
        clock = SetClock()
        async with (
            SimulatedExchange(MARKET, clock, **options) as exchange,
            aiohttp.ClientSession() as session,
        ):
            await scenario(Asking(exchange, session, clock))

    asyncio.run(run())

"""Calls to stores that may be away: repeated until they succeed, told once per change."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TypeVar

from data_manager.actors.backfill.budget import Sleep
from data_manager.http.store_thread import Closable, StoreThread
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.clock import Clock
from data_manager.system.errors import StaleLease, StoreFull, StoreUnavailable
from data_manager.system.logs import log

MARKET_STORE, CATALOG, EXCHANGE = "market_store", "catalog", "exchange"
# What comes back by itself or by the operator; any other error is for good. One whose lease has passed on waits too:
# the supervisor is about to end it, and there is nothing that it may do until then.
AWAY = (StoreUnavailable, StoreFull, StaleLease)

RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0

S = TypeVar("S", bound=Closable)
T = TypeVar("T")


class Away:
    """Which parts are away now."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    @property
    def part(self) -> str:
        """The one that has been away longest; empty when all are there."""
        return next(iter(self._reasons), "")

    def gone(self, part: str, reason: str) -> None:
        """It did not answer."""
        if part not in self._reasons:
            log("backfill_waits", logging.WARNING, part=part, reason=reason)
        self._reasons[part] = reason

    def back(self, part: str) -> None:
        """It answered."""
        if part in self._reasons:
            log("backfill_goes_on", part=part, reason=self._reasons.pop(part))


def pause_s(failures: int, rng: random.Random) -> float:
    """How long to wait after so many failures in a row, 1 or more."""
    return min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 10)) * rng.uniform(0.5, 1.0)


class Stores:
    """Both stores. A call waits for as long as its store is away or full; what the store refuses is raised.

    With `one_writer` (SQLite) each write is followed by a pause as long as it took, and no other write is made
    meanwhile: whoever else writes the same file gets half of the time.
    """

    def __init__(
        self,
        market: StoreThread[MarketStore],
        catalog: StoreThread[Catalog],
        away: Away,
        clock: Clock,
        rng: random.Random,
        *,
        one_writer: bool,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._market = market
        self._catalog = catalog
        self._away = away
        self._clock = clock
        self._rng = rng
        self._sleep = sleep
        self._turn = asyncio.Lock() if one_writer else None
        self._running: dict[object, float] = {}

    async def read(self, work: Callable[[MarketStore], T]) -> T:
        """Something of the market store that writes nothing."""
        result, _ = await self._timed(work)
        return result

    async def write(self, work: Callable[[MarketStore], T]) -> T:
        """Something that writes market data, in one transaction and idempotent."""
        if self._turn is None:
            return await self.read(work)
        async with self._turn:
            result, seconds = await self._timed(work)
            await self._sleep(seconds)
        return result

    async def catalog(self, work: Callable[[Catalog], T]) -> T:
        """Something of the catalog, idempotent where it writes."""
        return await self._until_done(CATALOG, self._catalog, work)

    def busy_since(self) -> float | None:
        """When the oldest call began that the market store has in hand; None when there is none.

        The catalog is not told of: the call that brings its tables up to date may take long.
        """
        return min(list(self._running.values()), default=None)

    async def _timed(self, work: Callable[[MarketStore], T]) -> tuple[T, float]:
        """The result, and how long the call took without any waiting for its turn or for the store."""

        def timed(market: MarketStore) -> tuple[T, float]:
            call, began = object(), self._clock.monotonic()
            self._running[call] = began
            try:
                result = work(market)
            finally:
                del self._running[call]
            return result, self._clock.monotonic() - began

        return await self._until_done(MARKET_STORE, self._market, timed)

    async def _until_done(self, part: str, store: StoreThread[S], work: Callable[[S], T]) -> T:
        failures = 0
        while True:
            try:
                result = await store.call(work)
            except AWAY as error:
                failures += 1
                self._away.gone(part, str(error))
                await self._sleep(pause_s(failures, self._rng))
            else:
                self._away.back(part)
                return result

"""Whether a store works now, asked at most once a second however many probes come in."""

from __future__ import annotations

import asyncio
import logging

from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.clock import Clock
from data_manager.system.errors import StoreError
from data_manager.system.logs import log

FRESH_S = 1.0  # how long an answer holds
PATIENCE_S = 1.0  # a probe must answer before Kubernetes gives up on it


class StoreCheck:
    """The state of one store; logged when it changes."""

    def __init__(self, store: StoreThread[MarketStore] | StoreThread[Catalog], clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._known: str | None = None

    async def problem(self) -> str | None:
        """None while the store works, else what is wrong with it."""
        now = self._clock.monotonic()
        if self._asking is None and now - self._asked_at >= FRESH_S:
            self._asking = asyncio.create_task(self._find_out())
        if self._asking is not None:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.shield(self._asking)
            except TimeoutError:
                self._learn(f"no answer within {PATIENCE_S:g} s")
        return self._known

    async def _find_out(self) -> None:
        try:
            await self._store.call(lambda store: store.check())
            self._learn(None)
        except StoreError as error:
            self._learn(str(error))
        finally:
            self._asked_at = self._clock.monotonic()
            self._asking = None

    def _learn(self, problem: str | None) -> None:
        if (problem is None) != (self._known is None):
            level = logging.INFO if problem is None else logging.WARNING
            log("store_check", level, store=self._store.name, problem=problem)
        self._known = problem

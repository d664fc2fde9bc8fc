"""Threads for what keeps the processor busy, so that the loop beside them turns on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from data_manager.system.clock import Clock

T = TypeVar("T")


class Calculator:
    """Calculates one thing after the other, and imports beside that what later calculations need."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="calculator")
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._busy_since: float | None = None

    async def call(self, work: Callable[[], T]) -> T:
        """The result of `work()`, which should take well below a second; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, work)

    async def load(self, work: Callable[[], T]) -> T:
        """The same of something that imports: it may take many seconds, and counts as no calculation."""
        return await asyncio.get_running_loop().run_in_executor(self._loader, work)

    def busy_since(self) -> float | None:
        """Monotonic start of the calculation in hand, None without one."""
        return self._busy_since

    def close(self) -> None:
        """End the threads after what they have in hand; nobody waits for that."""
        for thread in (self._thread, self._loader):
            thread.shutdown(wait=False, cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        self._busy_since = self._clock.monotonic()
        try:
            return work()
        finally:
            self._busy_since = None

"""Polling instead of sleeping: a test waits no longer than it must, and says what never came."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def eventually(
    check: Callable[[], object | Awaitable[object]], timeout: float = 10.0, every: float = 0.02
) -> None:
    """Wait until `check` is true; AssertionError after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout
    while True:
        result = check()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return
        assert loop.time() < give_up, f"not within {timeout} s: {inspect.getsource(check).strip()}"
        await asyncio.sleep(every)


def eventually_sync(check: Callable[[], object], timeout: float = 10.0, every: float = 0.02) -> None:
    """The same without a loop."""
    give_up = time.perf_counter() + timeout
    while not check():
        assert time.perf_counter() < give_up, f"not within {timeout} s: {inspect.getsource(check).strip()}"
        time.sleep(every)

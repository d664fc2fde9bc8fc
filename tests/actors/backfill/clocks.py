"""Time by hand: whoever sleeps moves it."""

from __future__ import annotations

import asyncio


class SleptClock:
    """Stands still until somebody sleeps, and counts in whole microseconds."""

    def __init__(self, ms: int = 1_800_000_000_000) -> None:
        self.us = ms * 1000
        self.slept: list[float] = []

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1_000_000

    def now_ms(self) -> int:
        return self.us // 1000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.us += round(seconds * 1_000_000)
        await asyncio.sleep(0)

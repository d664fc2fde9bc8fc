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


class HeldClock(SleptClock):
    """Holds whoever sleeps long until the time is moved by hand."""

    HELD_S = 5.0

    def __init__(self, ms: int) -> None:
        super().__init__(ms)
        self.held: list[tuple[int, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        if seconds < self.HELD_S:
            await super().sleep(seconds)
            return
        until, woken = self.us + round(seconds * 1_000_000), asyncio.Event()
        self.held.append((until, woken))
        await woken.wait()

    def move(self, seconds: float) -> None:
        """Time goes by; those whose time has come wake up."""
        self.us += round(seconds * 1_000_000)
        due = [sleeper for sleeper in self.held if sleeper[0] <= self.us]
        self.held = [sleeper for sleeper in self.held if sleeper[0] > self.us]
        for _, woken in due:
            woken.set()

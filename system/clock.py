"""Time as an argument: the one module that reads the machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored and shown, monotonic time for how long things take."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC; may jump when the host's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_us(self) -> int:
        """Microseconds since 1970 UTC by the host's clock."""
        return time.time_ns() // 1000  # noqa: TID251

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC, which NTP steps do not touch."""
        return time.monotonic()  # noqa: TID251


def now_ms(clock: Clock) -> int:
    """Milliseconds since 1970 UTC."""
    return clock.now_us() // 1000


def to_datetime(ms: int) -> datetime:
    """An aware UTC datetime for milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def iso(ms: int) -> str:
    """ISO-8601 with microseconds and an explicit `+00:00`, as every response of the service writes time."""
    seconds, milliseconds = divmod(ms, 1000)
    return (
        datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000).isoformat(timespec="microseconds")
    )

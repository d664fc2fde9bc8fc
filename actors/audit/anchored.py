"""A clock that the host's clock cannot move: the wall time of its start, carried on by the monotonic clock.

What must be there by now, and how old the newest row is, are read from it. When the host's clock is set while the
audit runs, no bar is missed that is not due, and nothing that came a second ago is hours old.
"""

from __future__ import annotations

from data_manager.system.clock import Clock


class AnchoredClock:
    """A Clock whose wall time never jumps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._anchor_us = clock.now_us() - round(clock.monotonic() * 1_000_000)

    def now_us(self) -> int:
        """Microseconds since 1970 UTC, by the host's clock as it was when this one was made."""
        return self._anchor_us + round(self._clock.monotonic() * 1_000_000)

    def monotonic(self) -> float:
        """See Clock."""
        return self._clock.monotonic()

    def off_s(self) -> float:
        """How far the host's clock is ahead of this one by now, in seconds; negative where it is behind."""
        return (self._clock.now_us() - self.now_us()) / 1_000_000

    def follow(self) -> None:
        """Take the host's clock for right again."""
        self._anchor_us = self._clock.now_us() - round(self._clock.monotonic() * 1_000_000)

"""Silence: more time between two rows of a series than there ever should be. Pure; times in ms UTC.

For types whose history the exchange does not give: what was not received is lost, and all that can be said is when,
and whose silence it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from data_manager.actors.audit.grid import Range

LEARNT = 20  # intervals from which a usual pace is known
MEMORY = 50  # intervals that it is the mean of, nearly all of them the latest

FEED, EXCHANGE = "feed", "exchange"


class Pace:
    """The usual time between two rows, learnt from those that were no silence."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._intervals = 0

    @property
    def usual_ms(self) -> float:
        """0 until it is learnt."""
        return self._mean if self._intervals >= LEARNT else 0.0

    def learn(self, interval_ms: int) -> None:
        """Take one interval into account."""
        self._intervals += 1
        self._mean += (interval_ms - self._mean) / min(self._intervals, MEMORY)


class Silences:
    """Finds the silences of one series in the times of its rows, which ascend; constant memory."""

    def __init__(self, after_ms: int, interval_ms: int, paces: int) -> None:
        """A silence is longer than `after_ms`, and than `paces` times its interval and its usual pace."""
        self._after_ms = max(after_ms, paces * interval_ms)
        self._paces = paces
        self._pace = Pace()
        self.last_ms: int | None = None

    @property
    def limit_ms(self) -> float:
        """How long it may be quiet."""
        return max(self._after_ms, self._paces * self._pace.usual_ms)

    def found(self, times_ms: Iterable[int]) -> Iterator[Range]:
        """The silences that these times end: from after the row before until the row that came."""
        for time_ms in times_ms:
            if self.last_ms is not None and time_ms > self.last_ms:
                if time_ms - self.last_ms > self.limit_ms:
                    yield Range(self.last_ms + 1, time_ms)
                else:
                    self._pace.learn(time_ms - self.last_ms)
            self.last_ms = time_ms if self.last_ms is None else max(self.last_ms, time_ms)


class Alive(NamedTuple):
    """Of whom there are rows from the time of a silence, as far as was looked."""

    symbols: Collection[str]  # the same type of other symbols
    types: Collection[str]  # other types of the same symbol
    asked: int  # how many of both were looked at
    traded: bool | None  # whether the exchange traded the symbol meanwhile; None where ids do not tell


def judged(alive: Alive) -> tuple[str, str]:
    """Whose silence it was, and the evidence: the feed's where anything says that the exchange was not silent."""
    told = []
    if alive.types:
        told.append(f"{', '.join(alive.types)} of the symbol came meanwhile")
    if alive.symbols:
        told.append(f"the same of {', '.join(alive.symbols)} came meanwhile")
    if not told and alive.traded:
        told.append("nothing else came either, but trade ids show that the exchange traded meanwhile")
    if told:
        return FEED, "; ".join(told)
    return EXCHANGE, f"all {alive.asked} others that were looked at were silent too, and nothing of ours was down"

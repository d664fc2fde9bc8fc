"""The symbols of the service as one actor knows them: a list that changes while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Symbols:
    """What is known now may be read from any thread; it changes on the thread on which the actor works."""

    def __init__(self, now: Iterable[str]) -> None:
        self._now = tuple(now)
        self._names = frozenset(self._now)
        self._told: list[Callable[[], None]] = []

    @property
    def now(self) -> tuple[str, ...]:
        """The active ones, in an order that is the same for all."""
        return self._now

    @property
    def names(self) -> frozenset[str]:
        """The same, to look one up in."""
        return self._names

    def on_change(self, tell: Callable[[], None]) -> None:
        """Have `tell` called after every change, for as long as the actor lives."""
        self._told.append(tell)

    def become(self, now: Iterable[str]) -> None:
        """From now on these are active; nobody is told of what has not changed."""
        after = tuple(now)
        if after == self._now:
            return
        self._now, self._names = after, frozenset(after)
        for tell in self._told:
            tell()

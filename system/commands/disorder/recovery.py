"""Whether the service got over a fault, by what it says of itself before and after. Pure.

To be back is not enough: what stores must have stored something since.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from data_manager.system.commands.disorder.schedule import BROKER, FEED_SUBJECT, Event, Fault
from data_manager.system.commands.service_answers import Actor, Ledger, Tree
from data_manager.system.tree import EXCHANGE, INGEST, ROUTER

RUNNING = "running"
REPLACED = (Fault.KILL, Fault.HANG, Fault.STOP)  # after these another process does the work


class Seen(NamedTuple):
    """The service at one moment."""

    actors: Mapping[str, Actor]
    received: Mapping[str, int]  # distinct events, by symbol
    quarantined: int

    @classmethod
    def of(cls, tree: Tree, ledger: Ledger) -> Seen:
        """As two of its answers tell it."""
        return cls(
            {actor.name: actor for actor in tree.actors},
            {
                each.pair: sum(kind.received - kind.redelivered for kind in each.event_types)
                for each in ledger.data
                if each.pair is not None
            },
            ledger.total.quarantined,
        )

    def runs(self, name: str) -> bool:
        """Whether the actor works; one that is not there does not."""
        actor = self.actors.get(name)
        return actor is not None and actor.state == RUNNING and actor.pid is not None

    def events(self, symbol: str | None) -> int:
        """Received for one symbol; None: for all."""
        return sum(self.received.values()) if symbol is None else self.received.get(symbol, 0)


class Course(NamedTuple):
    """One fault that has been committed, and how far the service has got over it."""

    event: Event
    began_s: float
    before: Seen
    quarantined: int  # there must be so many before a burst of garbage is over
    back: Seen | None = None  # when everybody was first seen at work again
    recovered_s: float | None = None  # after its beginning

    def seen(self, now: Seen, at_s: float) -> Course:
        """The same after another look, `at_s` seconds after the start."""
        lasts = at_s < self.began_s + self.event.seconds
        if self.recovered_s is not None or lasts or not self._at_work(now):
            return self
        if self.back is None and self._must_store:
            return self._replace(back=now)
        if self.back is not None and now.events(self.event.symbol) <= self.back.events(self.event.symbol):
            return self
        return self._replace(recovered_s=at_s - self.began_s)

    @property
    def _must_store(self) -> bool:
        return self.event.symbol is not None or self.event.target in (BROKER, ROUTER)

    def _at_work(self, now: Seen) -> bool:
        target = self.event.target
        if target == FEED_SUBJECT:
            return now.quarantined >= self.quarantined
        if target == BROKER:
            return all(now.runs(name) for name in now.actors if name.startswith(INGEST) or name in (ROUTER, EXCHANGE))
        replaced = self.event.fault not in REPLACED or now.actors[target].pid != self.before.actors[target].pid
        return now.runs(target) and replaced

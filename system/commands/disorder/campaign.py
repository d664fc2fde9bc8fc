"""A schedule carried out: faults when they are due, and how long it took the service to get over each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from data_manager.system.clock import Clock
from data_manager.system.commands.disorder.inflicting import inflicted
from data_manager.system.commands.disorder.recovery import Course, Seen
from data_manager.system.commands.disorder.schedule import Event
from data_manager.system.commands.disorder.territory import Demo
from data_manager.system.commands.service_answers import Ledger, decode
from data_manager.system.errors import ServiceAway, ServiceError
from data_manager.system.settings import Settings

POLL_S = 0.25
LATE_S = 30.0  # a fault whose target is not at work for so long is left out
RECOVERY_S = 90.0  # a fault that has not been got over by then is not got over: a hang takes 20 s, a parked symbol 72


class Outcome(NamedTuple):
    """What became of one fault of the schedule."""

    event: Event
    at_s: float  # when it was committed, from the start
    recovered_s: float | None  # how long after that
    left_out: str | None = None  # why it was not committed

    @property
    def survived(self) -> bool:
        """Whether nothing is to be said against the service."""
        return self.recovered_s is not None or self.left_out is not None


class Campaign:
    """One run over the schedule."""

    def __init__(
        self,
        demo: Demo,
        settings: Settings,
        symbols: Sequence[str],
        clock: Clock,
        tell: Callable[[Outcome], None],
    ) -> None:
        """`tell` gets each outcome once it is known."""
        self._demo, self._settings, self._symbols, self._clock, self._tell = demo, settings, symbols, clock, tell
        self._began_s = 0.0
        self._courses: list[Course] = []
        self._held: list[tuple[float, ExitStack]] = []  # what lasts, by its end
        self._quarantined: int | None = None  # how many events are or will be, by all that was sent so far
        self.outcomes: list[Outcome] = []
        self.garbage = 0  # messages that were sent

    def run(self, events: Sequence[Event]) -> list[Outcome]:
        """Until every fault is got over or given up; raises ServiceAway at once when the demo ends.

        Whatever lasts has ended when this returns, or raises.
        """
        self._began_s = self._clock.monotonic()
        due = deque(events)
        try:
            while due or self._courses:
                self._turn(due)
                time.sleep(POLL_S)
        finally:
            self._release(float("inf"))
        return sorted(self.outcomes, key=lambda outcome: outcome.at_s)

    def _turn(self, due: deque[Event]) -> None:
        if not self._demo.alive:
            raise ServiceAway("The demo has ended.")
        now = self._now()
        self._release(now)
        seen = self._look()
        if seen is not None:
            if self._quarantined is None:
                self._quarantined = seen.quarantined
            self._courses = [each.seen(seen, now) for each in self._courses]
        self._settle(now)
        if due and due[0].at_s <= now:
            self._commit(due, seen, now)

    def _commit(self, due: deque[Event], seen: Seen | None, now: float) -> None:
        """Commit the fault that is due, if its target is at work; leave it out when it has not been for long."""
        event = due[0]
        try:
            if seen is None:
                raise ServiceAway("the service cannot be asked")
            if event.target in seen.actors and not seen.runs(event.target):
                raise ServiceAway(f"{event.target} is {seen.actors[event.target].state}")
            self._inflict(event, seen)
            due.popleft()
        except ServiceError as away:  # what was asked for and never confirmed may be refused the second time
            if now - event.at_s > LATE_S:
                due.popleft()
                self._end(Outcome(event, now, None, left_out=str(away)))

    def _inflict(self, event: Event, seen: Seen) -> None:
        assert self._quarantined is not None  # set by the first look
        stack = ExitStack()
        stack.enter_context(inflicted(event, self._demo, self._settings, self._symbols, self._clock))
        began_s = self._now()
        self._held.append((began_s + event.seconds, stack))
        self._quarantined += event.messages
        self.garbage += event.messages
        self._courses.append(Course(event, began_s, seen, self._quarantined))

    def _look(self) -> Seen | None:
        """The service now; None while it does not answer."""
        try:
            return Seen.of(self._demo.tree(), decode(self._demo.service.get("/ledger"), Ledger))
        except ServiceAway:
            return None

    def _settle(self, now: float) -> None:
        """Tell of those that are got over, and of those that are given up."""
        for course in list(self._courses):
            if course.recovered_s is not None or now - course.began_s > RECOVERY_S:
                self._courses.remove(course)
                self._end(Outcome(course.event, course.began_s, course.recovered_s))

    def _end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._tell(outcome)

    def _release(self, now: float) -> None:
        """End what has lasted long enough."""
        over = [each for each in self._held if each[0] <= now]
        for each in over:
            self._held.remove(each)
            each[1].close()

    def _now(self) -> float:
        return self._clock.monotonic() - self._began_s

"""When to leave a server alone that does not answer: a circuit breaker. Pure: it is told how to learn the time.

Closed, every call goes through. It opens after FAILURES calls in a row that failed quickly, or after one that failed
slowly, since each of those costs a caller its patience. Open, calls are refused at once. After OPEN_S one call, the
probe, is let through (half-open): its success closes the circuit, its failure opens it again.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from data_manager.system.errors import StoreUnavailable

FAILURES = 3
SLOW_S = 1.0  # a failure that took so long counts for FAILURES
OPEN_S = 2.0  # not longer than what clients are told to wait


class State(IntEnum):
    """The numbers are those of the gauge."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Circuit:
    """The breaker of one server. `changed` is called with each state, the first one included; `now` gives seconds."""

    def __init__(self, now: Callable[[], float], changed: Callable[[State], None]) -> None:
        self._now = now
        self._changed = changed
        self._failures = 0
        self._opened_at = 0.0
        self._reason = ""
        self._enter(State.CLOSED)

    @property
    def state(self) -> State:
        """The state now; an open circuit becomes half-open with its next call."""
        return self._state

    def begin(self) -> Attempt:
        """A call that may be made; raises StoreUnavailable, with the last failure's sentence, for one that may not."""
        if self._state is State.OPEN and self._now() - self._opened_at >= OPEN_S:
            self._enter(State.HALF_OPEN)
        elif self._state is not State.CLOSED:
            raise StoreUnavailable(self._reason)
        return Attempt(self, self._period, self._now())

    def ended(self, attempt: Attempt, failure: str | None) -> None:
        """Take note of how a call ended; one of an earlier period tells nothing of this one."""
        if attempt.period != self._period:
            return
        if failure is None:
            self._failures = 0
            if self._state is State.HALF_OPEN:
                self._enter(State.CLOSED)
            return
        slow = self._now() - attempt.since >= SLOW_S
        self._failures += FAILURES if slow else 1
        self._reason = failure
        if self._state is State.HALF_OPEN or self._failures >= FAILURES:
            self._open()

    def abandoned(self, attempt: Attempt) -> None:
        """A call has ended without telling anything; where it was the probe, another one is to follow."""
        if attempt.period == self._period and self._state is State.HALF_OPEN:
            self._open()

    def _open(self) -> None:
        self._failures, self._opened_at = 0, self._now()
        self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        self._period = object()  # what began before belongs to another
        self._state = state
        self._changed(state)


class Attempt:
    """One call, to be ended in one of three ways."""

    def __init__(self, circuit: Circuit, period: object, since: float) -> None:
        self._circuit = circuit
        self.period = period
        self.since = since

    def answered(self) -> None:
        """The server has answered, be it with a refusal."""
        self._circuit.ended(self, None)

    def failed(self, reason: str) -> None:
        """The server has not answered, or is away; `reason` is the sentence for the operator."""
        self._circuit.ended(self, reason)

    def abandoned(self) -> None:
        """The call was given up before the server was asked."""
        self._circuit.abandoned(self)

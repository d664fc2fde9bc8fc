"""The circuit breaker, with a clock made of numbers."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from data_manager.system.circuit import FAILURES, OPEN_S, SLOW_S, Attempt, Circuit, State
from data_manager.system.errors import StoreUnavailable


class Rig:
    """A circuit, the time, and the states it told of."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[State] = []
        self.circuit = Circuit(lambda: self.now, self.told.append)

    def fail(self, times: int = 1, seconds: float = 0.0) -> None:
        for _ in range(times):
            attempt = self.circuit.begin()
            self.now += seconds
            attempt.failed("it is away")

    def refused(self) -> bool:
        try:
            self.circuit.begin().abandoned()
        except StoreUnavailable:
            return True
        return False


def opened() -> Rig:
    rig = Rig()
    rig.fail(FAILURES)
    return rig


def test_it_tells_that_it_is_closed_to_begin_with() -> None:
    assert Rig().told == [State.CLOSED]


def test_quick_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    rig = Rig()
    rig.fail(FAILURES - 1)
    rig.circuit.begin().answered()
    rig.fail(FAILURES - 1)
    assert rig.circuit.state is State.CLOSED
    rig.fail()
    assert rig.told == [State.CLOSED, State.OPEN]


def test_one_slow_failure_opens_it_and_a_slow_success_does_not() -> None:
    rig = Rig()
    attempt = rig.circuit.begin()
    rig.now += 10 * SLOW_S
    attempt.answered()
    assert rig.circuit.state is State.CLOSED
    rig.fail(seconds=SLOW_S)
    assert rig.circuit.state is State.OPEN


def test_an_open_one_refuses_with_the_last_failures_sentence() -> None:
    with pytest.raises(StoreUnavailable, match="it is away"):
        opened().circuit.begin()


def test_one_probe_goes_through_and_its_success_closes_it() -> None:
    rig = opened()
    rig.now += OPEN_S
    probe = rig.circuit.begin()
    assert rig.circuit.state is State.HALF_OPEN
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            rig.circuit.begin()
    probe.answered()
    assert rig.told == [State.CLOSED, State.OPEN, State.HALF_OPEN, State.CLOSED]
    assert not rig.refused()


@pytest.mark.parametrize("ending", ["failed", "abandoned"])
def test_a_probe_that_brings_nothing_opens_it_for_as_long_again(ending: str) -> None:
    rig = opened()
    rig.now += OPEN_S
    probe = rig.circuit.begin()
    probe.failed("still away") if ending == "failed" else probe.abandoned()
    assert rig.circuit.state is State.OPEN
    rig.now += OPEN_S * 0.99
    assert rig.refused()
    rig.now += OPEN_S * 0.01
    rig.circuit.begin().answered()
    assert rig.circuit.state is State.CLOSED


def test_what_began_before_it_opened_neither_closes_it_nor_counts_again() -> None:
    rig = Rig()
    late = [rig.circuit.begin() for _ in range(4)]
    rig.fail(FAILURES)
    late[0].answered()
    assert rig.circuit.state is State.OPEN
    rig.now += OPEN_S
    probe = rig.circuit.begin()
    late[1].failed("late")
    late[2].abandoned()
    assert rig.circuit.state is State.HALF_OPEN
    probe.answered()
    late[3].failed("late")
    assert rig.circuit.state is State.CLOSED


def test_calls_that_never_reached_the_server_count_for_nothing() -> None:
    rig = Rig()
    for _ in range(10 * FAILURES):
        rig.circuit.begin().abandoned()
    assert rig.circuit.state is State.CLOSED


class Machine(RuleBasedStateMachine):
    """Whatever happens: one probe at a time, and a server that is well again is found out."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.open: list[tuple[Attempt, State]] = []

    @rule()
    def begin(self) -> None:
        try:
            attempt = self.rig.circuit.begin()
        except StoreUnavailable:
            assert self.rig.circuit.state is not State.CLOSED
            return
        self.open.append((attempt, self.rig.circuit.state))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), how=st.sampled_from(["answered", "failed", "abandoned"]))
    def end(self, data: st.DataObject, how: str) -> None:
        attempt, _ = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        attempt.failed("away") if how == "failed" else getattr(attempt, how)()

    @rule(seconds=st.sampled_from([0.1, SLOW_S, OPEN_S]))
    def wait(self, seconds: float) -> None:
        self.rig.now += seconds

    @invariant()
    def one_probe_at_most(self) -> None:
        under_way = sum(attempt.period is self.rig.circuit._period for attempt, _ in self.open)
        if self.rig.circuit.state is State.HALF_OPEN:
            assert under_way == 1
        if self.rig.circuit.state is State.OPEN:
            assert under_way == 0

    @invariant()
    def told_every_change_once(self) -> None:
        assert self.rig.told[-1] is self.rig.circuit.state
        assert all(one is not other for one, other in zip(self.rig.told, self.rig.told[1:], strict=False))

    def teardown(self) -> None:
        for attempt, _ in self.open:
            attempt.abandoned()
        self.rig.now += OPEN_S
        self.rig.circuit.begin().answered()
        assert self.rig.circuit.state is State.CLOSED


TestMachine = Machine.TestCase

"""The restart policy, with a clock made of numbers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.actions import (
    Action,
    CameBack,
    Create,
    Escalate,
    Kill,
    SendDrain,
    SendPing,
    WentDown,
)
from data_manager.system.strategy import ALIVE, ChildSpec, Policy, State, Strategy

POLICY = Policy()
HTTP = ChildSpec("http", "x.Http", stage=0)
BTC = ChildSpec("ingest/BTC", "x.Ingest", stage=1, symbol="BTC", essential=False)
ETH = ChildSpec("ingest/ETH", "x.Ingest", stage=1, symbol="ETH", essential=False)
ROUTER = ChildSpec("router", "x.Router", stage=2)
EXCHANGE = ChildSpec("exchange", "x.Exchange", stage=9, needs=("router", "ingest/BTC"))


class Simulation:
    """A strategy with the supervisor's part played by hand: every action is noted with its time."""

    def __init__(self, *specs: ChildSpec, policy: Policy = POLICY, seed: int = 1) -> None:
        self.strategy = Strategy(specs, policy, random.Random(seed))
        self.now = 1000.0
        self.done: list[tuple[float, Action]] = []

    def note(self, actions: list[Action]) -> list[Action]:
        self.done += [(self.now, action) for action in actions]
        return actions

    def tick(self) -> list[Action]:
        return self.note(self.strategy.on_tick(self.now))

    def wait(self, seconds: float, every: float = 0.05, answering: bool = True) -> list[Action]:
        """Let time pass; children that run answer their pings."""
        seen: list[Action] = []
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + every)
            for action in self.tick():
                seen.append(action)
                if isinstance(action, SendPing) and answering:
                    seen += self.pong(action.name)
        return seen

    def up(self, name: str) -> None:
        """Carry a created child through Ready and its first answer."""
        child = self.strategy.children[name]
        self.note(self.strategy.on_ready(name, child.generation, self.now))
        self.pong(name)

    def pong(self, name: str, *, stalled: float = 0.0, state: str = "running") -> list[Action]:
        generation = self.strategy.children[name].generation
        return self.note(self.strategy.on_pong(name, generation, state, "", 0, stalled, self.now))

    def die(self, name: str, cause: str = "signal 9") -> list[Action]:
        return self.note(self.strategy.on_exit(name, cause, self.now))

    def state(self, name: str) -> State:
        return self.strategy.children[name].state

    def created(self, name: str) -> list[float]:
        return [at for at, action in self.done if isinstance(action, Create) and action.name == name]


def running(*specs: ChildSpec, policy: Policy = POLICY, seed: int = 1) -> Simulation:
    sim = Simulation(*specs, policy=policy, seed=seed)
    sim.tick()
    for spec in sorted(specs, key=lambda spec: spec.stage):
        if sim.state(spec.name) is State.STARTING:
            sim.up(spec.name)
    return sim


def test_children_are_created_in_the_order_of_their_stages() -> None:
    sim = Simulation(ROUTER, BTC, HTTP)
    assert [action.name for action in sim.tick() if isinstance(action, Create)] == [
        "http",
        "ingest/BTC",
        "router",
    ]


def test_a_child_that_needs_others_is_created_once_each_of_them_has_run() -> None:
    sim = Simulation(BTC, ROUTER, EXCHANGE)
    sim.tick()
    sim.up("router")
    assert sim.tick() == []
    sim.up("ingest/BTC")
    assert sim.tick() == [Create("exchange", 1)]


def test_a_parked_child_keeps_nobody_waiting() -> None:
    sim = Simulation(BTC, ROUTER, EXCHANGE)
    sim.tick()
    sim.up("router")
    while sim.state("ingest/BTC") is not State.PARKED:
        if sim.state("ingest/BTC") is State.STARTING:
            sim.die("ingest/BTC")
        sim.wait(1)
    assert sim.created("exchange")


def test_a_child_that_waits_for_nats_is_alive_but_has_not_run() -> None:
    sim = Simulation(BTC)
    sim.tick()
    sim.strategy.on_ready("ingest/BTC", 1, sim.now)
    sim.pong("ingest/BTC", state="waiting")
    assert sim.state("ingest/BTC") is State.WAITING
    assert not sim.strategy.children["ingest/BTC"].ever_running


def test_a_killed_child_is_created_again_within_250_ms_with_its_cause_recorded() -> None:
    sim = running(BTC, ETH)
    sim.wait(5)
    killed_at = sim.now
    assert sim.die("ingest/BTC", "signal 9") == [WentDown("ingest/BTC", "signal 9")]
    sim.wait(0.3, every=0.01)
    assert killed_at < sim.created("ingest/BTC")[-1] <= killed_at + 0.25
    child = sim.strategy.children["ingest/BTC"]
    assert (child.last_cause, child.restarts, child.generation) == ("signal 9", 1, 2)


def test_the_incident_ends_when_the_child_runs_again_and_not_before() -> None:
    sim = running(BTC)
    sim.die("ingest/BTC")
    sim.wait(1)
    sim.note(sim.strategy.on_ready("ingest/BTC", 2, sim.now))
    assert not any(isinstance(action, CameBack) for _, action in sim.done)
    assert sim.pong("ingest/BTC") == [CameBack("ingest/BTC")]


def test_a_sibling_is_left_alone() -> None:
    sim = running(BTC, ETH)
    sim.die("ingest/BTC")
    sim.wait(30)
    eth = sim.strategy.children["ingest/ETH"]
    assert (eth.generation, eth.restarts, eth.state) == (1, 0, State.RUNNING)


def test_back_off_doubles_up_to_its_cap_and_starts_over_after_a_healthy_run() -> None:
    policy = Policy(intensity=100, backoff_s=0.2, backoff_cap_s=2.0, healthy_after_s=60)
    sim = running(BTC, policy=policy)
    delays = []
    for _ in range(8):
        sim.die("ingest/BTC")
        delays.append(sim.strategy.children["ingest/BTC"].deadline - sim.now)
        sim.wait(3)
        sim.up("ingest/BTC")
    for exponent, delay in enumerate(delays):
        full = min(2.0, 0.2 * 2**exponent)
        assert full / 2 <= delay <= full
    sim.wait(61)
    sim.die("ingest/BTC")
    assert sim.strategy.children["ingest/BTC"].deadline - sim.now <= 0.2


def test_the_sixth_failure_within_a_minute_parks_a_symbol() -> None:
    sim = running(BTC, ETH)
    for _ in range(6):
        assert sim.state("ingest/BTC") is not State.PARKED
        sim.die("ingest/BTC", "signal 9")
        sim.wait(4)
        if sim.state("ingest/BTC") is State.STARTING:
            sim.up("ingest/BTC")
    assert sim.state("ingest/BTC") is State.PARKED
    assert "6 failures" in sim.strategy.children["ingest/BTC"].detail
    assert sim.state("ingest/ETH") is State.RUNNING


def park(sim: Simulation, name: str) -> None:
    while sim.state(name) is not State.PARKED:
        if sim.state(name) in ALIVE:
            sim.die(name)
        sim.wait(0.5)


def test_a_parked_symbol_is_probed_about_once_a_minute_and_one_failure_parks_it_again() -> None:
    sim = running(BTC)
    park(sim, "ingest/BTC")
    before = len(sim.created("ingest/BTC"))
    for probe in range(1, 6):
        parked_at = sim.now
        while len(sim.created("ingest/BTC")) < before + probe:
            sim.wait(0.5)
        assert 47 <= sim.now - parked_at <= 74
        sim.die("ingest/BTC")
        assert sim.state("ingest/BTC") is State.PARKED


def test_a_probe_that_stays_up_is_a_recovery() -> None:
    sim = running(BTC)
    park(sim, "ingest/BTC")
    sim.wait(80)
    assert sim.state("ingest/BTC") is State.STARTING
    sim.up("ingest/BTC")
    assert sim.done[-1][1] == CameBack("ingest/BTC")
    sim.wait(61)
    sim.die("ingest/BTC")
    assert sim.state("ingest/BTC") is State.BACKOFF


def test_resume_starts_a_parked_symbol_at_once_with_a_fresh_budget() -> None:
    sim = running(BTC)
    park(sim, "ingest/BTC")
    problem, actions = sim.strategy.command("ingest/BTC", "resume", sim.now)
    assert problem == ""
    assert [type(action) for action in actions] == [Create]
    sim.up("ingest/BTC")
    sim.die("ingest/BTC")
    assert sim.state("ingest/BTC") is State.BACKOFF


def test_an_essential_child_that_exhausts_its_budget_ends_the_process() -> None:
    sim = running(ROUTER)
    for _ in range(6):
        sim.die("router", "exit 1")
        sim.wait(4)
        if sim.state("router") is State.STARTING:
            sim.up("router")
    assert Escalate("router", "exit 1") in [action for _, action in sim.done]


def test_a_fatal_cause_is_not_worth_a_restart() -> None:
    sim = running(HTTP)
    sim.strategy.announce("http", 1, "port 8000 is in use", fatal=True)
    assert sim.die("http", "exit 1")[-1] == Escalate("http", "port 8000 is in use")


def test_a_child_that_never_gets_ready_is_killed() -> None:
    sim = Simulation(BTC)
    sim.tick()
    actions = sim.wait(31)
    assert Kill("ingest/BTC") in actions
    sim.die("ingest/BTC", "signal 9")
    assert sim.strategy.children["ingest/BTC"].last_cause == "not ready within 30 s"


def test_a_silent_child_is_killed_after_the_heartbeat_limit_and_named_unresponsive() -> None:
    sim = running(BTC)
    silent_since = sim.now
    actions = sim.wait(12, answering=False)
    assert Kill("ingest/BTC") in actions
    killed_at = next(at for at, action in sim.done if action == Kill("ingest/BTC"))
    assert killed_at - silent_since == pytest.approx(10, abs=0.2)
    sim.die("ingest/BTC", "signal 9")
    assert (sim.strategy.children["ingest/BTC"].last_cause or "").startswith("unresponsive")


def test_answers_whose_work_has_stalled_do_not_save_a_child() -> None:
    sim = running(BTC)
    sim.wait(2)
    assert sim.pong("ingest/BTC", stalled=11) == [Kill("ingest/BTC")]
    sim.die("ingest/BTC", "signal 9")
    assert "has not moved" in (sim.strategy.children["ingest/BTC"].last_cause or "")


def test_news_of_an_older_generation_is_ignored() -> None:
    sim = running(BTC)
    sim.die("ingest/BTC")
    sim.wait(1)
    assert sim.strategy.on_ready("ingest/BTC", 1, sim.now) == []
    assert sim.strategy.on_pong("ingest/BTC", 1, "running", "", 0, 99.0, sim.now) == []
    assert sim.state("ingest/BTC") is State.STARTING


def test_pause_drains_keeps_down_and_resume_brings_back() -> None:
    sim = running(BTC)
    problem, actions = sim.strategy.command("ingest/BTC", "pause", sim.now)
    assert (problem, actions) == ("", [SendDrain("ingest/BTC")])
    sim.die("ingest/BTC", "exit 0")
    assert sim.state("ingest/BTC") is State.PAUSED
    sim.wait(300)
    assert len(sim.created("ingest/BTC")) == 1
    sim.note(sim.strategy.command("ingest/BTC", "resume", sim.now)[1])
    assert len(sim.created("ingest/BTC")) == 2


def test_an_asked_for_restart_is_no_failure() -> None:
    sim = running(BTC)
    for _ in range(10):
        sim.strategy.command("ingest/BTC", "restart", sim.now)
        sim.die("ingest/BTC", "exit 0")
        sim.up("ingest/BTC")
    child = sim.strategy.children["ingest/BTC"]
    assert (child.state, child.restarts, len(child.failures)) == (State.RUNNING, 10, 0)


def test_commands_that_do_not_apply_are_refused_with_a_sentence() -> None:
    sim = running(BTC)
    assert "no actor named" in sim.strategy.command("ingest/XRP", "restart", sim.now)[0]
    assert "running" in sim.strategy.command("ingest/BTC", "resume", sim.now)[0]
    sim.strategy.stop(sim.now, 12)
    assert "shutting down" in sim.strategy.command("ingest/BTC", "restart", sim.now)[0]


def test_stop_goes_from_the_last_stage_to_http_and_waits_for_each() -> None:
    sim = running(HTTP, BTC, ETH, ROUTER, EXCHANGE)
    sim.up("exchange") if sim.state("exchange") is State.STARTING else None
    sim.tick()
    sim.up("exchange")
    order = [action.name for action in sim.note(sim.strategy.stop(sim.now, 12)) if isinstance(action, SendDrain)]
    for _ in range(4):
        for name in list(order):
            if sim.state(name) is State.STOPPING:
                sim.die(name, "exit 0")
        order += [action.name for action in sim.tick() if isinstance(action, SendDrain)]
    assert order == ["exchange", "router", "ingest/BTC", "ingest/ETH", "http"]
    assert sim.strategy.stopped


def test_a_hung_child_cannot_take_the_time_of_the_stages_below_it() -> None:
    sim = running(HTTP, BTC)
    sim.note(sim.strategy.stop(sim.now, 12))
    started = sim.now
    while Kill("ingest/BTC") not in [action for _, action in sim.done]:
        sim.wait(0.1)
    assert sim.now - started <= 6.2
    sim.die("ingest/BTC", "signal 9")
    assert sim.strategy.children["ingest/BTC"].last_cause == "did not stop in time"
    assert SendDrain("http") in sim.tick()


def test_nothing_is_started_while_stopping() -> None:
    sim = running(HTTP, BTC)
    sim.die("ingest/BTC")
    sim.note(sim.strategy.stop(sim.now, 12))
    sim.wait(5)
    assert len(sim.created("ingest/BTC")) == 1


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    deaths=st.lists(st.floats(0.01, 30), min_size=1, max_size=60),
    intensity=st.integers(0, 6),
    within=st.floats(5, 90),
    seed=st.integers(0, 2**16),
)
def test_restarts_never_exceed_the_intensity(deaths: list[float], intensity: int, within: float, seed: int) -> None:
    """However a child dies, no window of `within_s` holds more than `intensity` restarts (probes apart)."""
    policy = Policy(intensity=intensity, within_s=within, backoff_s=0.01, backoff_cap_s=0.05, park_probe_s=10_000)
    sim = running(BTC, policy=policy, seed=seed)
    for pause in deaths:
        if sim.state("ingest/BTC") in ALIVE:
            sim.die("ingest/BTC")
        sim.wait(pause, every=max(0.05, pause / 20))
        if sim.state("ingest/BTC") is State.STARTING:
            sim.up("ingest/BTC")
    restarts = sim.created("ingest/BTC")[1:]
    for i, at in enumerate(restarts):
        assert sum(1 for other in restarts[i:] if other - at < within) <= intensity + 1

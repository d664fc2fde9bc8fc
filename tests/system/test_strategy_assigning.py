"""What an assignment does to the children: who is started, who retires, who passes on, who is started anew."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.actions import CameBack, Create, Kill, SendDrain, WentDown
from data_manager.system.strategy import ALIVE, NOT_OURS, ChildSpec, Policy, State, Strategy
from tests.system.test_strategy import BTC, ETH, EXCHANGE, HTTP, ROUTER, Simulation, park, running

B, E = BTC.name, ETH.name
XRP = ChildSpec("ingest/XRP", "x.Ingest", stage=1, symbol="XRP", essential=False)


def assign(sim: Simulation, *specs: ChildSpec, tokens: dict[str, int] | None = None) -> list[object]:
    return list(sim.note(sim.strategy.assign(specs, tokens, sim.now)))


def leased(spec: ChildSpec) -> ChildSpec:
    return msgspec.structs.replace(spec, leased=True)


def test_a_pattern_gives_each_symbol_its_spec() -> None:
    assert ChildSpec("ingest/", "x.Ingest", stage=1, essential=False).of("BTC") == BTC


def test_what_is_new_is_started_and_the_others_are_left_alone() -> None:
    sim = running(HTTP, BTC, ROUTER)
    assert assign(sim, HTTP, BTC, XRP, ROUTER) == [Create(XRP.name, 1)]
    assert list(sim.strategy.children) == ["http", B, XRP.name, "router"]
    assert assign(sim, HTTP, BTC, XRP, ROUTER) == []


def test_what_is_not_there_any_more_is_drained_and_stays_retired_without_an_incident() -> None:
    sim = running(BTC, ETH)
    assert assign(sim, ETH) == [SendDrain(B)]
    assert sim.die(B, "exit 0") == []
    child = sim.strategy.children[B]
    assert (child.state, child.last_cause, child.restarts, len(child.failures)) == (State.RETIRED, "stopped", 0, 0)
    sim.wait(500)
    assert len(sim.created(B)) == 1
    assert sim.state(E) is State.RUNNING
    assert assign(sim, ETH) == []


def test_a_retired_symbol_can_come_back_as_a_new_generation() -> None:
    sim = running(BTC, ETH)
    assign(sim, ETH)
    sim.die(B, "exit 0")
    assert assign(sim, BTC, ETH) == [Create(B, 2)]
    sim.up(B)
    assert sim.state(B) is State.RUNNING


def test_one_that_comes_back_while_it_still_drains_is_started_once_it_has_gone() -> None:
    sim = running(BTC, ETH)
    assign(sim, ETH)
    assert assign(sim, BTC, ETH) == []
    assert sim.die(B, "exit 0") == [Create(B, 2)]


def test_one_that_does_not_drain_in_time_is_killed_and_retired_all_the_same() -> None:
    sim = running(BTC, ETH)
    assign(sim, ETH)
    assert Kill(B) in sim.wait(7)
    assert sim.die(B, "signal 9") == []
    assert sim.state(B) is State.RETIRED


def test_the_incident_of_one_that_is_down_ends_with_its_retirement() -> None:
    sim = running(BTC, ETH)
    sim.die(B)
    assert sim.state(B) is State.BACKOFF
    assert assign(sim, ETH) == [CameBack(B)]
    assert sim.state(B) is State.RETIRED
    sim.wait(60)
    assert len(sim.created(B)) == 1


def test_so_does_that_of_one_that_is_on_its_way_up_again() -> None:
    sim = running(BTC, ETH)
    sim.die(B)
    sim.wait(1)
    assert sim.state(B) is State.STARTING
    assert assign(sim, ETH) == [SendDrain(B), CameBack(B)]


def test_a_parked_symbol_retires_is_probed_no_more_and_comes_back_with_a_fresh_budget() -> None:
    sim = running(BTC, ETH)
    park(sim, B)
    before = len(sim.created(B))
    assert assign(sim, ETH) == [CameBack(B)]
    assert assign(sim, BTC, ETH) == [Create(B, before + 1)]
    sim.up(B)
    sim.die(B)
    assert sim.state(B) is State.BACKOFF
    park(sim, B)
    before = len(sim.created(B))
    assign(sim, ETH)
    sim.wait(200)
    assert len(sim.created(B)) == before


def test_a_paused_symbol_stays_paused_until_it_retires() -> None:
    sim = running(BTC, ETH)
    sim.strategy.command(B, "pause", sim.now)
    assert assign(sim, BTC, ETH) == []
    sim.die(B, "exit 0")
    assert assign(sim, BTC, ETH) == []
    assert sim.state(B) is State.PAUSED
    assign(sim, ETH)
    assert sim.state(B) is State.RETIRED


def test_commands_to_a_retired_symbol_are_refused() -> None:
    sim = running(BTC, ETH)
    assign(sim, ETH)
    sim.die(B, "exit 0")
    for action in ("restart", "pause", "resume"):
        assert "is retired" in sim.strategy.command(B, action, sim.now)[0]


def test_who_needs_a_retired_symbol_does_not_wait_for_it() -> None:
    sim = Simulation(BTC, ROUTER, EXCHANGE)
    sim.tick()
    sim.up("router")
    assign(sim, ROUTER, EXCHANGE)
    assert sim.die(B, "exit 0") == []
    assert Create("exchange", 1) in sim.tick()


def test_while_stopping_an_assignment_changes_nothing() -> None:
    sim = running(HTTP, BTC)
    sim.note(sim.strategy.stop(sim.now, 12))
    assert assign(sim, HTTP, ETH) == []
    assert E not in sim.strategy.children
    for name in (B, "http"):
        sim.die(name, "exit 0")
        sim.tick()
    assert sim.strategy.stopped


def test_one_that_retires_while_the_tree_stops_is_stopped() -> None:
    sim = running(HTTP, BTC)
    assign(sim, HTTP)
    sim.note(sim.strategy.stop(sim.now, 12))
    sim.die(B, "exit 0")
    assert sim.state(B) is State.STOPPED


# -- leases --------------------------------------------------------------------------------------------------


def test_what_is_leased_waits_for_its_assignment() -> None:
    sim = Simulation(HTTP, leased(BTC), leased(ETH), leased(ROUTER))
    assert sim.tick() == [Create("http", 1)]
    specs = HTTP, leased(BTC), leased(ETH), leased(ROUTER)
    assert assign(sim, *specs, tokens={B: 7}) == [Create(B, 1)]
    assert sim.strategy.children[B].token == 7
    assert {sim.state(name) for name in (E, "router")} == {State.ELSEWHERE}


def test_what_passes_on_is_drained_and_elsewhere() -> None:
    sim = Simulation(leased(BTC), leased(ETH))
    assign(sim, leased(BTC), leased(ETH), tokens={B: 1, E: 1})
    sim.up(B)
    assert assign(sim, leased(BTC), leased(ETH), tokens={E: 1}) == [SendDrain(B)]
    assert sim.die(B, "exit 0") == []
    assert sim.state(B) is State.ELSEWHERE
    assert assign(sim, leased(ETH), tokens={E: 1}) == []
    assert sim.state(B) is State.RETIRED


def test_a_new_token_is_a_restart_that_is_no_failure() -> None:
    sim = Simulation(leased(BTC))
    assign(sim, leased(BTC), tokens={B: 1})
    sim.up(B)
    for token in range(2, 12):
        assert assign(sim, leased(BTC), tokens={B: token}) == [SendDrain(B)]
        assert sim.die(B, "exit 0") == [Create(B, token)]
        assert sim.strategy.children[B].token == token
        sim.up(B)
    assert (sim.state(B), len(sim.strategy.children[B].failures)) == (State.RUNNING, 0)


def test_a_token_that_changes_while_it_is_down_is_that_of_its_next_start() -> None:
    sim = Simulation(leased(BTC))
    assign(sim, leased(BTC), tokens={B: 1})
    sim.up(B)
    sim.die(B)
    assert assign(sim, leased(BTC), tokens={B: 2}) == []
    sim.wait(1)
    assert sim.state(B) is State.STARTING
    assert sim.strategy.children[B].token == 2


def test_without_leases_all_of_it_runs_here() -> None:
    sim = Simulation(leased(BTC), leased(ROUTER))
    assert assign(sim, leased(BTC), leased(ROUTER)) == [Create(B, 1), Create("router", 1)]


# -- whatever happens ----------------------------------------------------------------------------------------

SPECS = (HTTP, leased(BTC), leased(ETH), XRP, leased(ROUTER))
NAMES = [spec.name for spec in SPECS]
STEPS = st.one_of(
    st.tuples(
        st.just("assign"),
        st.sets(st.sampled_from(SPECS[1:])),
        st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)),
    ),
    st.tuples(st.just("assign alone"), st.sets(st.sampled_from(SPECS[1:])), st.none()),
    st.tuples(st.sampled_from(["up", "die", "restart", "pause", "resume"]), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("wait"), st.floats(0.1, 40), st.none()),
)


class Checked(Simulation):
    """Keeps the processes that there would be, and what they have been asked."""

    def __init__(self) -> None:
        super().__init__(*SPECS, policy=Policy(intensity=2, park_probe_s=20))
        self.alive: set[str] = set()
        self.drained: set[str] = set()
        self.down: set[str] = set()

    def note(self, actions):  # type: ignore[no-untyped-def]
        for action in super().note(actions):
            match action:
                case Create(name=name):
                    assert name not in self.alive, "two live generations"
                    self.alive.add(name)
                case SendDrain(name=name):
                    assert name in self.alive
                    self.drained.add(name)
                case WentDown(name=name):
                    assert name not in self.down
                    self.down.add(name)
                case CameBack(name=name):
                    self.down.remove(name)
        return actions

    def die(self, name: str, cause: str = "signal 9"):  # type: ignore[no-untyped-def]
        planned = name in self.drained
        self.alive.discard(name)
        self.drained.discard(name)
        went = super().die(name, cause)
        assert not (planned and any(isinstance(each, WentDown) for each in went)), "an asked-for end is no incident"
        return went

    def check(self) -> None:
        for name, child in self.strategy.children.items():
            assert (child.state in ALIVE) == (name in self.alive), name
            if child.state in NOT_OURS:
                assert name not in self.down, "an incident of what is nobody's trouble"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.lists(STEPS, max_size=40))
def test_no_name_lives_twice_and_what_retires_is_drained_and_leaves_no_incident(
    steps: list[tuple[str, object, object]],
) -> None:
    sim = Checked()
    for step, subject, tokens in steps:
        if step.startswith("assign"):
            wanted = [spec for spec in SPECS if spec is HTTP or spec in subject]  # type: ignore[operator]
            sim.note(sim.strategy.assign(wanted, tokens, sim.now))  # type: ignore[arg-type]
            here = {spec.name for spec in wanted if tokens is None or not spec.leased or spec.name in tokens}  # type: ignore[operator]
            for name, child in sim.strategy.children.items():
                leaves = child.state in NOT_OURS or (child.state is State.STOPPING and child.after_stop in NOT_OURS)
                assert leaves == (name not in here)
        elif step == "up" and sim.strategy.children.get(str(subject)) and sim.state(str(subject)) is State.STARTING:
            sim.up(str(subject))
        elif step == "die" and subject in sim.alive:
            sim.die(str(subject))
        elif step in ("restart", "pause", "resume"):
            sim.note(sim.strategy.command(str(subject), step, sim.now)[1])
        elif step == "wait":
            sim.wait(float(subject), every=0.5)  # type: ignore[arg-type]
        sim.check()


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    deaths=st.lists(st.floats(0.01, 10), min_size=1, max_size=30),
    flips=st.lists(st.booleans(), min_size=30, max_size=30),
    seed=st.integers(0, 2**16),
)
def test_what_happens_to_others_uses_up_nobodys_budget(deaths: list[float], flips: list[bool], seed: int) -> None:
    """A symbol that dies is restarted at the same times, whether others come and go meanwhile or not."""
    policy = Policy(intensity=3, within_s=20)
    alone, beside = (running(BTC, ETH, policy=policy, seed=seed) for _ in range(2))
    for pause, flip in zip(deaths, flips, strict=False):
        for sim in (alone, beside):
            if sim.state(B) in ALIVE:
                sim.die(B)
            if sim is beside:
                sim.note(sim.strategy.assign((BTC, ETH, *([XRP] if flip else [])), None, sim.now))
                if sim.strategy.children.get(XRP.name) and sim.state(XRP.name) is State.STOPPING:
                    sim.die(XRP.name, "exit 0")
                elif sim.strategy.children.get(XRP.name) and sim.state(XRP.name) is State.STARTING:
                    sim.up(XRP.name)
            sim.wait(pause)
            if sim.state(B) is State.STARTING:
                sim.up(B)
    assert alone.created(B) == pytest.approx(beside.created(B))


def test_strategies_are_made_of_children_that_begin_where_their_leases_say() -> None:
    made = Strategy((HTTP, leased(BTC)), Policy(), random.Random(1))
    assert {name: child.state for name, child in made.children.items()} == {
        "http": State.PENDING,
        B: State.ELSEWHERE,
    }

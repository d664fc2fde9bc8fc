"""The restart policy: who runs, who is restarted when, who is given up. Pure; the supervisor carries it out.

One for one, as OTP's supervisors do it: a child that dies is started again, with exponential back-off and jitter,
as long as it does not die more than `intensity` times `within_s` seconds. Then an essential child escalates (the
process ends; whatever runs the process is the top supervisor), any other is *parked*: left down and probed
slowly. A child that does not answer is killed and counted like any death.

Every method takes `now`, monotonic seconds, and returns the actions to carry out, in order.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from data_manager.system.actions import Action, CameBack, Create, Escalate, Kill, SendDrain, SendPing, WentDown


class ChildSpec(msgspec.Struct, frozen=True):
    """One actor of the tree. Adding an actor to the service is adding one of these."""

    name: str
    actor: str  # dotted path of its class
    stage: int  # started in ascending order, stopped in descending order
    symbol: str | None = None
    essential: bool = True  # exhausted budget: True ends the process, False parks the actor
    memory_hard_mb: int | None = None  # RLIMIT_DATA of its process
    needs: tuple[str, ...] = ()  # created only once each of these has run (or is parked or paused)
    leased: bool = False  # runs in one of several replicas: here only when an assignment says so

    def of(self, symbol: str) -> ChildSpec:
        """The spec of one symbol's actor, where this one is the pattern of them all."""
        return msgspec.structs.replace(self, name=f"{self.name}{symbol}", symbol=symbol)


class Policy(msgspec.Struct, frozen=True):
    """The numbers, all in settings."""

    intensity: int = 5
    within_s: float = 60
    backoff_s: float = 0.2
    backoff_cap_s: float = 30
    healthy_after_s: float = 60
    heartbeat_s: float = 2
    heartbeat_miss_s: float = 10
    start_timeout_s: float = 30
    park_probe_s: float = 60
    stop_timeout_s: float = 6


class State(StrEnum):
    """Where a child is in its life."""

    PENDING = "pending"  # waits for the children it needs
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"  # runs, and waits for a part that is away
    STOPPING = "stopping"
    BACKOFF = "backoff"
    PARKED = "parked"
    PAUSED = "paused"
    STOPPED = "stopped"
    RETIRED = "retired"  # its symbol is no longer one of the service's
    ELSEWHERE = "elsewhere"  # another replica has its lease


ALIVE = (State.STARTING, State.RUNNING, State.WAITING, State.STOPPING)
SETTLED = (State.PARKED, State.PAUSED, State.STOPPED, State.RETIRED, State.ELSEWHERE)
NOT_OURS = (State.RETIRED, State.ELSEWHERE)


class Child:
    """One child's state. Fields are read by the supervisor, written only here."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state = State.ELSEWHERE if spec.leased else State.PENDING
        self.token = 0  # of the lease that it runs under
        self.detail = ""
        self.pid: int | None = None
        self.generation = 0
        self.restarts = 0
        self.last_cause: str | None = None
        self.last_exit: float | None = None
        self.left: float | None = None  # when it was last given away
        self.started: float | None = None
        self.lag: int | None = None
        self.ever_running = False
        self.down = False  # an incident is open
        self.announced_cause: str | None = None  # why it is about to die, when somebody knows
        self.fatal = False  # ... and that no restart would help
        self.after_stop = State.STOPPED  # what an asked-for exit leads to; PENDING means start again
        self.deadline = 0.0  # of the present state: start time-out, last answer, back-off, probe, stop time-out
        self.failures: deque[float] = deque()
        self.streak = 0  # failures since it was last healthy: the exponent of the back-off
        self.probing = False  # started from the parking place: one failure parks it again


class Strategy:
    """The policy over all children, in the order of their stages."""

    def __init__(self, specs: Iterable[ChildSpec], policy: Policy, rng: random.Random) -> None:
        self.policy = policy
        self.children = {spec.name: Child(spec) for spec in sorted(specs, key=lambda spec: spec.stage)}
        self.stopping = False
        self._rng = rng
        self._stage_deadline = 0.0
        self._stop_by = 0.0
        self._next_ping = 0.0

    # -- what happens -----------------------------------------------------------------------------------

    def created(self, name: str, generation: int, pid: int) -> None:
        """The process exists."""
        child = self.children[name]
        if generation == child.generation:
            child.pid = pid

    def on_ready(self, name: str, generation: int, now: float) -> list[Action]:
        """It answers its mailbox for the first time."""
        child = self.children[name]
        if generation != child.generation or child.state is not State.STARTING:
            return []
        child.state, child.detail = State.WAITING, "start"
        child.deadline = now + self.policy.heartbeat_miss_s
        return [SendPing(name)]  # at once: what runs is known a heartbeat earlier

    def on_pong(
        self,
        name: str,
        generation: int,
        state: str,
        detail: str,
        lag: int | None,
        stalled_s: float,
        now: float,
    ) -> list[Action]:
        """It answered a heartbeat. An answer whose work has stalled counts as none."""
        child = self.children[name]
        if generation != child.generation or child.state not in (
            State.RUNNING,
            State.WAITING,
            State.STOPPING,
        ):
            return []
        if stalled_s > self.policy.heartbeat_miss_s:
            return self._kill(child, f"unresponsive: its work has not moved for {stalled_s:.0f} s")
        child.lag = lag
        if child.state is State.STOPPING:
            return []
        child.deadline = now + self.policy.heartbeat_miss_s
        child.state, child.detail = State(state), detail
        if child.state is not State.RUNNING:
            return []
        child.ever_running = True
        return self._recovered(child)

    def announce(self, name: str, generation: int, cause: str, *, fatal: bool = False) -> None:
        """It said why it is about to exit; a `fatal` cause is not worth a restart, only the operator can mend it."""
        child = self.children[name]
        if generation == child.generation:
            child.announced_cause, child.fatal = cause, fatal

    def on_exit(self, name: str, cause: str, now: float) -> list[Action]:
        """Its process is gone; `cause` is the exit code or signal in words."""
        child = self.children[name]
        if child.state not in ALIVE:
            return []
        planned = child.state is State.STOPPING
        uptime = now - child.started if child.started is not None else 0.0
        child.pid, child.lag, child.last_exit = None, None, now
        if planned:
            child.last_cause = child.announced_cause or "stopped"
            child.state, child.detail = child.after_stop, ""
            return self._start_pending(now) if child.state is State.PENDING else []
        child.last_cause = child.announced_cause or cause
        return self._failed(child, uptime, now)

    def command(self, name: str, action: str, now: float) -> tuple[str, list[Action]]:
        """An operator's restart, pause or resume; returns the sentence that refuses it (empty when accepted)."""
        child = self.children.get(name)
        if child is None:
            return f"there is no actor named {name!r}", []
        if self.stopping:
            return "the system is shutting down", []
        if action == "pause":
            return self._pause(child, now)
        if action == "restart" and child.state in (State.RUNNING, State.WAITING, State.STARTING):
            return "", self._drain(child, State.PENDING, now)
        if action in ("restart", "resume") and child.state in (State.PARKED, State.PAUSED, State.BACKOFF):
            child.failures.clear()
            child.streak, child.probing = 0, False
            child.state = State.PENDING
            return "", self._start_pending(now)
        return f"{name} is {child.state}; {action} does not apply", []

    def on_tick(self, now: float) -> list[Action]:
        """Everything that time alone brings about; call it at least once a heartbeat."""
        actions: list[Action] = []
        for child in self.children.values():
            if now >= child.deadline:
                actions += self._overdue(child, now)
        if self.stopping:
            actions += self._stop_next_stage(now)
        else:
            actions += self._start_pending(now)
        if now >= self._next_ping:
            self._next_ping = now + self.policy.heartbeat_s
            actions += [
                SendPing(child.spec.name)
                for child in self.children.values()
                if child.state in (State.RUNNING, State.WAITING, State.STOPPING)
            ]
        return actions

    def stop(self, now: float, grace_s: float) -> list[Action]:
        """Begin the ordered stop: the highest stage first, http last."""
        self.stopping, self._stop_by = True, now + grace_s
        for child in self.children.values():
            if child.state in (State.PENDING, State.BACKOFF):
                child.state = State.STOPPED
        return self._stop_next_stage(now)

    @property
    def stopped(self) -> bool:
        """Whether no child is alive and none will be started."""
        return self.stopping and not any(child.state in ALIVE for child in self.children.values())

    def next_deadline(self, now: float) -> float:
        """When on_tick must be called at the latest."""
        times = [self._next_ping]
        times += [child.deadline for child in self.children.values() if child.deadline > now]
        return min(times)

    def assign(self, specs: Iterable[ChildSpec], tokens: Mapping[str, int] | None, now: float) -> list[Action]:
        """Have these children from now on, the leased ones where `tokens` names them; None: all of them run here.

        What is new is started, and what is not there any more is drained and stays retired; a child whose token
        has changed is restarted. That is asked for and no failure. A child that is there already keeps its spec. A
        repetition changes nothing; while stopping nothing does.
        """
        if self.stopping:
            return []
        wanted = {spec.name: spec for spec in specs}
        known = self.children | {name: Child(spec) for name, spec in wanted.items() if name not in self.children}
        self.children = dict(sorted(known.items(), key=lambda item: item[1].spec.stage))
        actions: list[Action] = []
        for name, child in self.children.items():
            if name not in wanted:
                actions += self._give_away(child, State.RETIRED, now)
            elif child.spec.leased and tokens is not None and name not in tokens:
                actions += self._give_away(child, State.ELSEWHERE, now)
            else:
                actions += self._take(child, 0 if tokens is None else tokens.get(name, 0), now)
        return actions + self._start_pending(now)

    # -- how it is decided ------------------------------------------------------------------------------

    def _start_pending(self, now: float) -> list[Action]:
        if self.stopping:
            return []
        actions: list[Action] = []
        for child in self.children.values():
            if child.state is State.PENDING and all(self._served(need) for need in child.spec.needs):
                child.generation += 1
                if child.generation > 1:
                    child.restarts += 1
                child.state, child.detail, child.announced_cause, child.fatal = State.STARTING, "", None, False
                child.started, child.deadline = now, now + self.policy.start_timeout_s
                actions.append(Create(child.spec.name, child.generation))
        return actions

    def _served(self, name: str) -> bool:
        child = self.children[name]
        return child.ever_running or child.state in SETTLED

    def _take(self, child: Child, token: int, now: float) -> list[Action]:
        """It runs here, under this token."""
        held, child.token = child.token, token
        if child.state in NOT_OURS:
            child.state, child.detail = State.PENDING, ""
        elif child.state is State.STOPPING and child.after_stop in NOT_OURS:
            child.after_stop = State.PENDING
        elif child.state in (State.STARTING, State.RUNNING, State.WAITING) and token != held:
            return self._drain(child, State.PENDING, now)
        return []

    def _give_away(self, child: Child, to: State, now: float) -> list[Action]:
        """It does not run here any more; whatever was wrong with it is nobody's trouble now."""
        if to in (child.state, child.after_stop if child.state is State.STOPPING else None):
            return []
        child.left = now
        child.failures.clear()
        child.streak, child.probing = 0, False
        if child.state is State.STOPPING:
            child.after_stop = to
            return self._recovered(child)
        if child.state in ALIVE:
            return [*self._drain(child, to, now), *self._recovered(child)]
        child.state, child.detail, child.deadline = to, "", float("inf")
        return self._recovered(child)

    def _overdue(self, child: Child, now: float) -> list[Action]:
        if child.state is State.STARTING:
            return self._kill(child, f"not ready within {self.policy.start_timeout_s:g} s")
        if child.state in (State.RUNNING, State.WAITING):
            return self._kill(child, f"unresponsive: no answer for {self.policy.heartbeat_miss_s:g} s")
        if child.state is State.STOPPING:
            return self._kill(child, "did not stop in time")
        if child.state in (State.BACKOFF, State.PARKED):
            child.probing = child.state is State.PARKED
            child.state = State.PENDING
        return []

    def _kill(self, child: Child, cause: str) -> list[Action]:
        child.announced_cause = cause
        child.deadline = float("inf")  # SIGKILL does not fail; the exit comes
        return [Kill(child.spec.name)]

    def _failed(self, child: Child, uptime: float, now: float) -> list[Action]:
        cause = child.last_cause or "unknown"
        actions: list[Action] = [] if child.down else [WentDown(child.spec.name, cause)]
        child.down = True
        if self.stopping:
            child.state = State.STOPPED
            return actions
        if child.fatal:
            child.state, child.deadline = State.STOPPED, float("inf")
            return [*actions, Escalate(child.spec.name, cause)]
        if uptime >= self.policy.healthy_after_s:
            child.streak, child.probing = 0, False
        child.streak += 1
        child.failures.append(now)
        while now - child.failures[0] > self.policy.within_s:
            child.failures.popleft()
        if child.probing or len(child.failures) > self.policy.intensity:
            return actions + self._give_up(child, cause, now)
        delay = min(self.policy.backoff_cap_s, self.policy.backoff_s * 2.0 ** (child.streak - 1))
        child.state = State.BACKOFF
        child.deadline = now + delay * self._rng.uniform(0.5, 1.0)
        return actions

    def _give_up(self, child: Child, cause: str, now: float) -> list[Action]:
        child.probing = False
        if child.spec.essential:
            child.state, child.deadline = State.STOPPED, float("inf")
            return [Escalate(child.spec.name, cause)]
        child.state = State.PARKED
        child.detail = f"{len(child.failures)} failures within {self.policy.within_s:g} s; last: {cause}"
        child.deadline = now + self.policy.park_probe_s * self._rng.uniform(0.8, 1.2)
        return []

    def _pause(self, child: Child, now: float) -> tuple[str, list[Action]]:
        if child.state is State.PAUSED:
            return "", []
        if child.state in (State.PENDING, State.BACKOFF, State.PARKED):
            child.state, child.detail, child.deadline = State.PAUSED, "", float("inf")
            return "", self._recovered(child)
        if child.state in (State.RUNNING, State.WAITING, State.STARTING):
            return "", self._drain(child, State.PAUSED, now)
        return f"{child.spec.name} is {child.state}; pause does not apply", []

    def _drain(self, child: Child, then: State, now: float) -> list[Action]:
        child.state, child.after_stop = State.STOPPING, then
        child.deadline = now + self.policy.stop_timeout_s
        return [SendDrain(child.spec.name)]

    def _recovered(self, child: Child) -> list[Action]:
        if not child.down:
            return []
        child.down = False
        return [CameBack(child.spec.name)]

    def _stop_next_stage(self, now: float) -> list[Action]:
        """Drain the highest stage that still lives, once the stages above it are gone."""
        alive = [child for child in self.children.values() if child.state in ALIVE]
        if not alive:
            return []
        stage = max(child.spec.stage for child in alive)
        actions: list[Action] = []
        for child in alive:
            if child.spec.stage == stage and child.state is not State.STOPPING:
                actions += self._drain(child, State.STOPPED, now)
            if child.spec.stage == stage:
                child.after_stop = State.STOPPED  # also for one that was being paused or restarted
                # half of what is left for each stage: a hung one must not take the time of those below it
                child.deadline = min(child.deadline, now + max(0.5, (self._stop_by - now) / 2))
        return actions

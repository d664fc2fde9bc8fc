"""The root of the tree: carries out the restart policy, and knows how everything is.

It holds no thread, client or open file, since its children are forked from it, and it does no I/O: incidents go to
the http actor, which keeps them in the catalog. Its own death ends the process (system/lifecycle.py).
"""

from __future__ import annotations

import logging
import os
import random
import signal
from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec
from thespian.actors import (
    Actor,
    ActorExitRequest,
    ChildActorExited,
    DeadEnvelope,
    PoisonMessage,
    WakeupMessage,
)

from data_manager.system import fleet_messages, hardening, messages
from data_manager.system.actions import CameBack, Create, Escalate, Kill, SendDrain, SendPing, WentDown
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.logs import configure, log
from data_manager.system.metrics import Series, Totals, add_counters, series
from data_manager.system.settings import Settings
from data_manager.system.strategy import ALIVE, NOT_OURS, Child, Policy, State, Strategy

HTTP = "http"
AUDITOR = "auditor"
FLEET = "fleet"
NEWS_MIN_S = 0.2  # http hears of changes at most this often, and with every heartbeat ...
NEWS_UNHEARD_MAX = 20  # ... as long as it answers: of one that hangs, news would fill what Thespian sends at a time
TICK_MIN_S = 0.02
RETIRED_SHOWN_S = 300.0  # for so long the tree shows what was retired
PENDING_INCIDENTS_MAX = 1000  # kept while http is down; the oldest go first


class Supervisor(Actor):
    """Starts, watches, restarts and stops the actors of `Start.specs`."""

    def __init__(self) -> None:
        hardening.die_with_parent()
        hardening.default_fault_signals()
        self._clock = SystemClock()
        self._strategy: Strategy | None = None

    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802  (Thespian's name)
        """Take one message; an error here must end the process, not repeat the message."""
        try:
            self._dispatch(message, sender)
        except Exception as error:  # noqa: BLE001  the actor boundary: without a supervisor nothing may run
            log("supervisor_failed", level=logging.ERROR, cause=f"{type(error).__name__}: {error}")
            os._exit(1)

    def _dispatch(self, message: Any, sender: Any) -> None:
        if isinstance(message, messages.Start):
            self._start(message, sender)
        if self._strategy is None:
            return
        now = self._clock.monotonic()
        match message:
            case ChildActorExited():
                self._exited(message.childAddress, now)
            case messages.Message():
                self._hear(message, sender, now)
            case DeadEnvelope():
                self._own[series("data_manager_dead_letters_total", {})] += 1
            case PoisonMessage():
                log("poison_message", level=logging.ERROR, details=str(message.details)[:500])
            case WakeupMessage():
                self._armed_for = float("inf")
        self._act(self._strategy.on_tick(now), now)
        self._report(now)
        self._arm(now)

    # -- messages -------------------------------------------------------------------------------------------

    def _start(self, start: messages.Start, sender: Any) -> None:
        configure("supervisor", start.settings.log_level)
        self._settings, self._main = start.settings, sender
        self._rng = random.Random(start.seed)  # noqa: S311  jitter and ids only
        self._strategy = Strategy(start.specs, policy_of(start.settings), self._rng)
        self._fixed = [spec for spec in start.specs if spec.symbol is None]
        self._per_symbol = start.per_symbol
        self._symbols = tuple(spec.symbol for spec in start.specs if spec.symbol is not None)
        self._addresses: dict[str, Any] = {}
        self._processes: dict[str, Any] = {}
        self._base: dict[str, dict[Series, float]] = {}  # counters of dead generations, by actor
        self._totals: dict[str, Totals] = {}  # of the living ones
        self._own: dict[Series, float] = {series("data_manager_dead_letters_total", {}): 0.0}
        self._incidents: dict[str, messages.IncidentNews] = {}  # open ones, by actor
        self._unsent: deque[messages.IncidentNews] = deque(maxlen=PENDING_INCIDENTS_MAX)
        self._killed: list[str] = []
        self._started_ms = now_ms(self._clock)
        self._armed_for, self._news_due, self._news_at, self._pings = float("inf"), True, 0.0, 0
        self._unheard = 0  # pieces of news to http since it last answered
        self._stopper: Any = None
        self.handleDeadLetters(True)
        self.send(sender, messages.Started(os.getpid(), os.getppid()))

    def _hear(self, message: messages.Message, sender: Any, now: float) -> None:
        strategy = self._running()
        match message:
            case messages.Ready(name=name, generation=generation):
                self._act(strategy.on_ready(name, generation, now), now)
            case messages.Pong():
                self._pong(message, now)
            case messages.Failed(name=name, generation=generation, cause=cause, fatal=fatal):
                strategy.announce(name, generation, cause, fatal=fatal)
            case messages.Stopping(name=name, generation=generation, reason=reason):
                strategy.announce(name, generation, reason)
            case messages.Drained():
                if self._counts(message.name, message.generation):
                    self._totals[message.name] = message.totals
            case messages.Suspected():
                self._suspected(message)
            case messages.Hint():
                self._pass_on(message.to, message)
            case fleet_messages.Brought(actor=name, message=brought):
                self._tell(name, brought)
            case messages.Command():
                problem, actions = strategy.command(message.actor, message.action, now)
                self._act(actions, now)
                child = strategy.children.get(message.actor)
                state = child.state if child else ""
                log("command", actor_name=message.actor, action=message.action, problem=problem, state=state)
                self.send(sender, messages.CommandDone(message.request_id, problem, state))
            case messages.Assign():
                self._assign(message, now)
            case messages.TreeQuery():
                self.send(sender, messages.TreeReply(message.request_id, self._tree(now)))
            case messages.Stop():
                self._stopper = sender
                self._act(strategy.stop(now, message.grace_s), now)

    def _assign(self, assign: messages.Assign, now: float) -> None:
        strategy = self._running()
        if strategy.stopping:
            return
        if assign.symbols != self._symbols:
            log("symbols", symbols=list(assign.symbols))
            self._symbols = assign.symbols  # for those that are created from here on
            for name, child in strategy.children.items():
                if child.state in ALIVE:
                    self._tell(name, messages.SymbolsNews(assign.symbols))
        specs = [*self._fixed, *map(self._per_symbol.of, assign.symbols)]
        self._act(strategy.assign(specs, assign.here, now), now)
        self._news_due = True

    def _pong(self, pong: messages.Pong, now: float) -> None:
        strategy = self._running()
        child = strategy.children[pong.name]
        if not self._counts(pong.name, pong.generation):
            return
        if pong.name == HTTP:
            self._unheard = 0
        before = child.state, child.detail
        self._totals[pong.name] = pong.totals
        self._act(
            strategy.on_pong(pong.name, pong.generation, pong.state, pong.detail, pong.lag, pong.stalled_s, now),
            now,
        )
        if (child.state, child.detail) != before:
            log("actor_state", actor_name=pong.name, state=child.state, detail=child.detail)
            self._news_due = True

    def _exited(self, address: Any, now: float) -> None:
        name = next((name for name, known in self._addresses.items() if known == address), None)
        if name is None:  # a generation that was written off before
            return
        del self._addresses[name]
        cause = exit_cause(self._processes.pop(name).exitcode)
        self._fold(name)
        child = self._running().children[name]
        self._act(self._running().on_exit(name, cause, now), now)
        log(
            "actor_exited",
            actor_name=name,
            cause=child.last_cause,
            state=child.state,
            generation=child.generation,
        )

    def _counts(self, name: str, generation: int) -> bool:
        """Whether this is of the living generation: a dead one's totals are folded, and would count twice."""
        return name in self._addresses and self._running().children[name].generation == generation

    def _fold(self, name: str) -> None:
        """Add the last totals of a generation that is over to those of all before it."""
        last = self._totals.pop(name, Totals())
        self._base[name] = add_counters((self._base.get(name, {}), last.counters))

    def _suspected(self, news: messages.Suspected) -> None:
        self._pass_on(AUDITOR, news)
        now = now_ms(self._clock)
        span = "" if news.start_ms is None else f" between {news.start_ms} and {news.end_ms} ms"
        detail = news.detail + span
        self._keep(messages.IncidentNews(self._new_id(), "suspected_gap", news.symbol, news.reason, now, now, detail))

    # -- actions --------------------------------------------------------------------------------------------

    def _act(self, actions: list[Any], now: float) -> None:
        if actions:
            self._news_due = self._news_due or not all(isinstance(action, SendPing) for action in actions)
        for action in actions:
            match action:
                case Create(name=name, generation=generation):
                    self._create(name, generation)
                case SendPing(name=name):
                    self._pings += 1
                    self._tell(name, messages.Ping(self._pings))
                case SendDrain(name=name):
                    self._tell(name, messages.Drain())
                case Kill(name=name):
                    self._kill(name)
                case WentDown(name=name, cause=cause):
                    self._incidents[name] = messages.IncidentNews(
                        self._new_id(), "actor_down", name, cause, now_ms(self._clock)
                    )
                    self._keep(self._incidents[name])
                case CameBack(name=name):
                    ended = msgspec.structs.replace(self._incidents.pop(name), ended_ms=now_ms(self._clock))
                    self._keep(ended)
                case Escalate(name=name, cause=cause):
                    log("escalated", level=logging.ERROR, actor_name=name, cause=cause)
                    fatal = self._running().children[name].fatal
                    self.send(self._main, messages.Escalated(name, cause, fatal))

    def _create(self, name: str, generation: int) -> None:
        child = self._running().children[name]
        spec = child.spec
        self._fold(name)  # of a generation that was written off: its end is never heard of
        address = self.createActor(spec.actor)
        self._addresses[name] = address
        self._processes[name] = hardening.last_child_process(self)
        self._running().created(name, generation, self._processes[name].pid)
        self.send(
            address,
            messages.Init(
                name, generation, self._settings, spec.symbol, spec.memory_hard_mb, self._symbols, child.token
            ),
        )

    def _kill(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None:
            if self._running().stopping:
                self._killed.append(name)
            log("actor_killed", level=logging.WARNING, actor_name=name, pid=process.pid)
            with suppress(ProcessLookupError):  # it is dead already, and the news of that on its way
                os.kill(process.pid, signal.SIGKILL)

    def _tell(self, name: str, message: messages.Message) -> None:
        address = self._addresses.get(name)
        if address is not None:
            self.send(address, message)

    def _pass_on(self, name: str, message: messages.Message) -> None:
        """To the actor of that name wherever it runs."""
        child = self._running().children.get(name)
        if child is not None and child.state is State.ELSEWHERE:
            self._tell(FLEET, fleet_messages.Elsewhere(name, message))
        else:
            self._tell(name, message)

    # -- news -----------------------------------------------------------------------------------------------

    def _report(self, now: float) -> None:
        heartbeat = now - self._news_at >= self._settings.heartbeat_s
        if heartbeat or (self._news_due and now - self._news_at >= NEWS_MIN_S):
            self._news_due, self._news_at = False, now
            http = self._running().children.get(HTTP)
            if http is not None and http.state in ("running", "waiting") and self._unheard < NEWS_UNHEARD_MAX:
                self._unheard += 1
                self._tell(HTTP, messages.TreeNews(self._tree(now)))
                while self._unsent:
                    self._tell(HTTP, self._unsent.popleft())
        if self._stopper is not None and self._running().stopped:
            self.send(self._stopper, messages.Stopped(tuple(self._killed), self._tree(now)))
            self._stopper = None
            self.send(self.myAddress, ActorExitRequest())

    def _arm(self, now: float) -> None:
        """Keep one timer for the next deadline; a later one that is still under way does no harm."""
        due = self._running().next_deadline(now)
        if self._news_due:
            due = min(due, self._news_at + NEWS_MIN_S)
        if due < self._armed_for - TICK_MIN_S:
            self._armed_for = due
            self.wakeupAfter(timedelta(seconds=max(TICK_MIN_S, due - now)))

    def _keep(self, news: messages.IncidentNews) -> None:
        self._unsent.append(news)
        self._news_due = True

    def _tree(self, now: float) -> messages.Tree:
        strategy = self._running()
        wall = now_ms(self._clock)
        views = tuple(view_of(child, now, wall) for child in strategy.children.values() if is_shown(child, now))
        gauges = {key: value for totals in self._totals.values() for key, value in totals.gauges.items()}
        for view in (view for view in views if view.state not in NOT_OURS):
            labels = {"actor": view.name}
            gauges[series("data_manager_actor_up", labels)] = float(view.state == "running")
            gauges[series("data_manager_actor_parked", labels)] = float(view.state == "parked")
        restarts = {
            series("data_manager_actor_restarts_total", {"actor": name}): float(child.restarts)
            for name, child in strategy.children.items()
        }
        living = (totals.counters for totals in self._totals.values())
        return messages.Tree(
            taken_ms=wall,
            started_ms=self._started_ms,
            draining=strategy.stopping,
            actors=views,
            counters=add_counters((*self._base.values(), *living, self._own, restarts)),
            gauges=gauges,
            incidents=tuple(self._incidents.values()),
        )

    def _running(self) -> Strategy:
        assert self._strategy is not None  # _dispatch returns before anything else until Start
        return self._strategy

    def _new_id(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"


def policy_of(settings: Settings) -> Policy:
    """The policy's numbers as the settings give them."""
    return Policy(
        intensity=settings.restart_intensity,
        within_s=settings.restart_within_s,
        backoff_s=settings.restart_backoff_s,
        backoff_cap_s=settings.restart_backoff_cap_s,
        healthy_after_s=settings.healthy_after_s,
        heartbeat_s=settings.heartbeat_s,
        heartbeat_miss_s=settings.heartbeat_miss_s,
        start_timeout_s=settings.start_timeout_s,
        park_probe_s=settings.park_probe_s,
        stop_timeout_s=settings.drain_timeout_s / 2,
    )


def is_shown(child: Child, now: float) -> bool:
    """Whether the tree shows it: what was retired goes after a while, what it has counted stays."""
    return child.state is not State.RETIRED or child.left is None or now - child.left < RETIRED_SHOWN_S


def exit_cause(exitcode: int | None) -> str:
    """A process's exit code in words: `signal 9`, `exit 3`; None is unknown."""
    if exitcode is None:
        return "unknown"
    return f"signal {-exitcode}" if exitcode < 0 else f"exit {exitcode}"


def view_of(child: Child, now: float, wall_ms: int) -> messages.ActorView:
    """One child as the tree shows it; monotonic times become wall times by their age."""

    def wall(moment: float | None) -> int | None:
        return None if moment is None else wall_ms - round((now - moment) * 1000)

    alive = child.pid is not None
    return messages.ActorView(
        name=child.spec.name,
        symbol=child.spec.symbol,
        essential=child.spec.essential,
        state=child.state.value,
        detail=child.detail,
        pid=child.pid,
        generation=child.generation,
        restarts=child.restarts,
        last_cause=child.last_cause,
        last_exit_ms=wall(child.last_exit),
        started_ms=wall(child.started),
        uptime_s=round(now - child.started, 3) if alive and child.started is not None else 0.0,
        lag=child.lag,
        ever_running=child.ever_running,
    )

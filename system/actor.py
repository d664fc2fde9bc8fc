"""What every actor shares: hardening, the boundary that reports an error and lets the actor crash, heartbeats.

A handler that raises would be run again by Thespian with the same message, and then poison its sender; so nothing
leaves `receiveMessage`. Timers in Thespian cannot be cancelled and arrive in any order: actors compare deadlines
and treat every wake-up as a hint.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import traceback
from datetime import timedelta
from typing import Any

from thespian.actors import Actor, ActorExitRequest, WakeupMessage, WatchMessage

from data_manager.system import hardening
from data_manager.system.clock import SystemClock
from data_manager.system.errors import ConfigError
from data_manager.system.logs import configure, log
from data_manager.system.messages import Drain, Drained, Failed, Init, Message, Ping, Pong, Ready, Stopping, SymbolsNews
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Status

FLUSH_S = 0.5  # how long Thespian may take to transmit what was sent before the process exits: more, after many sends
EXIT_FAILED = 1
LEAVE = "leave"


class BaseActor(Actor):
    """An actor of the tree below the supervisor: subclasses override `begin`, `drain` and `on_message`."""

    name: str
    generation: int
    symbol: str | None
    settings: Settings
    symbols: Symbols
    supervisor: Any

    def __init__(self) -> None:
        hardening.die_with_parent()
        hardening.default_fault_signals()
        self.clock = SystemClock()
        self.metrics = Metrics()
        self._leaving: int | None = None  # the exit code, once the actor is on its way out

    def receiveMessage(self, message: Any, sender: Any) -> Any:  # noqa: N802  (Thespian's name)
        """Take one message; errors end the actor, never the message's sender."""
        try:
            self._dispatch(message, sender)
        except Exception as error:  # noqa: BLE001  the actor boundary: report and let it crash
            self.crash(error)
        return self.watch()

    # -- for subclasses -----------------------------------------------------------------------------------

    def begin(self, init: Init) -> None:
        """Set up; called once, with `name`, `settings` and the rest in place. Ready is sent when it returns."""

    def drain(self) -> None:
        """Finish what is in hand, then call `drained`; at once unless overridden."""
        self.drained()

    def on_message(self, message: Message) -> None:
        """A message the base does not know."""
        raise TypeError(f"{self.name} does not understand {type(message).__name__}")

    def on_symbols(self, symbols: tuple[str, ...]) -> None:
        """The symbols of the service have changed; on the thread on which the actor works."""
        self.symbols.become(symbols)

    def on_watch(self) -> None:
        """A watched file descriptor may be readable; spurious calls happen."""

    def status(self) -> Status:
        """How the actor's work is."""
        return Status("running")

    def stalled_s(self) -> float:
        """For how long its work has not moved; a mailbox that answers does not prove that it does."""
        return 0.0

    def memory_soft_mb(self) -> int | None:
        """Above this the actor stops after what is in hand and starts afresh; None: no limit."""
        return None

    def watch(self) -> Any:
        """What receiveMessage returns: a ThespianWatch for actors that have one."""
        return None

    # -- life ---------------------------------------------------------------------------------------------

    def tell(self, message: Message) -> None:
        """Send to the supervisor; on the actor's own thread only."""
        self.send(self.supervisor, message)

    def drained(self) -> None:
        """Everything is released: say so and leave."""
        self.tell(Drained(self.name, self.generation, self.metrics.totals()))
        self.send(self.myAddress, ActorExitRequest())

    def crash(self, error: BaseException) -> None:
        """Report the error and end the process as soon as the report is out."""
        if self._leaving is not None:
            return
        self._leaving = EXIT_FAILED
        cause = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
        log(
            "actor_failed",
            level=logging.ERROR,
            cause=cause,
            trace="".join(traceback.format_exception(error))[-2000:],
        )
        if hasattr(self, "supervisor"):
            fatal = isinstance(error, ConfigError)
            self.tell(Failed(self.name, self.generation, cause, fatal))
        self.wakeupAfter(timedelta(seconds=FLUSH_S), LEAVE)

    def _dispatch(self, message: Any, sender: Any) -> None:
        if isinstance(message, WakeupMessage) and message.payload == LEAVE and self._leaving is not None:
            os._exit(self._leaving)
        if self._leaving is not None:
            return
        match message:
            case Init():
                self._initialise(message, sender)
            case Ping():
                self._answer(message)
            case Drain():
                self.drain()
            case SymbolsNews(symbols=symbols):
                self.on_symbols(symbols)
            case WatchMessage():
                self.on_watch()
            case Message():
                self.on_message(message)
            case _:
                pass  # Thespian's own: exit requests and answers to timers that no longer matter

    def _initialise(self, init: Init, sender: Any) -> None:
        self.name, self.generation, self.symbol = init.name, init.generation, init.symbol
        self.settings, self.supervisor = init.settings, sender
        self.symbols = Symbols(init.symbols)
        self.rng = random.Random(f"{init.name}/{init.generation}/{os.getpid()}")  # noqa: S311  jitter only
        configure(self.name, self.settings.log_level)
        if init.memory_hard_mb is not None:
            hardening.limit_memory(init.memory_hard_mb)
        self.begin(init)
        self.tell(Ready(self.name, self.generation, os.getpid()))

    def _answer(self, ping: Ping) -> None:
        memory = resident_bytes()
        self.metrics.set("data_manager_actor_memory_bytes", memory, actor=self.name)
        status = self.status()
        self.tell(
            Pong(
                self.name,
                self.generation,
                ping.number,
                status.state,
                status.detail,
                status.lag,
                self.stalled_s(),
                self.metrics.totals(),
            )
        )
        soft = self.memory_soft_mb()
        if soft is not None and memory > soft * 2**20:
            self.tell(Stopping(self.name, self.generation, f"memory {memory >> 20} MiB above its limit of {soft} MiB"))
            self.drain()


def resident_bytes() -> int:
    """This process's resident memory."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()

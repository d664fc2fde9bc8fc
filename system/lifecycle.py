"""The main process: starts the broker and the actor system, watches both, stops them in order.

Exit codes of `data-manager run` and `demo`:

    0   asked to stop, and everything stopped in order (demo: and the counts reconcile)
    1   demo only: the counts do not reconcile
    2   a setting, flag, port or folder is wrong (ConfigError); the sentence is on stderr
    70  Thespian's admin process died
    71  the supervisor died
    72  the embedded broker cannot be kept running
    75  an essential actor exhausted its restart budget
    76  some actor had to be killed while stopping
    130 stopped by force (a second SIGINT or SIGTERM)

Whatever runs the process (Kubernetes, systemd, a shell loop) is the top supervisor: nothing is rebuilt in place.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import socket
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from data_manager.system import hardening, messages
from data_manager.system.clock import Clock, SystemClock
from data_manager.system.errors import ConfigError, DataManagerError, StoreError
from data_manager.system.logs import log
from data_manager.system.settings import EMBEDDED, Settings
from data_manager.system.strategy import ChildSpec
from data_manager.system.telemetry.beginning import telemetry_modules
from data_manager.system.tree import ingest_spec, specs_of

if TYPE_CHECKING:
    from data_manager.system.broker import EmbeddedBroker

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
ADMIN_DIED, SUPERVISOR_DIED, BROKER_DIED, ESCALATED, FORCED_KILL, FORCED = 70, 71, 72, 75, 76, 130
POLL_S = 0.1
ASK_S = 5.0
LAST_WORDS_S = 1.0  # for what the supervisor sent before it ended
SHUTDOWN_S = 3.0  # for Thespian's own shutdown, once the tree is down
BROKER_RESTARTS = 5  # of the embedded broker within BROKER_WITHIN_S
BROKER_WITHIN_S = 60.0
MAIL_MAX = 100
# Light modules, imported before the fork so that every actor shares them (private cost 4 MiB instead of 18).
PRELOAD = (
    "data_manager.actors.hosts",
    "data_manager.actors.ingest.worker",
    "data_manager.actors.router",
)


class SystemDied(DataManagerError):
    """A part that nothing in this process can replace has died; `exit_code` says which."""

    def __init__(self, exit_code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class ActorTree:
    """The actor system from outside: start it, ask it, stop it. Used from the main thread only."""

    def __init__(
        self, settings: Settings, specs: tuple[ChildSpec, ...], clock: Clock, per_symbol: ChildSpec | None = None
    ) -> None:
        """`per_symbol` is the pattern of the actors that come with a symbol while the tree runs; else ingest's."""
        self._clock = clock
        self._mail: deque[Any] = deque(maxlen=MAIL_MAX)
        self._system = start_thespian(settings.data_dir)
        self._supervisor = self._system.createActor("data_manager.actors.supervisor.Supervisor")
        seed = int.from_bytes(os.urandom(8))
        pattern = ingest_spec(settings) if per_symbol is None else per_symbol
        self._system.tell(self._supervisor, messages.Start(settings, specs, pattern, seed))
        started = self._await(messages.Started, None, ASK_S)
        self.supervisor_pid, self.admin_pid = started.pid, started.admin_pid
        self._admin_life = os.pidfd_open(started.admin_pid)
        self._supervisor_life = os.pidfd_open(started.pid)

    def tree(self) -> messages.Tree:
        """The tree now; SystemDied when the supervisor does not answer."""
        request = messages.TreeQuery(uuid.uuid4().hex)
        self._system.tell(self._supervisor, request)
        reply: messages.TreeReply = self._await(messages.TreeReply, request.request_id, ASK_S)
        return reply.tree

    def command(self, actor: str, action: str) -> str:
        """Restart, pause or resume; returns the sentence that refuses it, empty when accepted."""
        request = messages.Command(uuid.uuid4().hex, actor, action)
        self._system.tell(self._supervisor, request)
        done: messages.CommandDone = self._await(messages.CommandDone, request.request_id, ASK_S)
        return done.problem

    def assign(self, symbols: tuple[str, ...], here: dict[str, int] | None = None) -> None:
        """Have the tree work on these symbols from now on: see Assign."""
        self._system.tell(self._supervisor, messages.Assign(symbols, here))

    def watch(self, seconds: float) -> None:
        """Wait; raises SystemDied at once when the admin or the supervisor is gone or has escalated.

        Raises ConfigError when an actor is given up for a cause that only the operator can mend.
        """
        message = self._system.listen(seconds)
        if message is not None:
            self._mail.append(message)
        self._check()

    def stop(self, grace_s: float) -> messages.Stopped:
        """Drain the tree in order; after `grace_s` what is left is killed."""
        self._system.tell(self._supervisor, messages.Stop(grace_s))
        stopped: messages.Stopped = self._await(messages.Stopped, None, grace_s + ASK_S)
        return stopped

    def close(self) -> None:
        """End Thespian's own processes; the caller kills whatever is left."""
        ending = threading.Thread(target=self._system.shutdown, name="shutdown", daemon=True)
        ending.start()
        ending.join(SHUTDOWN_S)
        os.close(self._admin_life)
        os.close(self._supervisor_life)

    def _await(self, kind: type, request_id: str | None, timeout: float) -> Any:
        """The next message of that kind (and request): `ask` would return whatever comes first."""
        deadline = self._clock.monotonic() + timeout
        while (left := deadline - self._clock.monotonic()) > 0:
            message = self._system.listen(min(left, POLL_S))
            if isinstance(message, kind) and getattr(message, "request_id", None) == request_id:
                return message
            if message is not None:
                self._mail.append(message)
            if hasattr(self, "_admin_life"):
                self._check(expect_stop=kind is messages.Stopped)
                if self._ended(self._supervisor_life):
                    deadline = min(deadline, self._clock.monotonic() + LAST_WORDS_S)
        raise SystemDied(SUPERVISOR_DIED, "the supervisor does not answer")

    def _check(self, *, expect_stop: bool = False) -> None:
        while self._mail:
            message = self._mail.popleft()
            if isinstance(message, messages.Escalated) and not expect_stop:
                if message.fatal:
                    raise ConfigError(message.cause)
                raise SystemDied(ESCALATED, f"{message.actor} cannot be kept running: {message.cause}")
        if self._ended(self._admin_life):
            raise SystemDied(ADMIN_DIED, "the actor system's admin process died")
        if self._ended(self._supervisor_life) and not expect_stop:
            raise SystemDied(SUPERVISOR_DIED, "the supervisor process died")

    def _ended(self, life: int) -> bool:
        return bool(select.select([life], [], [], 0)[0])


class Service:
    """The whole service in this process: data folder, broker, actors. Use it as a context manager."""

    def __init__(
        self,
        settings: Settings,
        specs: Callable[[Settings, tuple[str, ...]], tuple[ChildSpec, ...]] = specs_of,
        before_actors: Callable[[Settings], None] = lambda settings: None,
    ) -> None:
        self.settings = settings
        self._specs = specs
        self._before_actors = before_actors  # called once the broker is up; must leave no thread or socket
        self._clock = SystemClock()
        self._broker: EmbeddedBroker | None = None
        self._broker_restarts: deque[float] = deque()
        self._tree: ActorTree | None = None
        self._signals: deque[int] = deque()
        self._handlers: dict[signal.Signals, Any] = {}  # those of before, while ours are in place

    def __enter__(self) -> Service:
        from data_manager.storage.data_dir import DataDir

        hardening.become_subreaper()
        self._data_dir = DataDir(self.settings.data_dir)
        self._data_dir.acquire()
        try:
            self._handlers = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
            self._start()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clean_up()

    @property
    def tree(self) -> ActorTree:
        """The running actors."""
        assert self._tree is not None  # set by __enter__
        return self._tree

    def run(self, on_poll: Callable[[], bool] = lambda: True) -> None:
        """Watch over everything until SIGTERM, SIGINT or `on_poll` (called ten times a second) says stop.

        A signal counts from the start on; a second one forces the end, whatever is going on. Raises as `poll` does.
        """
        while not self._signals and on_poll():
            self.poll()

    def poll(self) -> None:
        """Watch for a tenth of a second; raises SystemDied when a part dies that nothing here can replace."""
        self.tree.watch(POLL_S)
        self._reap()
        self._keep_broker()

    def stop(self) -> int:
        """Drain and stop everything; returns the exit code."""
        log("stopping", grace_s=self.settings.drain_timeout_s)
        stopped = self.tree.stop(self.settings.drain_timeout_s)
        log("stopped", killed=list(stopped.killed))
        self.final_tree = stopped.tree
        return FORCED_KILL if stopped.killed else 0

    def _start(self) -> None:
        from data_manager.storage.choice import described

        stores = described(self.settings)
        log("stores_chosen", market_store=stores["market_store"], catalog=stores["catalog"])
        self.settings.ports_file.unlink(missing_ok=True)  # of a run that was killed: nobody listens there
        if self.settings.nats_url == EMBEDDED:
            from data_manager.system.broker import EmbeddedBroker

            self._broker = EmbeddedBroker(
                self.settings.data_dir / "jetstream", sync_interval=self.settings.nats_sync_interval
            )
            self.settings = self.settings.model_copy(update={"nats_url": self._broker.start()})
        self._before_actors(self.settings)
        for name in (*PRELOAD, *store_modules(self.settings), *telemetry_modules(self.settings)):
            importlib.import_module(name)
        symbols = symbols_at_start(self.settings)
        hardening.apply(os.urandom(32))
        gc.collect()
        gc.freeze()  # the collector would otherwise touch, and so copy, every shared page in every actor
        self._tree = ActorTree(self.settings, self._specs(self.settings, symbols), self._clock)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._signals:
            kill_descendants()
            os._exit(FORCED)
        self._signals.append(number)

    def _reap(self) -> None:
        """Bury orphans; the broker is Popen's to wait for."""
        broker = self._broker.pid if self._broker is not None else None
        with contextlib.suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid == broker:
                    return
                os.waitpid(dead.si_pid, os.WNOHANG)

    def _keep_broker(self) -> None:
        if self._broker is None or self._broker.poll() is None:
            return
        now = self._clock.monotonic()
        self._broker_restarts.append(now)
        while now - self._broker_restarts[0] > BROKER_WITHIN_S:
            self._broker_restarts.popleft()
        if len(self._broker_restarts) > BROKER_RESTARTS:
            raise SystemDied(BROKER_DIED, "the embedded broker cannot be kept running; see its log in the data folder")
        exit_code = self._broker.poll()
        try:
            self._broker.restart()
        except ConfigError as error:  # it did run: this is no fault of the operator's
            raise SystemDied(BROKER_DIED, f"the embedded broker died and cannot be restarted: {error}") from error
        log("broker_restarted", level=logging.WARNING, exit_code=exit_code)

    def _clean_up(self) -> None:
        if self._tree is not None:
            self._tree.close()
        if self._broker is not None:
            self._broker.stop()
        kill_descendants()
        self._data_dir.release()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def store_modules(settings: Settings) -> tuple[str, ...]:
    """What the chosen market store needs; not the client of the other one."""
    from data_manager.storage.choice import MONGO, market_backend

    name = "mongo" if market_backend(settings) == MONGO else "sqlite"
    return (f"data_manager.storage.{name}",)


def symbols_at_start(settings: Settings) -> tuple[str, ...]:
    """The active symbols, as far as main can tell: of a catalog on a server the actors do, once they run."""
    from data_manager.storage import symbols
    from data_manager.storage.choice import SQLITE, catalog_backend
    from data_manager.storage.symbols_file import statuses_in

    listed: dict[str, str] = {}
    if catalog_backend(settings) == SQLITE:
        try:
            listed = statuses_in(settings.catalog_file)
        except StoreError as error:  # readiness tells it too; events can be stored meanwhile
            log("symbols_unknown", level=logging.WARNING, cause=str(error), used="SUPPORTED_PAIRS")
    if retired := symbols.retired_but_configured(listed, settings.supported_pairs):
        log("symbols_stay_retired", level=logging.WARNING, symbols=list(retired), remedy=symbols.REMEDY)
    return symbols.active(listed, settings.supported_pairs)


def serve(service: Service) -> int:
    """Run the service until it is asked to stop; returns the exit code. Raises ConfigError."""
    try:
        with service:
            service.run()
            return service.stop()
    except SystemDied as death:
        log("system_died", level=logging.ERROR, reason=str(death), exit_code=death.exit_code)
        return death.exit_code


def start_thespian(data_dir: Path) -> Any:
    """An actor system of our own: a used port would silently join somebody else's, so its identity is verified."""
    os.environ["THESPLOG_FILE"] = str(data_dir / "thespian.log")
    from thespian.actors import ActorSystem
    from thespian.system.messages.status import Thespian_StatusReq

    identity = uuid.uuid4().hex
    for _ in range(5):
        with logging_at_least(logging.WARNING):
            system = ActorSystem(
                "multiprocTCPBase",
                {"Admin Port": free_port(), "System Id": identity},
                logDefs={"version": 1, "disable_existing_loggers": False, "root": {"level": "CRITICAL"}},
                transientUnique=True,
            )
        status = system.ask(system._systemBase.adminAddr, Thespian_StatusReq(), ASK_S)
        if getattr(status, "capabilities", {}).get("System Id") == identity:
            return system
    raise ConfigError("no free port for the actor system could be found on the loopback interface")


@contextlib.contextmanager
def logging_at_least(level: int) -> Iterator[None]:
    """A higher threshold for a while. The admin, forked in it, keeps it: it logs its own life as if it were ours."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(max(before, level))
    try:
        yield
    finally:
        root.setLevel(before)


def free_port() -> int:
    """A TCP port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill_descendants() -> None:
    """SIGKILL everything below this process and wait until it is gone."""
    while left := descendants_of(os.getpid()):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0)[0]:
                pass


def descendants_of(pid: int) -> list[int]:
    """Children, their children and so on, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    level = children.get(pid, [])
    while level:
        found += level
        level = [grandchild for child in level for grandchild in children.get(child, [])]
    return found

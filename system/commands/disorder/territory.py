"""The one demo that may be harmed: its processes, and nobody else's.

A pid is only a number, and numbers are used again. Who is hit has been named by the demo's own supervisor while this
process already held the process itself (a pidfd), and is below the demo's main process, which holds the lock of the
data folder. All of it is on this host; the API is asked on the loopback interface.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_manager.system.broker import running_url
from data_manager.system.commands.service import Service, written_port
from data_manager.system.commands.service_answers import Tree, decode
from data_manager.system.errors import ConfigError, ServiceAway
from data_manager.system.lifecycle import descendants_of
from data_manager.system.tree import EXCHANGE

ANSWER_S = 3.0  # for one question: another one follows soon
LOOPBACK = "127.0.0.1"
NO_SIGNAL = 0  # only asks whether there is anybody to get one


class Process:
    """A process that cannot be mistaken for another, whatever becomes of its number."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle

    def signal(self, number: int) -> None:
        """Send it; raises ServiceAway when the process has ended."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError as error:
            raise ended(self.pid) from error

    @contextmanager
    def without_writes(self) -> Iterator[None]:
        """The operating system lets it write no file meanwhile (EFBIG); raises ServiceAway when it has ended."""
        before = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        self.signal(NO_SIGNAL)  # it lives, so it was it that was asked
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            with suppress(ServiceAway, ProcessLookupError):  # the supervisor has replaced it: the limit went with it
                self.signal(NO_SIGNAL)
                resource.prlimit(self.pid, resource.RLIMIT_FSIZE, before)


class Demo:
    """A demo that runs on a data folder of this host."""

    def __init__(self, data_dir: Path, token: str) -> None:
        """Raises ServiceAway where nothing runs on it, and ConfigError for what is no demo."""
        self.data_dir = data_dir
        self._token = token
        self.pid = owner_of(data_dir)
        if EXCHANGE not in {actor.name for actor in self.tree().actors}:
            raise ConfigError(
                f"What runs on {data_dir} has no simulated exchange: chaos is for `data-manager demo` only."
            )

    @property
    def service(self) -> Service:
        """Where it answers now: its port may change when http is started again. Raises ServiceAway."""
        port = written_port(self.data_dir / "http.json")
        return Service(f"http://{LOOPBACK}:{port}", self._token, ANSWER_S)

    @property
    def nats_url(self) -> str:
        """Of its broker; raises ServiceAway."""
        url = running_url(self.data_dir / "jetstream")
        if url is None:
            raise ServiceAway(f"No broker runs on {self.data_dir}/jetstream.")
        return url

    @property
    def alive(self) -> bool:
        """Whether its main process still owns the folder."""
        try:
            return owner_of(self.data_dir) == self.pid
        except ServiceAway:
            return False

    def tree(self) -> Tree:
        """As its supervisor sees it; raises ServiceAway."""
        return decode(self.service.get("/system/tree"), Tree)

    @contextmanager
    def actor(self, name: str) -> Iterator[Process]:
        """The process that the supervisor names; raises ServiceAway."""
        with self._held(self._named(name)) as process:
            if self._named(name) != process.pid:  # named again now that it is held: it is this one
                raise ServiceAway(f"{name} has just been replaced")
            yield process

    @contextmanager
    def broker(self) -> Iterator[Process]:
        """The broker's process; raises ServiceAway."""
        servers = [pid for pid in descendants_of(self.pid) if name_of(pid) == "nats-server"]
        if len(servers) != 1:
            raise ServiceAway("the broker does not run")
        with self._held(servers[0]) as process:
            yield process

    def _named(self, name: str) -> int:
        pid = {actor.name: actor.pid for actor in self.tree().actors}.get(name)
        if pid is None:
            raise ServiceAway(f"{name} has no process")
        return pid

    @contextmanager
    def _held(self, pid: int) -> Iterator[Process]:
        """The process, once it is certain that it is the demo's; raises ServiceAway."""
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise ended(pid) from error
        try:
            if not self.alive or pid not in descendants_of(self.pid) or started_at(pid) < started_at(self.pid):
                raise ServiceAway(f"process {pid} is none of the demo's")
            yield Process(pid, handle)
        finally:
            os.close(handle)


def owner_of(data_dir: Path) -> int:
    """The main process of whatever runs on the folder; raises ServiceAway where nothing does."""
    nobody = f"Nothing runs on {data_dir}: start a demo with `data-manager demo`, or say with --data-dir where it is."
    try:
        with (data_dir / "lock").open("rb") as lock:
            pid = int(lock.read(32))
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # held, as it is for as long as something runs
        return pid
    except (OSError, ValueError) as error:
        raise ServiceAway(nobody) from error
    raise ServiceAway(nobody)


def ended(pid: int) -> ServiceAway:
    """What to raise for a process that has ended."""
    return ServiceAway(f"process {pid} has ended")


def started_at(pid: int) -> int:
    """When it began, in clock ticks since the host did; raises ServiceAway."""
    return int(stat_of(pid)[19])


def name_of(pid: int) -> str:
    """Of its program, cut after 15 letters as the kernel keeps it; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything; raises ServiceAway."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ended(pid) from error

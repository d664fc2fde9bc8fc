"""`data-manager` as users type it: in a folder of its own, on free ports, with all that it prints kept apart."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.eventually import eventually_sync
from tests.servers.service import RunningService, alive

PATIENT = {"heartbeat_miss_s": "10", "drain_timeout_s": "20"}
PROGRAM = Path(sys.executable).with_name("data-manager")


class Command(RunningService):
    """`with Command(tmp_path, "run", nats_url=nats.url) as run: ...`; what RunningService asks and waits for, too.

    The data is in `folder/data`. Every process of it works in `folder`, by which it is found again. Unlike
    RunningService's, its deadlines are production's: nobody is taken for hung on a busy machine.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        nats_url: str = "embedded",
        symbols: str = "BTCUSDT,ETHUSDT",
        awaits: str = "/health/readiness",
        **settings: str,
    ) -> None:
        super().__init__(folder, nats_url, symbols, **(PATIENT | settings))
        self.folder = folder.resolve()
        self.arguments = arguments
        self._awaits = awaits
        self._errors = folder / "stderr"
        if arguments[0] == "demo":
            del self._environment["API_TOKEN"]  # it makes one

    def start(self, *, ready: bool = True) -> Command:
        """Start, or start again on the same data; returns when `awaits` is answered with 200.

        Without an API it returns when the log says that all actors run.
        """
        with self.log.open("wb") as out, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self.program(),
                cwd=self.folder,
                env=self._environment,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
        if ready:
            self.wait(self._works, 30)
        return self

    def program(self) -> list[str]:
        """What is executed."""
        return [str(PROGRAM), *self.arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Of its processes."""
        return dict(self._environment)

    @property
    def stdout(self) -> str:
        """What this start has printed so far."""
        return self.log.read_text()

    @property
    def stderr(self) -> str:
        """What this start has complained of so far."""
        return self._errors.read_text()

    def processes(self) -> list[int]:
        """Everything that runs because of this command."""
        return [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if self._is_ours(pid)]

    def outcome(self, timeout: float = 30) -> int:
        """Wait until it ends by itself; the exit code. Nothing may be left running."""
        code = self.wait_exit(timeout)
        eventually_sync(lambda: not self.processes(), 5)
        return code

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """As the class itself, without awaiting anything."""
        try:
            self.start(ready=False)
            yield
        finally:
            self._end()

    def run(self, timeout: float = 30) -> int:
        """Start, and wait until it ends by itself; the exit code."""
        with self.starting():
            return self.outcome(timeout)

    @property
    def runs(self) -> bool:
        """Whether main is alive."""
        return self._process is not None and self._process.poll() is None

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int:
        """Send the signal to main; the exit code. Nothing may be left running."""
        os.kill(self.pid, number)
        return self.outcome(timeout)

    def kill_everything(self) -> None:
        """SIGKILL all of it at once, as the end of a container does."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.outcome(5)

    def _works(self) -> bool:
        if self._environment.get("ENABLE_API") == "no":
            return self.stdout.count('"state":"running"') > self._environment["SUPPORTED_PAIRS"].count(",") + 1
        return bool(self.get(self._awaits)[0] == 200)

    def _is_ours(self, pid: int) -> bool:
        try:
            return Path(os.readlink(f"/proc/{pid}/cwd")) == self.folder and alive(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False

    def _end(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(5)

"""A real nats-server for one test: its own folder, a free port that it keeps over restarts."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

from data_manager.system.clock import SystemClock
from data_manager.system.connection import Connection
from data_manager.system.settings import Settings
from tests.eventually import eventually_sync

BINARY = Path(sys.executable).with_name("nats-server")

_CONFIG = """\
listen: "127.0.0.1:{port}"
ports_file_dir: "{folder}"
log_file: "{folder}/nats.log"
max_payload: 8MB
{jetstream}
{extra}
"""
_JETSTREAM = 'jetstream {{ store_dir: "{folder}", max_file_store: {max_store} }}'


class NatsServer:
    """`with NatsServer(tmp_path) as server: ... server.url`; nothing is left running after the block."""

    def __init__(self, folder: Path, *, jetstream: bool = True, max_store: str = "8GB", extra: str = "") -> None:
        self.folder = folder
        self.port = 0
        self._jetstream = _JETSTREAM.format(folder=folder, max_store=max_store) if jetstream else ""
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Valid from the first start on."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> NatsServer:
        """Start, or start again with the same data; returns when clients can connect."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nats.conf"
        config.write_text(
            _CONFIG.format(port=self.port or -1, folder=self.folder, jetstream=self._jetstream, extra=self._extra)
        )
        self._process = process = subprocess.Popen([BINARY, "-c", str(config)], stderr=subprocess.DEVNULL)
        eventually_sync(lambda: process.poll() is not None or self._listening(process.pid))
        assert process.poll() is None, (self.folder / "nats.log").read_text()
        return self

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self._end(signal.SIGKILL)

    def restart(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End it with `sig` and start it on the same port, with the same data."""
        self._end(sig)
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: sockets stay open and nobody answers; returns when every thread has stopped."""
        self._signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.pid}/task")
        eventually_sync(
            lambda: all(
                (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads.iterdir()
            )
        )

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def reload(self, extra: str) -> None:
        """Take over another `extra` configuration while running."""
        config = self.folder / "nats.conf"
        config.write_text(config.read_text().replace(self._extra, extra))
        self._extra = extra
        self._signal(signal.SIGHUP)

    def __enter__(self) -> NatsServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _listening(self, pid: int) -> bool:
        if not self.port:
            try:
                ports = json.loads((self.folder / f"nats-server_{pid}.ports").read_text())
            except (FileNotFoundError, json.JSONDecodeError):
                return False
            self.port = int(ports["nats"][0].rsplit(":", 1)[1])
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _end(self, sig: signal.Signals) -> None:
        self._signal(sig)
        assert self._process is not None
        self._process.wait(10)

    def _signal(self, sig: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(sig)


@asynccontextmanager
async def connected(settings: Settings, name: str = "test") -> AsyncIterator[Connection]:
    """An open connection, closed afterwards."""
    connection = Connection(settings, name, SystemClock())
    assert await connection.open(asyncio.Event())
    try:
        yield connection
    finally:
        await connection.close()

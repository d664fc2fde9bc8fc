"""The whole service as users run it: `data-manager run` in processes of its own, on a real nats-server.

Waits are a tenth of production's, so that every deadline of a fault is too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from data_manager.storage.choice import open_market_store
from data_manager.storage.ledger import LedgerTotals
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import ALL_SYMBOLS, Record, Symbol
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreUnavailable
from data_manager.system.lifecycle import descendants_of
from data_manager.system.settings_sources import load
from tests.eventually import eventually_sync

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent.parent
TOKEN = "the token of the tests"
SCALED = {
    "HEARTBEAT_S": "0.2",
    "HEARTBEAT_MISS_S": "2",
    "RESTART_BACKOFF_S": "0.02",
    "RESTART_BACKOFF_CAP_S": "3",
    "PARK_PROBE_S": "6",
    "ACK_WAIT_S": "1",
    "DRAIN_TIMEOUT_S": "6",
    "STORE_TIMEOUT_S": "0.5",
}


class RunningService:
    """`with RunningService(tmp_path, nats.url, "BTCUSDT,ETHUSDT") as service: ...`; leaves no process behind.

    `actors` swaps the class of some actors by name, for faults that only the inside can commit.
    """

    def __init__(
        self,
        folder: Path,
        nats_url: str,
        symbols: str,
        *,
        actors: dict[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.data_dir = folder / "data"
        self.log = folder / "service.log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in SCALED},
            **SCALED,
            "NATS_URL": nats_url,
            "SUPPORTED_PAIRS": symbols,
            "DATA_DIR": str(self.data_dir),
            "API_HOST": "127.0.0.1",
            "API_PORT": "0",
            "METRICS_PORT": "0",
            "API_TOKEN": TOKEN,
            "ENABLE_BACKFILLER": "false",  # no test asks the real exchange anything; those of backfill turn it on
            "ENABLE_ANALYTICS": "false",  # nor waits for numbers: those of analytics turn it on
            "TEST_ACTORS": json.dumps(actors or {}),
            **{name.upper(): value for name, value in settings.items()},
        }
        self._process: subprocess.Popen[bytes] | None = None

    # -- life -----------------------------------------------------------------------------------------------

    def start(self, *, ready: bool = True) -> RunningService:
        """Start, or start again on the same data; returns when it is ready."""
        (self.data_dir / "http.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "tests.servers.launch"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        if ready:
            self.wait(lambda: self.get("/health/readiness")[0] == 200, 30)
        return self

    @property
    def pid(self) -> int:
        """Of the main process."""
        assert self._process is not None
        return self._process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 20) -> int:
        """Send the signal to main, wait for its end, and return the exit code."""
        assert self._process is not None
        family = [self.pid, *descendants_of(self.pid)]
        self._process.send_signal(number)
        code = self._process.wait(timeout)
        eventually_sync(lambda: not any(alive(pid) for pid in family), 5)
        return code

    def wait_exit(self, timeout: float) -> int:
        """Wait until it ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout)

    def __enter__(self) -> RunningService:
        try:
            return self.start()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if error is not None:
            print(self.log.read_text()[-6000:])

    def _end(self) -> None:
        if self._process is None:
            return
        family = [self.pid, *descendants_of(self.pid)]
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        eventually_sync(lambda: not any(alive(pid) for pid in family), 5)

    # -- questions ------------------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, token: str | None = None, port: str = "api_port", body: object = None
    ) -> tuple[int, bytes]:
        """Status and body; status 0 while nobody answers. `body` is sent as JSON."""
        try:
            ports = json.loads((self.data_dir / "http.json").read_text())
            connection = http.client.HTTPConnection("127.0.0.1", ports[port], timeout=5)
            with contextlib.closing(connection):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                if body is not None:
                    headers["Content-Type"] = "application/json"
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                return response.status, response.read()
        except (OSError, http.client.HTTPException, FileNotFoundError):
            return 0, b""

    def get(self, path: str, **query: object) -> tuple[int, Any]:
        """GET as JSON."""
        status, body = self.request("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)
        return status, json.loads(body) if body else None

    def post(self, path: str, body: object = None) -> Any:
        """POST with the token, which must be taken; the answer as JSON."""
        status, answer = self.request("POST", path, TOKEN, body=body)
        assert status in (200, 201, 202), (status, answer)
        return json.loads(answer)

    def command(self, actor: str, action: str) -> int:
        """Restart, pause or resume; the HTTP status."""
        name = urllib.parse.quote(actor, safe="")
        return self.request("POST", f"/system/actors/{name}/{action}", TOKEN)[0]

    def actors(self) -> dict[str, dict[str, Any]]:
        """The tree by name; empty while http does not answer."""
        status, body = self.get("/system/tree")
        return {actor["name"]: actor for actor in body["actors"]} if status == 200 else {}

    def actor(self, name: str) -> dict[str, Any]:
        """One actor of the tree."""
        return self.actors()[name]

    def wait(self, check: Callable[[], object], timeout: float = 15) -> None:
        """Until `check` is true; fails at once when the service has ended."""

        def checked() -> object:
            assert self._process is None or self._process.poll() is None, "the service has ended"
            return check()

        eventually_sync(checked, timeout, every=0.05)

    def wait_restarted(self, name: str, old_pid: int, timeout: float = 10) -> dict[str, Any]:
        """Until the actor runs in another process; its view."""
        self.wait(lambda: self._runs_anew(name, old_pid), timeout)
        return self.actor(name)

    def _runs_anew(self, name: str, old_pid: int) -> bool:
        actor = self.actors().get(name, {})
        return actor.get("state") == "running" and actor.get("pid") not in (None, old_pid)

    # -- the store ------------------------------------------------------------------------------------------

    def setting(self, name: str) -> str | None:
        """A setting as this service was given it."""
        return self._environment.get(name.upper())

    @contextlib.contextmanager
    def store(self) -> Iterator[MarketStore]:
        """A reader of the stored rows, whatever the settings store them in."""
        here = {"store_timeout_s": 5, "data_dir": self.data_dir}
        settings = load({}, self._environment).settings.model_copy(update=here)
        store = open_market_store(settings, SystemClock(), read_only=True)
        try:
            yield store
        finally:
            store.close()

    def _patiently(self, question: Callable[[MarketStore], T]) -> T:
        """Ask again while a killed writer's file is being recovered by somebody else."""
        for _ in range(20):
            try:
                with self.store() as store:
                    return question(store)
            except StoreUnavailable:
                time.sleep(0.05)
        with self.store() as store:
            return question(store)

    def rows(self, symbol: str, record: type[Record], limit: int = 1_000_000, **equal: Any) -> list[Any]:
        """The stored rows of a type, oldest first."""
        query = Query(limit=limit, equal=tuple(equal.items()))
        return list(self._patiently(lambda store: store.rows(Symbol(symbol), record, query)))

    def ledger(self, symbol: str = ALL_SYMBOLS) -> LedgerTotals:
        """A symbol's ledger; the router's without a name."""
        return self._patiently(lambda store: store.ledger(Symbol(symbol)))

    def events(self, *symbols: str) -> int:
        """Distinct events received for these symbols and by the router."""
        totals = [self.ledger(symbol).total for symbol in (*symbols, ALL_SYMBOLS)]
        return sum(total.received - total.redelivered for total in totals)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def monotonic() -> float:
    """Seconds, for deadlines in tests."""
    return time.monotonic()

"""The service under test: `data-manager run` with production's waits, on a broker like the embedded one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Event, Query, Write
from data_manager.storage.records import MINUTE_MS, Candle, Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.broker import EmbeddedBroker
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreUnavailable
from data_manager.system.metrics import Series
from data_manager.system.settings_sources import load
from tests.bench import measure
from tests.bench.child import Child
from tests.bench.publisher import SYMBOLS
from tests.servers.service import ROOT, SCALED, RunningService

POLL_S = 0.005
WATCH_S = 0.02  # between two looks at a flood, which cost CPU that it needs
QUIET_S = 30.0  # without any progress what is missing is lost: longer than an ack wait and a restart
SCRAPED_S = 15.0  # for the last totals to travel to /metrics
STOP_S = 30.0
ROUTER, INGEST = "router", "ingest/"
SEED_ROWS = 5_000  # of one transaction
SEED_BACK_MS = 3_600_000  # seeded rows end an hour ago
HISTORY_IDS = 10**9  # ids of seeded trades lie below, published ones above


class ProductionService(RunningService):
    """The user's own settings, where RunningService scales them down; started as users start it."""

    def __init__(self, folder: Path, nats_url: str, **settings: str) -> None:
        users = load({}, os.environ).settings.shown()
        waits = {name: str(users[name.lower()]) for name in SCALED}
        super().__init__(folder, nats_url, ",".join(SYMBOLS), actors=None, **waits, **settings)

    def start(self, *, ready: bool = True) -> ProductionService:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "data_manager", "run"]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        if ready:
            self.wait(self._all_running, 60)
        return self

    def pids(self, prefix: str) -> list[int]:
        """Of the actors whose names begin so."""
        return [actor["pid"] for name, actor in self.actors().items() if name.startswith(prefix)]

    @property
    def api_port(self) -> int:
        """Where HTTP listens."""
        ports: dict[str, int] = json.loads((self.data_dir / "http.json").read_text())
        return ports["api_port"]

    def log_lines(self, event: str) -> list[dict[str, str]]:
        """What the service logged about this event."""
        lines = [line for line in self.log.read_text().splitlines() if f'"{event}"' in line]
        return [json.loads(line) for line in lines]

    def _all_running(self) -> bool:
        actors = self.actors().values()
        return bool(actors) and all(actor["state"] == "running" for actor in actors)


class Rig:
    """Broker and service in a folder, and the books about what was published to them."""

    def __init__(self, folder: Path, *, history: int = 0, **settings: str) -> None:
        self.folder = folder
        self.broker = EmbeddedBroker(folder / "nats")
        self._history, self._settings = history, settings
        self._published = 0

    def __enter__(self) -> Rig:
        seed(self.folder / "data" / "market", self._history)
        self.broker.start()
        try:
            self.service = ProductionService(self.folder, self.broker.url, **self._settings)
            self.service.__enter__()
        except BaseException:
            self.broker.stop()
            raise
        self._store = SqliteMarketStore(
            self.folder / "data" / "market", clock=SystemClock(), read_only=True, timeout_s=5
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()
        self.service.__exit__(kind, error, trace)
        self.broker.stop()

    def stop(self) -> int:
        """Ask the service to stop; its exit code, whose reason goes to stderr if it is not 0."""
        code = self.service.stop(timeout=STOP_S)
        if code:
            print(self.service.log.read_text()[-4000:], file=sys.stderr)
        return code

    # -- what goes in ---------------------------------------------------------------------------------------

    def publisher(self, events: int, rate: int = 0) -> Child:
        """One that will publish so many trades, an equal number for each symbol, with the ids that follow."""
        assert events % len(SYMBOLS) == 0, "a symbol's ids would have a gap"
        first_id = HISTORY_IDS + self._published // len(SYMBOLS)
        self._published += events
        return Child("publisher", self.broker.url, events, rate, first_id)

    # -- what comes out -------------------------------------------------------------------------------------

    def received(self) -> int:
        """Distinct events that have an outcome, without the seeded ones."""
        totals = map(self.ledger, SYMBOLS)
        return sum(total.received - total.redelivered - self._history for total in totals)

    def deliveries(self) -> int:
        """The same with every delivery of an event."""
        return sum(self.ledger(symbol).received - self._history for symbol in SYMBOLS)

    def ledger(self, symbol: str) -> Counts:
        """A symbol's totals; asked again while a killed writer's file is being recovered."""
        for _ in range(100):
            with contextlib.suppress(StoreUnavailable):
                return self._store.ledger(Symbol(symbol)).total
            time.sleep(POLL_S)
        return self._store.ledger(Symbol(symbol)).total

    def wait_stored(self) -> float:
        """Wait for all that was published; the monotonic time of the last progress, for some may be lost."""
        seen, moved = self.received(), time.monotonic()
        while seen < self._published and time.monotonic() - moved < QUIET_S:
            time.sleep(WATCH_S)
            if (now := self.received()) != seen:
                seen, moved = now, time.monotonic()
        return moved

    def lost_and_doubled(self) -> tuple[int, int]:
        """Published events without a row, and events that were stored or counted more than once."""
        query = Query(equal=(("kind", "trade"),))
        lost, doubled = self._published, 0
        for symbol in SYMBOLS:
            rows = self._store.count(Symbol(symbol), Trade, query, 10**9)
            total = self.ledger(symbol)
            lost -= rows - self._history
            doubled += total.stored - rows + total.duplicate - total.redelivered
        return lost, doubled

    def latencies(self) -> dict[Series, float]:
        """The publish-to-stored histogram of everything so far, once the last totals have reached /metrics.

        They never will after an actor was killed: its last totals died with it.
        """
        give_up = time.monotonic() + SCRAPED_S
        while True:
            status, body = self.service.request("GET", "/metrics")
            assert status == 200
            histogram = measure.latencies(body.decode())
            if measure.observed(histogram) == self.deliveries():
                return histogram
            assert time.monotonic() < give_up, "/metrics never told of all that was stored"
            time.sleep(0.1)


def seed(folder: Path, trades: int) -> None:
    """For each symbol so many old trades, ten a second, and a twentieth as many 1m bars up to now."""
    now = time.time_ns() // 1_000_000
    store = SqliteMarketStore(folder, clock=SystemClock())
    for symbol in SYMBOLS:
        for start in range(0, trades, SEED_ROWS):
            numbers = range(start, min(start + SEED_ROWS, trades))
            first_ms = now - SEED_BACK_MS - trades * 100
            events = [Event("trade", _trade(number, first_ms + number * 100)) for number in numbers]
            store.write(Symbol(symbol), Write(events, counts={"trade": Counts(received=len(events))}))
        bars = trades // 20
        newest = now - now % MINUTE_MS - 2 * MINUTE_MS
        candles = [_candle(newest - back * MINUTE_MS) for back in range(bars)]
        for start in range(0, bars, SEED_ROWS):
            store.write(Symbol(symbol), Write(derived=candles[start : start + SEED_ROWS]))
    store.close()


def _trade(number: int, at: int) -> Trade:
    return Trade("trade", number, at, "100.25", "0.012", False, number, number, "MARKET", 0, 0, at)


def _candle(open_time: int) -> Candle:
    return Candle(
        "1m", open_time, "100.25", "101.50", "99.75", "100.50", "1234.567", "123456.78", 4321, "600.5",
        "60050.25", "rest", True, None, None, 0, 0, open_time + MINUTE_MS,
    )  # fmt: skip


def wait_for(check: Callable[[], object], timeout: float) -> None:
    """Poll often, for the time of what is waited for is measured."""
    give_up = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < give_up, f"not within {timeout:g} s"
        time.sleep(POLL_S)

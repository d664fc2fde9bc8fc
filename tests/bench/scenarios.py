"""What is measured, and how much of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreUnavailable
from data_manager.system.lifecycle import descendants_of
from tests.bench import measure
from tests.bench.analysing import analyse
from tests.bench.child import Child
from tests.bench.databases import into_mongo
from tests.bench.ingesting import (
    CHILD_S,
    STEADY,
    TAIL,
    at_rate,
    exactness,
    flood,
    flood_figures,
    middle,
    plain,
    steady,
    stopped,
    sustained,
    wait_figures,
)
from tests.bench.killing import kills
from tests.bench.repairing import repair
from tests.bench.rig import INGEST, Rig, wait_for
from tests.bench.table import Figure

CONNECTIONS = 32
READS = 200  # pages a second that are read while events come in
PAGE = "/data/candles?pair=BTCUSDT&period=1m&limit=100"


class Plan(NamedTuple):
    """How much of everything; events of a flood are few enough for core mode's buffers to hold them all."""

    flood: int = 200_000
    core: int = 150_000
    rounds: int = 3
    plain: int = 40_000
    seconds: float = 10
    page_seconds: float = 5
    kills: int = 5
    mongo: int = 20_000
    klines: int = 30 * 1440  # a month of 1m bars
    agg_trades: int = 1_000_000
    books: int = 180  # of each symbol, that one cycle of analytics looks at: one each five seconds
    history: int = 40_000  # older trades of each symbol; ten times as many in the comparison
    thorough: bool = True  # a sustained rate, and the comparison of histories


FULL = Plan()
QUICK = Plan(60_000, 60_000, 1, 10_000, 3, 2, 1, 5_000, 20_000, 50_000, 20, 5_000, thorough=False)


def jetstream(plan: Plan, folder: Path) -> list[Figure]:
    """All that is asked of one service with JetStream."""
    with Rig(folder, history=plan.history) as rig:
        ours = middle([flood(rig, plan.flood) for _ in range(plan.rounds)])
        private = max(map(measure.private_mib, rig.service.pids(INGEST)))
        return [
            *flood_figures("flood, JetStream", ours, 35_000, 20),
            Figure("  private memory of an ingest actor, the largest", private, "MiB", 35, "lower"),
            *exactness(rig),
            *plain(folder / "plain", plan.plain, ours),
            *(sustained(rig, plan.seconds) if plan.thorough else ()),
            *steady(rig, plan.seconds),
            *read_meanwhile(rig, plan.seconds),
            *kills(rig, plan.kills),
            *pages(rig, plan.page_seconds),
            *stopped(rig),
        ]


def core(plan: Plan, folder: Path) -> list[Figure]:
    """A flood over core NATS."""
    with Rig(folder, delivery="core") as rig:
        ours = middle([flood(rig, plan.core) for _ in range(plan.rounds)])
        return [*flood_figures("flood, core", ours, 60_000), *exactness(rig), *stopped(rig)]


def history(plan: Plan, folder: Path) -> list[Figure]:
    """Two services, one with ten times the other's rows, flooded and read in turns."""
    if not plan.thorough:
        return []
    with (
        Rig(folder / "less", history=plan.history) as less,
        Rig(folder / "more", history=plan.history * 10) as more,
    ):
        rates: dict[Rig, list[float]] = {less: [], more: []}
        waits: dict[Rig, list[float]] = {less: [], more: []}
        for _ in range(plan.rounds):
            for rig in (less, more):
                rates[rig].append(flood(rig, plan.flood // 4).rate)
                waits[rig].append(ask(rig, plan.page_seconds / 2)["p50"])
        return [
            Figure("10x stored rows: rate of a flood", median(rates[more]) / median(rates[less]), "x", 0.8),
            Figure("  p50 of a page", median(waits[more]) / median(waits[less]), "x", 1.2, "lower"),
        ]


def mongo(plan: Plan, folder: Path) -> list[Figure]:
    """The client's side of MongoDB."""
    return into_mongo(folder, plan.mongo)


def repairing(plan: Plan, folder: Path) -> list[Figure]:
    """Pages of the exchange into a store, and an audit."""
    return repair(folder, plan.klines, plan.agg_trades)


def analytics(plan: Plan, folder: Path) -> list[Figure]:
    """All documents of five symbols, and what looks for anomalies."""
    return analyse(folder, plan.books)


def demo(plan: Plan, folder: Path) -> list[Figure]:
    """`data-manager demo`: from its start to the first stored event, then the memory of all its processes."""
    folder.mkdir()
    command = [sys.executable, "-m", "data_manager", "demo", "--data-dir", str(folder / "data")]
    environment = {**os.environ, "API_HOST": "127.0.0.1", "API_PORT": "0", "METRICS_PORT": "0"}
    with (folder / "screen.txt").open("wb") as screen:
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=screen, stderr=screen, start_new_session=True)
    try:
        wait_for(lambda: stored(folder / "data" / "market"), CHILD_S)
        first_s = time.monotonic() - began
        time.sleep(plan.seconds)
        family = [process.pid, *descendants_of(process.pid)]
        memory = measure.pss_mib(family)
        process.send_signal(signal.SIGINT)
        assert process.wait(CHILD_S) == 0, (folder / "screen.txt").read_text()
    finally:
        process.kill()  # its family goes with it
        process.wait()
    return [
        Figure("demo: cold start to the first stored event", first_s, "s", 5, "lower"),
        Figure(f"  memory of all {len(family)} processes, 5 symbols", memory, "MiB", 600, "lower"),
    ]


SCENARIOS: dict[str, Callable[[Plan, Path], list[Figure]]] = {
    "jetstream": jetstream,
    "core": core,
    "history": history,
    "mongo": mongo,
    "repair": repairing,
    "analytics": analytics,
    "demo": demo,
}


def pages(rig: Rig, seconds: float) -> list[Figure]:
    """A page of 100 candles over HTTP."""
    asked = ask(rig, seconds)
    return [
        Figure(f"page of 100 candles, {CONNECTIONS} connections", asked["per_second"], "requests/s", 2_000),
        Figure("  p99", asked["p99"] * 1000, "ms", 25, "lower"),
    ]


def read_meanwhile(rig: Rig, seconds: float) -> list[Figure]:
    """Ingest at a steady rate, and readers."""
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(ask, rig, seconds, READS)
        stored, waits = at_rate(rig, STEADY, seconds)
        asked = asking.result()
    return [
        Figure(f"steady {STEADY:,} events/s while pages are read: stored", stored, "events/s", STEADY * TAIL),
        *wait_figures(waits, None),
        Figure("  pages read", asked["per_second"], "requests/s"),
        Figure("  p99 of a page", asked["p99"] * 1000, "ms"),
        *exactness(rig),
    ]


def ask(rig: Rig, seconds: float, rate: float = 0) -> dict[str, float]:
    """Requests per second, p50 and p99 in seconds; at most `rate` of them where one is given."""
    status, body = rig.service.get(PAGE)
    assert (status, len(body["values"])) == (200, 100), (status, body)
    with Child("pages", rig.service.api_port, PAGE, CONNECTIONS, seconds, rate) as client:
        client.go()
        return client.result(seconds + CHILD_S)


def stored(folder: Path) -> bool:
    """Whether the market store holds any event."""
    store = SqliteMarketStore(folder, clock=SystemClock(), read_only=True)
    with contextlib.closing(store), contextlib.suppress(StoreUnavailable):
        return any(store.ledger(symbol).total.received for symbol in store.symbols())
    return False

"""How fast events are stored, what each costs, and how long it waits."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from data_manager.system.broker import EmbeddedBroker
from data_manager.system.metrics import Series
from tests.bench import measure
from tests.bench.child import Child
from tests.bench.rig import INGEST, ROUTER, Rig, wait_for
from tests.bench.table import Figure

CHILD_S = 60.0  # beyond its own time, for a helper process to end
SUSTAINED, STEADY = 25_000, 5_000  # events/s
TAIL = 0.98  # of a sustained rate: the clock stops when the last event is stored


class Flood(NamedTuple):
    """One flood: stored events per second, and CPU in µs per event."""

    rate: float
    router: float
    ingest: float
    server: float
    others: float  # cores that strangers kept busy meanwhile

    @property
    def ours(self) -> float:
        """Router and ingest."""
        return self.router + self.ingest


def flood(rig: Rig, events: int) -> Flood:
    """Publish as fast as the server reads, and wait until all is stored."""
    assert rig.broker.pid is not None
    families = rig.service.pids(ROUTER), rig.service.pids(INGEST), [rig.broker.pid]
    with rig.publisher(events) as publisher:
        before, strangers = list(map(measure.cpu_s, families)), measure.strangers_s()
        already, began = rig.received(), time.monotonic()
        publisher.go()
        seconds = rig.wait_stored() - began
        stored = rig.received() - already
        used = [measure.cpu_s(pids) - cpu for pids, cpu in zip(families, before, strict=True)]
        others = (measure.strangers_s() - strangers) / (time.monotonic() - began)
        publisher.result(CHILD_S)
    router, ingest, server = (cpu / stored * 1e6 for cpu in used)
    return Flood(stored / seconds, router, ingest, server, max(0.0, others))


def middle(floods: list[Flood]) -> Flood:
    """The flood with the median rate."""
    return sorted(floods)[len(floods) // 2]


def flood_figures(name: str, flood: Flood, rate: float, cpu: float | None = None) -> list[Figure]:
    """One flood beside its targets."""
    return [
        Figure(name, flood.rate, "events/s", rate),
        Figure("  CPU of router and ingest", flood.ours, "µs/event", cpu, "lower"),
        Figure("    router", flood.router, "µs/event"),
        Figure("    ingest, SQLite included", flood.ingest, "µs/event"),
        Figure("  CPU of nats-server", flood.server, "µs/event"),
        Figure("  busy with other programs meanwhile", flood.others, "cores"),
    ]


def sustained(rig: Rig, seconds: float) -> list[Figure]:
    """A rate near the limit."""
    stored, waits = at_rate(rig, SUSTAINED, seconds)
    return [
        Figure(f"sustained {SUSTAINED:,} events/s: stored", stored, "events/s", SUSTAINED * TAIL),
        *wait_figures(waits, 60),
    ]


def steady(rig: Rig, seconds: float) -> list[Figure]:
    """A rate that leaves the machine room."""
    stored, waits = at_rate(rig, STEADY, seconds)
    return [
        Figure(f"steady {STEADY:,} events/s: stored", stored, "events/s"),
        *wait_figures(waits, 30),
    ]


def at_rate(rig: Rig, rate: int, seconds: float) -> tuple[float, dict[Series, float]]:
    """Events stored per second, and the histogram of how long they waited."""
    events = int(rate * seconds)
    with rig.publisher(events, rate) as publisher:
        before = rig.latencies()
        already, began = rig.received(), time.monotonic()
        publisher.go()
        publisher.result(seconds + CHILD_S)
        took = rig.wait_stored() - began
        return (rig.received() - already) / took, measure.since(before, rig.latencies())


def wait_figures(waits: dict[Series, float], p99: float | None) -> list[Figure]:
    """From publish to stored; the histogram's buckets are 15 % wide, and these are upper bounds."""
    return [
        Figure("  publish to stored, p50", measure.latency_ms(waits, 0.5), "ms"),
        Figure("  publish to stored, p99", measure.latency_ms(waits, 0.99), "ms", p99, "lower"),
    ]


def exactness(rig: Rig) -> list[Figure]:
    """Of everything that was published so far."""
    lost, doubled = rig.lost_and_doubled()
    return [Figure("  lost", lost, "", 0, "lower"), Figure("  doubled", doubled, "", 0, "lower")]


def stopped(rig: Rig) -> list[Figure]:
    """The end of a scenario: SIGTERM."""
    return [Figure("  exit code after SIGTERM", rig.stop(), "", 0, "lower")]


def plain(folder: Path, events: int, ours: Flood) -> list[Figure]:
    """The plain alternative (plain.py) on a server and a store like ours."""
    broker = EmbeddedBroker(folder / "nats")
    url = broker.start()
    try:
        with Child("plain", url, folder) as storing, Child("publisher", url, events, 0, 1) as publisher:
            before, began = measure.cpu_s([storing.pid]), time.monotonic()
            storing.go()
            publisher.go()
            wait_for(lambda: rows_of(folder) >= events, CHILD_S)
            rate = events / (time.monotonic() - began)
            cpu = (measure.cpu_s([storing.pid]) - before) / events * 1e6
    finally:
        broker.stop()
    return [
        Figure("plain alternative: one process, core NATS, a commit each", rate, "events/s"),
        Figure("  its CPU", cpu, "µs/event"),
        Figure("  ours in JetStream mode, times its rate", ours.rate / rate, "x"),
        Figure("  ours, times its events per CPU second", cpu / ours.ours, "x"),
    ]


def rows_of(folder: Path) -> int:
    """Rows in the plain alternative's files; it never deletes any."""
    rows = 0
    for path in folder.glob("*.sqlite3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            rows += connection.execute("SELECT coalesce(max(rowid), 0) FROM trades").fetchone()[0]
    return rows

"""What an event costs this service's process on its way into MongoDB: the client's side alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from data_manager.storage.ledger import BatchEntry, Counts
from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import Symbol, Trade
from data_manager.system.clock import SystemClock
from tests.bench.table import Figure
from tests.servers.databases import MongoServer

SYMBOL = Symbol("BTCUSDT")
BATCH = 500  # events of one write


def into_mongo(folder: Path, events: int) -> list[Figure]:
    """Trades in writes of BATCH, as ingest makes them, with their ledger; the server runs beside it."""
    with MongoServer(folder) as server:
        store = MongoMarketStore(server.uri("bench"), "bench", clock=SystemClock())
        store.write(SYMBOL, write_of(0))  # connects, and makes collections and indexes
        writes = [write_of(first) for first in range(BATCH, BATCH + events, BATCH)]
        began, cpu = time.perf_counter(), time.process_time()
        for write in writes:
            store.write(SYMBOL, write)
        used, took = time.process_time() - cpu, time.perf_counter() - began
        total = store.ledger(SYMBOL).total
        store.close()
    assert threading.active_count() < 10, "the client's threads are counted too"
    assert (total.stored, total.duplicate) == (events + BATCH, 0), total
    return [
        Figure("into MongoDB: CPU of the client", used / events * 1e6, "µs/event", 15, "lower"),
        Figure("  stored by the test's stand-in for it", events / took, "events/s"),
    ]


def write_of(first: int) -> Write:
    """The trades `first ... first + BATCH - 1`, one a millisecond."""
    numbers = range(first, first + BATCH)
    return Write(
        events=[Event("trade", trade(number)) for number in numbers],
        counts={"trade": Counts(received=BATCH)},
        batches=[BatchEntry(first // BATCH + 1, 1, first, tuple(number << 12 for number in numbers))],
    )


def trade(number: int) -> Trade:
    """One trade."""
    at = 1_760_000_000_000 + number
    return Trade("trade", number, at, "100.25", "0.012", False, number, number, "MARKET", number << 12, 1, at)

"""A demo at a steady rate: memory, open files, threads and disk, by actor, against slopes that it may have at most.

`make soak MINUTES=10`; in `make nightly` it takes SHORT_MINUTES. The first WARM_UP of the time is left out: caches
fill, allocators settle, the first audit is made. Analytics is off: it works every 15 minutes, and what it takes then is
measured by the benchmark. The simulated exchange is no part of the service and is not judged.

The limits say what would be a leak. An ingest process has about 190 MiB between what it takes and its soft limit, so at
the limit's slope it would be recycled every five hours; at the demo's hundred events a second for each of three
symbols, 40 MiB an hour are 116 bytes an event: less than the event itself. What a run of ten minutes may grow by at
that slope, any run may: SQLite's caches fill up to 2 MiB a connection, which looks steep in a short one. Files and
threads are whole numbers that do not grow at all. A stored event takes 150 to 500 bytes with its indexes, its share
of the candles and the write-ahead log; twice the most would be a row too many.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from data_manager.storage.records import ALL_SYMBOLS
from data_manager.system.tree import EXCHANGE
from tests.servers.command import Command
from tests.soak.sampling import Sample, observe
from tests.soak.slope import settled, slope

SHORT_MINUTES = 4.0
MINUTES = float(os.environ.get("SOAK_MINUTES", SHORT_MINUTES))
WARM_UP = 0.4  # of the time
EVERY_S = 2.0
HOUR_S = 3600

MEMORY_MIB_PER_HOUR = 40.0
FREE_MIB = 4.0  # of growth in the time that is judged, however short it is
FILES_PER_HOUR = 6.0
THREADS_PER_HOUR = 6.0
BYTES_PER_EVENT = 1000.0
JUDGED_HOURS = (1 - WARM_UP) * MINUTES / 60
LIMITS = {
    "memory_mib": max(MEMORY_MIB_PER_HOUR, FREE_MIB / JUDGED_HOURS),
    "files": FILES_PER_HOUR,
    "threads": THREADS_PER_HOUR,
}

SYMBOLS = ["BTCUSDT", "ETHUSDT", "BNBUSDT"]
STEADY = {"exchange_outage_every_s": "0", "enable_backfiller": "true", "history_bootstrap": "false"}


def per_hour(samples: list[Sample], name: str) -> float:
    times = [each.at_s for each in samples]
    values = [float(getattr(each, name)) for each in samples]
    return slope(*settled(times, values, WARM_UP * MINUTES * 60)) * HOUR_S


@pytest.mark.nightly
@pytest.mark.timeout(MINUTES * 60 + 240)
def test_at_a_steady_rate_nothing_grows_but_the_data(tmp_path: Path) -> None:
    with Command(tmp_path, "demo", symbols=",".join(SYMBOLS), **STEADY) as run:
        run.wait(lambda: all(view["state"] == "running" for view in run.actors().values()), 60)
        samples, data = observe(run, SYMBOLS, MINUTES * 60, EVERY_S)
        grown = {name: {of: per_hour(each, of) for of in LIMITS} for name, each in samples.items()}
        for name, each in grown.items():
            print(f"{name:<16}", "  ".join(f"{of} {value:+.1f}/h" for of, value in each.items()))
        too_fast = [
            f"{name}: {of} grows by {value:.1f} an hour, more than {LIMITS[of]:g}"
            for name, each in grown.items()
            for of, value in each.items()
            if value > LIMITS[of] and name != EXCHANGE
        ]
        events, sizes = [float(each.events) for each in data], [float(each.bytes) for each in data]
        per_event = slope(*settled(events, sizes, WARM_UP * (events[-1] - events[0])))
        print(f"market data      {per_event:.0f} bytes an event")
        assert too_fast == []
        assert 0 < per_event < BYTES_PER_EVENT
        ledgers = [run.ledger(symbol) for symbol in (*SYMBOLS, ALL_SYMBOLS)]
        assert all(counts.balanced for ledger in ledgers for counts in ledger.by_type.values())
        assert run.end() == 0, run.stdout[-3000:]

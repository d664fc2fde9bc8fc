"""How long a symbol is not stored when its ingest actor is killed."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from typing import NamedTuple

from tests.bench.ingesting import CHILD_S, STEADY, exactness
from tests.bench.publisher import SYMBOLS
from tests.bench.rig import INGEST, Rig, wait_for
from tests.bench.table import Figure
from tests.servers.service import alive

BACK_S = 20.0  # for a killed actor to store again
BETWEEN_S = 4.0  # from one kill to the next
SLACK_S = 3.0  # for each kill to take longer than that


class Outage(NamedTuple):
    """One kill: how long until what."""

    stored_s: float
    noticed_ms: float
    back_off_ms: float


def kills(rig: Rig, times: int) -> list[Figure]:
    """kill -9 of one symbol's ingest after the other while events come; the slowest of each."""
    length = 1 + times * (BETWEEN_S + SLACK_S)
    with rig.publisher(int(STEADY * length), STEADY) as publisher:
        publisher.go()
        time.sleep(1)
        outages = [kill(rig, symbol) for symbol in SYMBOLS[:times]]
        publisher.result(length + CHILD_S)
        rig.wait_stored()
    stored, noticed, back_off = map(max, zip(*outages, strict=True))
    return [
        Figure("kill -9 of an ingest actor: to its next stored row", stored, "s", 2, "lower"),
        Figure("  to the supervisor's notice", noticed, "ms", 50, "lower"),
        Figure("  back-off before the next process", back_off, "ms", 250, "lower"),
        *exactness(rig),
    ]


def kill(rig: Rig, symbol: str) -> Outage:
    """Kill, and wait until the symbol is stored again and HTTP knows of the next process."""
    name = f"{INGEST}{symbol}"
    pid: int = rig.service.actor(name)["pid"]
    at, began = time.time(), time.monotonic()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid), BACK_S)
    before = rig.ledger(symbol).received
    wait_for(lambda: rig.ledger(symbol).received > before, BACK_S)
    stored_s = time.monotonic() - began
    view = rig.service.wait_restarted(name, pid, BACK_S)
    exits = [line for line in rig.service.log_lines("actor_exited") if line["actor_name"] == name]
    noticed = seconds(exits[-1]["timestamp"]) - at
    back_off = seconds(view["started_at"]) - seconds(view["last_exit_at"])
    time.sleep(max(0.0, began + BETWEEN_S - time.monotonic()))
    return Outage(stored_s, noticed * 1000, back_off * 1000)


def seconds(stamp: str) -> float:
    """A time of the log or of HTTP, as the clock has it."""
    return datetime.fromisoformat(stamp).timestamp()

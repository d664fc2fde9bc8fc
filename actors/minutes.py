"""One line a minute in the log: what came through, and what waits."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from data_manager.storage.ledger import OUTCOMES
from data_manager.system.logs import log
from data_manager.system.messages import Tree
from data_manager.system.metrics import Series

MINUTE_S = 60.0
RAW = "raw"  # each message counts once more under it


async def tell_every_minute(tree: Callable[[], Tree | None], every_s: float = MINUTE_S) -> None:
    """Log a line after each minute in which there were two trees to compare; for ever."""
    before = tree()
    while True:
        await asyncio.sleep(every_s)
        now = tree()
        if before is not None and now is not None and now.taken_ms > before.taken_ms:
            log("minute", logging.INFO, **summary(before, now))
        before = now


def summary(before: Tree, now: Tree) -> dict[str, object]:
    """What happened between the two, `events` and outcomes in events, `rate` in events a second; queues as they are.

    `router_lag` counts messages of FEED, `ingest_lag` batches of all symbols.
    """
    seconds = (now.taken_ms - before.taken_ms) / 1000
    received = _grown(before, now, "data_manager_messages_received_total", "event_type")
    outcomes = _grown(before, now, "data_manager_events_total", "outcome")
    by_type = {label: times for label, times in sorted(received.items()) if times and label != RAW}
    events = sum(by_type.values())
    return {
        "events": events,
        "rate": round(events / seconds, 1),
        "by_type": by_type,
        **{outcome: outcomes[outcome] for outcome in OUTCOMES},
        "router_lag": _sum(now.gauges, "data_manager_router_lag_messages"),
        "ingest_lag": _sum(now.gauges, "data_manager_ingest_lag_batches"),
        "gaps_open": _sum(now.gauges, "data_manager_gaps_open"),
    }


def _grown(before: Tree, now: Tree, name: str, label: str) -> Counter[str]:
    """By how much a counter grew, for each value of one of its labels."""
    grown: Counter[str] = Counter()
    for key, value in now.counters.items():
        if key[0] == name:
            grown[dict(key[1])[label]] += round(value - before.counters.get(key, 0.0))
    return grown


def _sum(gauges: Mapping[Series, float], name: str) -> int:
    return round(sum(value for (found, _), value in gauges.items() if found == name))

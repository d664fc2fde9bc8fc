from __future__ import annotations

import asyncio
import io
import json
from itertools import count, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.minutes import summary, tell_every_minute
from data_manager.system.messages import Tree
from data_manager.system.metrics import Metrics
from tests.eventually import eventually
from tests.log_capture import logs_to

pure = settings(derandomize=True, deadline=None)


def tree(metrics: Metrics, taken_ms: int) -> Tree:
    totals = metrics.totals()
    return Tree(taken_ms, 0, False, (), totals.counters, totals.gauges, ())


def received(metrics: Metrics, symbol: str, event_type: str, times: int) -> None:
    """Events that are stored, as router and ingest count them."""
    metrics.inc("data_manager_messages_received_total", times, event_type="raw")
    metrics.inc("data_manager_messages_received_total", times, event_type=event_type)
    metrics.inc("data_manager_events_total", times, symbol=symbol, event_type=event_type, outcome="stored")


def test_a_minute_is_told_with_its_events_by_type_and_the_queues() -> None:
    metrics = Metrics()
    received(metrics, "BTCUSDT", "trade", 7)
    before = tree(metrics, 60_000)
    received(metrics, "BTCUSDT", "trade", 500)
    received(metrics, "ETHUSDT", "trade", 100)
    received(metrics, "ETHUSDT", "depth", 20)
    metrics.inc("data_manager_events_total", 3, symbol="_all", event_type="unknown", outcome="quarantined")
    metrics.set("data_manager_router_lag_messages", 9)
    metrics.set("data_manager_ingest_lag_batches", 2, symbol="BTCUSDT")
    metrics.set("data_manager_ingest_lag_batches", 3, symbol="ETHUSDT")
    assert summary(before, tree(metrics, 121_000)) == {
        "events": 620,
        "rate": 10.2,
        "by_type": {"depth": 20, "trade": 600},
        "stored": 620,
        "replaced": 0,
        "duplicate": 0,
        "skipped": 0,
        "quarantined": 3,
        "router_lag": 9,
        "ingest_lag": 5,
        "gaps_open": 0,
    }


@pure
@given(st.lists(st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(["trade", "depth"]), st.integers(0, 50))))
def test_no_event_is_told_twice_or_never(events: list[tuple[str, str, int]]) -> None:
    metrics, told = Metrics(), 0
    trees = [tree(metrics, 0)]
    for number, (symbol, event_type, times) in enumerate(events, start=1):
        received(metrics, symbol, event_type, times)
        trees.append(tree(metrics, number * 1000))
    for before, now in pairwise(trees):
        fields = summary(before, now)
        assert isinstance(fields["events"], int)
        told += fields["events"]
    assert told == sum(times for _, _, times in events)


def test_a_line_comes_every_minute_and_none_before_there_is_a_tree() -> None:
    out, metrics = io.StringIO(), Metrics()
    calls = count()

    def newest() -> Tree | None:
        """As http hears it: nothing at first, then a newer one each time."""
        received(metrics, "BTCUSDT", "trade", 1)
        call = next(calls)
        return tree(metrics, 1_000 * call) if call > 1 else None

    async def scenario() -> None:
        telling = asyncio.create_task(tell_every_minute(newest, every_s=0.01))
        await eventually(lambda: out.getvalue().count("\n") >= 2)
        telling.cancel()

    with logs_to(out):
        asyncio.run(scenario())
    first, second = map(json.loads, out.getvalue().splitlines()[:2])
    assert (first["event"], first["events"], first["level"]) == ("minute", 1, "INFO")
    assert (second["event"], second["events"]) == ("minute", 1)

"""The spans of ingest's writes, as a collector receives them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from data_manager.actors.ingest.ingestion import Ingestion
from data_manager.actors.measuring import measured
from data_manager.storage.choice import SQLITE
from data_manager.storage.protocols import MarketStore, Write, Written
from data_manager.storage.records import Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.delivery import Delivery
from data_manager.system.errors import StoreUnavailable
from data_manager.system.frames import Batch, Frame, encode, position
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.trace_context import SpanId, traceparent
from data_manager.system.tracing import OFF, Tracer
from tests.actors.ingest.examples import SYMBOL, bare, event
from tests.servers.otel import HttpCollector
from tests.system.telemetry.exporting import exporting

BTC = Symbol(SYMBOL)
FEED = 1_700_000_000_000_000_000
PROCESS = f"process data_manager.market.{SYMBOL}"


def publisher(number: int) -> SpanId:
    return SpanId(f"{number:032x}", f"{number:016x}", True)


def delivery(market_seq: int, traces: list[str | None]) -> Delivery:
    """One MARKET batch of trades, one for each trace."""
    frames = [
        Frame(
            position(100 * market_seq + n), 1_760_918_400_000_000, bare(event("trade", t=100 * market_seq + n)), trace
        )
        for n, trace in enumerate(traces)
    ]
    return Delivery(encode(Batch(FEED, 0, frames)), market_seq, 1_760_918_400_000_000)


def ingestion(store: MarketStore, tracer: Tracer) -> Ingestion:
    clock = SystemClock()
    return Ingestion(BTC, Settings(), measured(store, SQLITE, Metrics(), clock, tracer), clock, tracer)


class Away(SqliteMarketStore):
    def write(self, symbol: Symbol, write: Write) -> Written:
        raise StoreUnavailable("it is away")


def test_one_write_is_one_span_linked_to_the_publishers_of_all_its_events(tmp_path: Path) -> None:
    one, two = publisher(1), publisher(2)
    with HttpCollector() as collector:
        with (
            closing(SqliteMarketStore(tmp_path, clock=SystemClock())) as store,
            exporting(collector.url) as telemetry,
        ):
            both = [delivery(1, [traceparent(one), None, traceparent(one)]), delivery(2, [traceparent(two)])]
            ingestion(store, telemetry.tracer).store(both)
            ingestion(store, telemetry.tracer).store([delivery(3, [None, None])])
        [process] = collector.spans(PROCESS)
        write, *others = collector.spans("write sqlite")
    assert (process.trace_id, process.parent_id) == (one.trace_id, one.span_id)
    assert process.links == [(one.trace_id, one.span_id), (two.trace_id, two.span_id)]
    assert (write.trace_id, write.parent_id) == (one.trace_id, process.span_id)
    assert write.attributes == {"db.system.name": "sqlite", "db.operation.name": "write"}
    assert {span.parent_id for span in others} <= {process.span_id}  # bars, where some were due
    assert process.attributes == {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.destination.name": f"data_manager.market.{SYMBOL}",
        "messaging.batch.message_count": 2,
        "data_manager.symbol": SYMBOL,
        "data_manager.events": 4,
        "data_manager.events.trade": 4,
    }


def test_a_store_that_is_away_fails_the_span_and_changes_nothing_else(tmp_path: Path) -> None:
    deliveries = [delivery(1, [traceparent(publisher(1))])]
    with HttpCollector() as collector:
        with (
            closing(Away(tmp_path, clock=SystemClock())) as store,
            exporting(collector.url) as telemetry,
            pytest.raises(StoreUnavailable),
        ):
            ingestion(store, telemetry.tracer).store(deliveries)
        assert [(span.name, span.failed) for span in collector.spans()] == [("write sqlite", True), (PROCESS, True)]


def test_without_telemetry_the_same_is_stored(tmp_path: Path) -> None:
    with closing(SqliteMarketStore(tmp_path, clock=SystemClock())) as store:
        report = ingestion(store, OFF).store([delivery(1, [traceparent(publisher(1)), None])])
    assert report.counts["trade"].stored == 2

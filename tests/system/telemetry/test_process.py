"""What one process exports, received and decoded by collectors that speak the real protocols."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator

import pytest

import data_manager
from data_manager.system.logs import log
from data_manager.system.messages import Tree
from data_manager.system.metrics import Metrics
from data_manager.system.telemetry import process
from data_manager.system.telemetry.channel import QUEUE_MAX
from data_manager.system.trace_context import SpanId, traceparent
from data_manager.system.tracing import CURRENT, MAX_LINKS
from tests.eventually import eventually_sync
from tests.log_capture import logs_to
from tests.servers.otel import Collector, GrpcCollector, HttpCollector, points
from tests.system.telemetry.exporting import ACTOR, dropped, exporting, gauge

PUBLISHER = SpanId("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)
SERVER, CLIENT, CONSUMER = 2, 3, 5  # as opentelemetry.proto numbers kinds of spans
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture(params=[HttpCollector, GrpcCollector])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    with request.param() as collector:
        yield collector


def protocol(collector: Collector) -> str:
    return "grpc" if isinstance(collector, GrpcCollector) else "http/protobuf"


def publisher(number: int, sampled: bool = True) -> str:
    return traceparent(SpanId(f"{number:032x}", f"{number:016x}", sampled))


def tree(metrics: Metrics) -> Tree:
    totals = metrics.totals()
    return Tree(2_000, 1_000, False, (), totals.counters, totals.gauges, ())


def test_a_batch_continues_its_publishers_trace_down_to_the_store(collector: Collector) -> None:
    with (
        exporting(collector.url, otel_exporter_otlp_protocol=protocol(collector), environment="testing") as telemetry,
        telemetry.tracer.batch("process X", [traceparent(PUBLISHER)], 1_000_000, {"symbol": "X"}) as span,
        telemetry.tracer.call("store write", {"db.system.name": "sqlite"}),
    ):
        span.note({"events": 3})
    [batch], [write] = collector.spans("process X"), collector.spans("store write")
    assert (batch.trace_id, batch.parent_id, batch.kind) == (PUBLISHER.trace_id, PUBLISHER.span_id, CONSUMER)
    assert batch.links == [(PUBLISHER.trace_id, PUBLISHER.span_id)]
    assert batch.attributes == {"symbol": "X", "events": 3}
    assert batch.seconds > 1e9  # it began when we said
    assert (write.trace_id, write.parent_id, write.kind) == (PUBLISHER.trace_id, batch.span_id, CLIENT)
    assert write.attributes == {"db.system.name": "sqlite"}
    assert {
        "service.name": "petrosa-data-manager",
        "service.version": data_manager.__version__,
        "deployment.environment": "testing",
        "process.pid": os.getpid(),
        "data_manager.actor": ACTOR,
    }.items() <= batch.resource.items()
    assert str(batch.resource["service.instance.id"]).endswith(f"/{ACTOR}/1")


def test_a_batch_names_so_many_publishers_and_each_once(collector: Collector) -> None:
    parents = [publisher(number) for number in range(1, 2 * MAX_LINKS) for _ in range(3)]
    with exporting(collector.url, otel_exporter_otlp_protocol=protocol(collector)) as telemetry:
        with telemetry.tracer.batch("process", ["no trace", publisher(99, sampled=False), *parents], 1, {}):
            pass
        with telemetry.tracer.batch("unseen", ["no trace", publisher(99, sampled=False)], 1, {}):
            assert CURRENT.get() is None
        with telemetry.tracer.call("unasked", {}):
            pass
    [batch] = collector.spans()
    assert batch.name == "process"
    assert batch.links == [(f"{number:032x}", f"{number:016x}") for number in range(1, MAX_LINKS + 1)]


def test_a_request_belongs_to_its_callers_trace_or_to_one_of_its_own(collector: Collector) -> None:
    with exporting(collector.url, otel_exporter_otlp_protocol=protocol(collector)) as telemetry:
        with telemetry.tracer.request("GET /one", traceparent(PUBLISHER), {}) as span:
            span.failed("the store is away")
        with telemetry.tracer.request("GET /two", "nonsense", {}):
            pass
        with telemetry.tracer.request("GET /three", publisher(7, sampled=False), {}):
            pass
    one, two = collector.spans()  # the third belongs to a trace that nobody records
    assert (one.name, one.trace_id, one.parent_id, one.kind) == (
        *("GET /one", PUBLISHER.trace_id, PUBLISHER.span_id),
        SERVER,
    )
    assert one.failed
    assert (two.parent_id, two.failed) == ("", False)
    assert two.trace_id != one.trace_id


def test_a_span_tells_the_error_that_leaves_it(collector: Collector) -> None:
    with exporting(collector.url, otel_exporter_otlp_protocol=protocol(collector)) as telemetry:
        with pytest.raises(ZeroDivisionError), telemetry.tracer.request("GET /", "", {}):
            raise ZeroDivisionError
        assert CURRENT.get() is None
    assert [span.failed for span in collector.spans()] == [True]


def test_what_is_logged_is_exported_too_with_the_span_it_was_logged_in(collector: Collector) -> None:
    out = io.StringIO()
    with logs_to(out), exporting(collector.url, otel_exporter_otlp_protocol=protocol(collector)) as telemetry:
        with telemetry.tracer.request("GET /", "", {}):
            log("store_away", level=30, reason="gone", rows=3, parts=["a"])
        log("plain")
    log("after the end")
    [span] = collector.spans()
    away, plain = collector.logs()
    assert (away.event, away.severity, away.attributes) == (
        *("store_away", "WARNING"),
        {"reason": "gone", "rows": 3, "parts": "['a']"},
    )
    assert (away.trace_id, away.span_id) == (span.trace_id, span.span_id)
    assert (plain.event, plain.trace_id) == ("plain", "")
    assert plain.resource == span.resource
    first, second = map(json.loads, out.getvalue().splitlines()[:2])
    assert (first["trace_id"], first["span_id"]) == (span.trace_id, span.span_id)
    assert "trace_id" not in second


def test_metrics_arrive_under_the_names_of_the_metrics_page(collector: Collector) -> None:
    metrics = Metrics()
    metrics.inc("data_manager_messages_received_total", 5, event_type="trade")
    metrics.set("data_manager_gaps_open", 2, symbol="X", data_type="trades", timeframe="")
    metrics.observe("data_manager_message_processing_seconds", 0.003, 4, event_type="trade")
    settings = {"otel_exporter_otlp_protocol": protocol(collector), "otel_metric_export_interval": 100}
    with exporting(collector.url, metrics, **settings) as telemetry:
        telemetry.export_metrics(lambda: tree(metrics))
        eventually_sync(lambda: len(collector.requests["metrics"]) > 1)
        metrics.inc("data_manager_messages_received_total", 2, event_type="trade")
    found = collector.metrics()
    assert list(points(found["data_manager_messages_received_total"])) == [({"event_type": "trade"}, 7)]
    assert dict(next(points(found["data_manager_gaps_open"]))[0]) == {
        "symbol": "X",
        "data_type": "trades",
        "timeframe": "",
    }
    counter = found["data_manager_messages_received_total"].sum
    assert counter.is_monotonic
    assert counter.aggregation_temporality == 2  # cumulative
    assert counter.data_points[0].start_time_unix_nano == 1_000_000_000
    assert counter.data_points[0].time_unix_nano == 2_000_000_000
    [point] = found["data_manager_message_processing_seconds"].histogram.data_points
    assert (point.count, sum(point.bucket_counts), point.bucket_counts[2]) == (4, 4, 4)
    assert point.explicit_bounds[2] == 0.005
    assert not point.HasField("min")


def test_headers_go_with_every_request(collector: Collector) -> None:
    secret = "Authorization=Bearer%20abc,x-scope=one"
    with (
        exporting(
            collector.url,
            otel_exporter_otlp_protocol=protocol(collector),
            otel_exporter_otlp_headers=secret,
        ) as telemetry,
        telemetry.tracer.request("GET /", "", {}),
    ):
        pass
    assert collector.headers
    assert all((h["authorization"], h["x-scope"]) == ("Bearer abc", "one") for h in collector.headers)


def test_the_collector_is_asked_at_the_start_whether_it_takes_each_signal(collector: Collector) -> None:
    out, metrics = io.StringIO(), Metrics()
    with logs_to(out), exporting(collector.url, metrics, aloud=True, otel_exporter_otlp_protocol=protocol(collector)):
        eventually_sync(lambda: "telemetry_received" in out.getvalue())
    assert [gauge(metrics, signal) for signal in ("traces", "logs", "metrics")] == [1, 1, 1]


def test_over_http_what_is_sent_is_compressed() -> None:
    with HttpCollector() as collector, exporting(collector.url) as telemetry:
        with telemetry.tracer.request("GET /", "", {}):
            pass
        telemetry.close()
        assert {headers["content-encoding"] for headers in collector.headers} == {"gzip"}


@pytest.mark.parametrize("wanted", ["grpc", "http/protobuf"])
def test_a_collector_that_is_away_is_one_loud_line_with_the_next_step(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_manager.system.telemetry.exporters.TIMEOUT_S", 0.3)
    out, metrics = io.StringIO(), Metrics()
    with logs_to(out), exporting(NOWHERE, metrics, aloud=True, otel_exporter_otlp_protocol=wanted) as telemetry:
        with telemetry.tracer.request("GET /", "", {}):
            pass
        eventually_sync(lambda: gauge(metrics, "traces") == 0 and dropped(metrics, "traces") == 1, 20)
        log("something")
        eventually_sync(lambda: dropped(metrics, "logs") >= 1, 20)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    [warning] = [line for line in lines if line["event"] == "telemetry_not_received"]
    assert warning["level"] == "WARNING"
    assert warning["endpoint"] == NOWHERE
    assert warning["cause"]
    assert "OTEL_EXPORTER_OTLP_PROTOCOL" in warning["next_step"]
    assert {line["event"] for line in lines} == {"telemetry_not_received", "something"}


def test_a_collector_that_comes_back_is_told_once() -> None:
    out, metrics = io.StringIO(), Metrics()
    with HttpCollector() as collector, logs_to(out):
        collector.refusing = 404
        with exporting(collector.url, metrics, aloud=True) as telemetry:
            eventually_sync(lambda: "telemetry_not_received" in out.getvalue())
            collector.refusing = 0
            with telemetry.tracer.request("GET /", "", {}):
                pass
            eventually_sync(lambda: "telemetry_received" in out.getvalue(), 20)
            assert gauge(metrics, "traces") == 1


def test_a_silent_collector_holds_up_no_stop() -> None:
    """Time is the point here: the flush gives up, whatever the exporter does."""
    with HttpCollector() as collector:
        collector.silent.set()
        with exporting(collector.url) as telemetry:
            with telemetry.tracer.request("GET /", "", {}):
                pass
            done = threading.Thread(target=telemetry.close)
            done.start()
            done.join(3 * process.FLUSH_S)
            assert not done.is_alive()
        collector.silent.clear()


def test_what_does_not_fit_is_counted_and_no_memory_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    with HttpCollector() as collector:
        collector.silent.set()
        with exporting(collector.url, metrics) as telemetry:
            for _ in range(QUEUE_MAX + 600):  # one batch may be under way
                with telemetry.tracer.request("GET /", "", {}):
                    pass
            assert dropped(metrics, "traces") >= 80
            collector.silent.clear()
            eventually_sync(lambda: len(collector.spans()) + dropped(metrics, "traces") == QUEUE_MAX + 600, 20)

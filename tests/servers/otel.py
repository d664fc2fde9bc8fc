"""A small OpenTelemetry collector: takes OTLP over HTTP or gRPC, decodes it, and can misbehave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import grpc
from aiohttp import web
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

REQUESTS: dict[str, Any] = {
    "traces": trace_pb2.ExportTraceServiceRequest,
    "metrics": metrics_pb2.ExportMetricsServiceRequest,
    "logs": logs_pb2.ExportLogsServiceRequest,
}


class ReceivedSpan(NamedTuple):
    """A span with its sender's resource; ids are hexadecimal, `links` are (trace id, span id)."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    links: list[tuple[str, str]]
    attributes: dict[str, object]
    failed: bool
    seconds: float
    resource: dict[str, object]


class ReceivedLog(NamedTuple):
    """A log record with its sender's resource."""

    event: str
    severity: str
    trace_id: str
    span_id: str
    attributes: dict[str, object]
    resource: dict[str, object]


class Collector:
    """What has been received, by signal; safe to read while more comes."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: dict[str, list[Any]] = {signal: [] for signal in REQUESTS}
        self.headers: list[dict[str, str]] = []
        self.refusing: int = 0  # an HTTP status to answer with, or 0
        self.silent = threading.Event()  # set: nothing is answered

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT says."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        """Requests of all signals, empty ones too."""
        return sum(map(len, self.requests.values()))

    def spans(self, name: str = "") -> list[ReceivedSpan]:
        """All of them, or those of one name."""
        found = [
            span_of(span, values(group.resource.attributes))
            for request in self.requests["traces"].copy()
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        return [span for span in found if name in ("", span.name)]

    def logs(self, event: str = "") -> list[ReceivedLog]:
        """All of them, or those of one event."""
        found = [
            log_of(record, values(group.resource.attributes))
            for request in self.requests["logs"].copy()
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ]
        return [log for log in found if event in ("", log.event)]

    def metrics(self) -> dict[str, Metric]:
        """By name, as received last."""
        return {
            metric.name: metric
            for request in self.requests["metrics"].copy()
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        }

    def took(self, signal: str, body: bytes, headers: dict[str, str]) -> None:
        """Decode and keep one request."""
        self.requests[signal].append(REQUESTS[signal].FromString(body))
        self.headers.append(headers)


class HttpCollector(Collector):
    """`with HttpCollector() as collector: ...`; `stop` and `start` again keep port and what was received."""

    def __enter__(self) -> HttpCollector:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; returns when it does."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Close the port and all connections."""
        if not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/{signal}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp has inflated it
        while self.silent.is_set():
            await asyncio.sleep(0.02)
        if self.refusing:
            return web.Response(status=self.refusing)
        self.took(request.match_info["signal"], body, {k.lower(): v for k, v in request.headers.items()})
        return web.Response(content_type="application/x-protobuf")


class GrpcCollector(Collector):
    """The same over gRPC."""

    def __enter__(self) -> GrpcCollector:
        self._server = grpc.server(ThreadPoolExecutor(3))
        trace_grpc.add_TraceServiceServicer_to_server(self._servicer("traces"), self._server)
        metrics_grpc.add_MetricsServiceServicer_to_server(self._servicer("metrics"), self._server)
        logs_grpc.add_LogsServiceServicer_to_server(self._servicer("logs"), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait(10)

    def _servicer(self, signal: Literal["traces", "metrics", "logs"]) -> Any:
        answers = {
            "traces": trace_pb2.ExportTraceServiceResponse,
            "metrics": metrics_pb2.ExportMetricsServiceResponse,
            "logs": logs_pb2.ExportLogsServiceResponse,
        }

        def export(request: Any, context: grpc.ServicerContext) -> Any:
            self.took(signal, request.SerializeToString(), dict(context.invocation_metadata()))
            return answers[signal]()

        return type("Servicer", (), {"Export": staticmethod(export)})()


def span_of(span: Any, resource: dict[str, object]) -> ReceivedSpan:
    """The protobuf span in plain values."""
    return ReceivedSpan(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        values(span.attributes),
        span.status.code == 2,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        resource,
    )


def log_of(record: Any, resource: dict[str, object]) -> ReceivedLog:
    """The protobuf log record in plain values."""
    return ReceivedLog(
        record.body.string_value,
        record.severity_text,
        record.trace_id.hex(),
        record.span_id.hex(),
        values(record.attributes),
        resource,
    )


def values(attributes: Any) -> dict[str, object]:
    """Attributes as a dict."""
    return dict(map(value_of, attributes))


def value_of(pair: KeyValue) -> tuple[str, object]:
    """One attribute."""
    value: AnyValue = pair.value
    kind = value.WhichOneof("value")
    return pair.key, getattr(value, kind) if kind else None


def points(metric: Metric) -> Iterator[tuple[dict[str, object], float]]:
    """A metric's points as (labels, value); the count of a histogram's."""
    kind = metric.WhichOneof("data")
    assert kind is not None
    for point in getattr(metric, kind).data_points:
        value = point.count if kind == "histogram" else point.as_double or point.as_int
        yield values(point.attributes), float(value)

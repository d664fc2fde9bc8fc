"""The SDK's exporters for a target, and what all that we send says of its sender."""

from __future__ import annotations

import os
from collections.abc import Sequence

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

import data_manager
from data_manager.system.settings import Settings
from data_manager.system.telemetry.channel import Channel
from data_manager.system.telemetry.target import GRPC, Target

TIMEOUT_S = 5.0  # of one export with its retries


def resource(settings: Settings, actor: str, generation: int) -> Resource:
    """Who sends; what OTEL_RESOURCE_ATTRIBUTES adds is added."""
    host = os.uname().nodename
    return Resource.create(
        {
            "service.name": settings.otel_service_name,
            "service.version": data_manager.__version__,
            "service.instance.id": f"{host}/{actor}/{generation}",
            "deployment.environment": settings.environment,
            "deployment.environment.name": settings.environment,  # as the conventions call it since 1.27
            "host.name": host,
            "process.pid": os.getpid(),
            "data_manager.actor": actor,
        }
    )


def span_exporter(target: Target) -> SpanExporter:
    """For traces."""
    if target.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc

        return OverGrpc(endpoint=target.endpoint, headers=target.headers, timeout=TIMEOUT_S)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(
        target.url("traces"), headers=target.headers, timeout=TIMEOUT_S, compression=Compression.Gzip
    )


def log_exporter(target: Target) -> LogRecordExporter:
    """For logs."""
    if target.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as OverGrpc

        return OverGrpc(endpoint=target.endpoint, headers=target.headers, timeout=TIMEOUT_S)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    return OTLPLogExporter(target.url("logs"), headers=target.headers, timeout=TIMEOUT_S, compression=Compression.Gzip)


def metric_exporter(target: Target) -> MetricExporter:
    """For metrics."""
    if target.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as OverGrpc

        return OverGrpc(endpoint=target.endpoint, headers=target.headers, timeout=TIMEOUT_S)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(
        target.url("metrics"), headers=target.headers, timeout=TIMEOUT_S, compression=Compression.Gzip
    )


class WatchedSpans(SpanExporter):
    """Exports spans, and has the channel watch what becomes of them."""

    def __init__(self, exporter: SpanExporter, channel: Channel) -> None:
        self._exporter, self._channel = exporter, channel

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter."""
        self._channel.took(len(spans))
        received = self._channel.carry(len(spans), lambda: self._exporter.export(spans))
        return SpanExportResult.SUCCESS if received else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """See SpanExporter."""
        self._exporter.shutdown()


class WatchedLogs(LogRecordExporter):
    """Exports log records, and has the channel watch what becomes of them."""

    def __init__(self, exporter: LogRecordExporter, channel: Channel) -> None:
        self._exporter, self._channel = exporter, channel

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """See LogRecordExporter."""
        self._channel.took(len(batch))
        received = self._channel.carry(len(batch), lambda: self._exporter.export(batch))
        return LogRecordExportResult.SUCCESS if received else LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """See LogRecordExporter; nothing waits here."""
        return True

    def shutdown(self) -> None:
        """See LogRecordExporter."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

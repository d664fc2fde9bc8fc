"""One process's telemetry: its tracer, the copies of its log, and for one of them the metrics of the tree.

Begun after the fork, for it is made of threads. Daemons all: what hangs on a silent collector never holds up the end
of a process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum

from opentelemetry.sdk.metrics.export import MetricsData

from data_manager.system import logs
from data_manager.system.clock import Clock
from data_manager.system.messages import Tree
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.telemetry.channel import Channel, Speaker, complaints
from data_manager.system.telemetry.exporters import log_exporter, metric_exporter, resource, span_exporter
from data_manager.system.telemetry.metering import Meter
from data_manager.system.telemetry.records import LogCopies
from data_manager.system.telemetry.spans import SpanTracer
from data_manager.system.telemetry.target import SIGNALS, Signal, Target

FLUSH_S = 1.0  # what a stop may take to export what waits; nothing while the collector does not answer


class ProcessTelemetry:
    """Everything that one actor's process exports. `aloud`: it checks the collector, and says what is wrong."""

    def __init__(
        self,
        target: Target,
        settings: Settings,
        actor: str,
        generation: int,
        metrics: Metrics,
        clock: Clock,
        *,
        aloud: bool,
    ) -> None:
        self._target, self._settings = target, settings
        complaints.listen()
        speaker = Speaker(target, clock, aloud)
        self._channels: dict[Signal, Channel] = {signal: Channel(signal, actor, metrics, speaker) for signal in SIGNALS}
        self._resource = resource(settings, actor, generation)
        self.tracer = SpanTracer(span_exporter(target), self._channels["traces"], self._resource)
        self._copies = LogCopies(log_exporter(target), self._channels["logs"], self._resource)
        self._meter: Meter | None = None
        logs.copy_to(self._copies.take)
        if aloud:
            threading.Thread(target=self._check, name="telemetry-check", daemon=True).start()

    def export_metrics(self, tree: Callable[[], Tree | None]) -> None:
        """Send what `tree` returns from now on; once."""
        every_s = self._settings.otel_metric_export_interval / 1000
        channel = self._channels["metrics"]
        self._meter = Meter(metric_exporter(self._target), channel, self._resource, tree, every_s)

    def close(self) -> None:
        """Export what waits, for FLUSH_S at most; what has not gone by then is lost."""
        logs.copy_to(None)
        if all(channel.well for channel in self._channels.values()):
            flush = threading.Thread(target=self._flush, name="telemetry-flush", daemon=True)
            flush.start()
            flush.join(FLUSH_S)

    def _flush(self) -> None:
        self.tracer.close()
        self._copies.close()
        if self._meter is not None:
            self._meter.close()

    def _check(self) -> None:
        """Whether the collector takes each signal: an empty export shows it; the first that fails is told."""
        spans, records, points = (
            span_exporter(self._target),
            log_exporter(self._target),
            metric_exporter(self._target),
        )
        nothing: dict[Signal, Callable[[], Enum]] = {
            "traces": lambda: spans.export(()),
            "logs": lambda: records.export(()),
            "metrics": lambda: points.export(MetricsData([])),
        }
        if all(self._channels[signal].carry(0, export) for signal, export in nothing.items()):
            logs.log("telemetry_received", endpoint=self._target.endpoint, protocol=self._target.protocol)
        for exporter in (spans, records, points):
            exporter.shutdown()

"""Sends the tree's totals at a fixed pace: one exporter for the whole tree, in the process that is told of them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource

from data_manager.system.messages import Tree
from data_manager.system.telemetry.channel import Channel
from data_manager.system.telemetry.points import metrics_data


class Meter:
    """Exports what `tree` returns, every `every_s` and once more at the end."""

    def __init__(
        self,
        exporter: MetricExporter,
        channel: Channel,
        resource: Resource,
        tree: Callable[[], Tree | None],
        every_s: float,
    ) -> None:
        self._exporter, self._channel, self._resource = exporter, channel, resource
        self._tree, self._every_s = tree, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Export the last totals; may take as long as an export."""
        self._stop.set()
        self._thread.join()
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._export()
        self._export()

    def _export(self) -> None:
        tree = self._tree()
        if tree is not None:
            data = metrics_data(self._resource, tree.counters, tree.gauges, tree.started_ms, tree.taken_ms)
            self._channel.carry(
                len(data.resource_metrics[0].scope_metrics[0].metrics), lambda: self._exporter.export(data)
            )

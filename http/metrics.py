"""`/metrics`: the tree's totals in Prometheus' text format, with this process's own collectors.

The totals come from the supervisor, which adds up every generation of every actor, this one included; so no
counter of ours falls when an actor is restarted. Before its first report only the process's own are there.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from data_manager.http.operations import Answer, Operation, routes_of
from data_manager.http.ports import SystemPort
from data_manager.system.messages import Tree
from data_manager.system.metrics import bucket_label
from data_manager.system.samples import Measured, measured


class MetricsRoutes:
    """The one handler."""

    def __init__(self, system: SystemPort) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(TreeCollector(system))

    async def metrics(self, request: web.Request) -> web.Response:
        """What all actors count and measure, and this process itself."""
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


OPERATIONS = tuple(
    Operation(
        "GET",
        path,
        MetricsRoutes.metrics,
        "metrics",
        {200: Answer(None, "Prometheus' text format.", others=(CONTENT_TYPE_PLAIN_0_0_4,))},
    )
    for path in ("/metrics", "/metrics/")
)


def routes(system: SystemPort) -> list[web.RouteDef]:
    """`/metrics` with and without the slash, for either port."""
    return routes_of(OPERATIONS, MetricsRoutes(system))


class TreeCollector(Collector):
    """The newest tree as metric families."""

    def __init__(self, system: SystemPort) -> None:
        self._system = system

    def collect(self) -> Iterator[Metric]:
        """One family for each name of FAMILIES that has a series."""
        tree = self._system.tree()
        return families(tree) if tree is not None else iter(())


def families(tree: Tree) -> Iterator[Metric]:
    """The families of a tree, in the order of FAMILIES."""
    for found in measured(tree.counters, tree.gauges):
        if found.family.kind == "histogram":
            yield histogram(found)
        else:
            make = GaugeMetricFamily if found.family.kind == "gauge" else CounterMetricFamily
            metric = make(found.name, found.family.help, labels=found.family.labels)
            for labels, value in found.samples:
                metric.add_metric(labels, value)
            yield metric


def histogram(found: Measured) -> Metric:
    """A histogram with all its buckets."""
    bounds = [bucket_label(bound) for bound in (*found.family.buckets, float("inf"))]
    metric = HistogramMetricFamily(found.name, found.family.help, labels=found.family.labels)
    for labels, cumulative, total in found.distributions:
        metric.add_metric(labels, list(zip(bounds, cumulative, strict=True)), total)
    return metric

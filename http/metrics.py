"""`/metrics`: the tree's totals in Prometheus' text format, with this process's own collectors.

The totals come from the supervisor, which adds up every generation of every actor, this one included; so no
counter of ours falls when an actor is restarted. Before its first report only the process's own are there.
"""

from __future__ import annotations

from collections import defaultdict
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
from data_manager.system.metrics import FAMILIES, Family, Series, bucket_label

Labels = tuple[tuple[str, str], ...]
ByName = dict[str, list[tuple[Labels, float]]]


class MetricsRoutes:
    """The one handler."""

    def __init__(self, system: SystemPort) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(TreeCollector(system))

    async def metrics(self, request: web.Request) -> web.Response:
        """All of it, as text."""
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
    counters, gauges = by_name(tree.counters), by_name(tree.gauges)
    for name, family in FAMILIES.items():
        if family.kind == "histogram":
            if f"{name}_count" in counters:
                yield histogram(name, family, counters)
            continue
        found = (gauges if family.kind == "gauge" else counters).get(name)
        if found:
            make = GaugeMetricFamily if family.kind == "gauge" else CounterMetricFamily
            metric = make(name, family.help, labels=family.labels)
            for labels, value in found:
                metric.add_metric(in_order(family, labels), value)
            yield metric


def by_name(totals: dict[Series, float]) -> ByName:
    """The series under their names."""
    out: ByName = defaultdict(list)
    for (name, labels), value in totals.items():
        out[name].append((labels, value))
    return out


def in_order(family: Family, labels: Labels) -> list[str]:
    """The label values in the family's order."""
    given = dict(labels)
    return [given[label] for label in family.labels]


def histogram(name: str, family: Family, counters: ByName) -> Metric:
    """A histogram; a bucket no observation has reached is not kept anywhere, and stands at 0."""
    bounds = [bucket_label(bound) for bound in (*family.buckets, float("inf"))]
    filled: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for labels, value in counters[f"{name}_bucket"]:
        filled[tuple(in_order(family, labels))][dict(labels)["le"]] = value
    sums = {tuple(in_order(family, labels)): value for labels, value in counters[f"{name}_sum"]}
    metric = HistogramMetricFamily(name, family.help, labels=family.labels)
    for key, buckets in filled.items():
        metric.add_metric(list(key), [(bound, buckets.get(bound, 0.0)) for bound in bounds], sums[key])
    return metric

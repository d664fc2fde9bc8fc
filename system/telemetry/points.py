"""The tree's totals as OpenTelemetry has metrics: the names of `/metrics`, cumulative since the tree's start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

import data_manager
from data_manager.system.metrics import Series
from data_manager.system.samples import Distribution, Measured, measured

UNITS = {"_seconds": "s", "_bytes": "By", "_ratio": "1", "_ms": "ms"}  # UCUM, by how a name ends
CUMULATIVE = AggregationTemporality.CUMULATIVE


def metrics_data(
    resource: Resource,
    counters: Mapping[Series, float],
    gauges: Mapping[Series, float],
    started_ms: int,
    taken_ms: int,
) -> MetricsData:
    """All families that have a series; `counters` count since `started_ms`, all was so at `taken_ms` (UTC)."""
    start, now = started_ms * 1_000_000, taken_ms * 1_000_000
    metrics = [metric(family, start, now) for family in measured(counters, gauges)]
    scope = InstrumentationScope("data_manager", data_manager.__version__)
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, metrics, "")], "")])


def metric(found: Measured, start: int, now: int) -> Metric:
    """One family; times in ns UTC."""
    unit = next((unit for ending, unit in UNITS.items() if found.name.endswith(ending)), "")
    return Metric(found.name, found.family.help, unit, data_of(found, start, now))


def data_of(found: Measured, start: int, now: int) -> Sum | Gauge | Histogram:
    """A family's points as its kind wants them."""
    names = found.family.labels
    if found.family.kind == "histogram":
        bounds = found.family.buckets
        return Histogram([histogram(names, bounds, one, start, now) for one in found.distributions], CUMULATIVE)
    points = [
        NumberDataPoint(dict(zip(names, sample.labels, strict=True)), start, now, float(sample.value))
        for sample in found.samples
    ]
    return Gauge(points) if found.family.kind == "gauge" else Sum(points, CUMULATIVE, is_monotonic=True)


def histogram(
    names: Iterable[str], bounds: tuple[float, ...], one: Distribution, start: int, now: int
) -> HistogramDataPoint:
    """One distribution; OTLP wants what fell into each bucket, where Prometheus adds up."""
    counts = [round(above - below) for below, above in pairwise((0.0, *one.cumulative))]
    unknown: float = None  # type: ignore[assignment]  # least and greatest are optional on the wire
    labels = dict(zip(names, one.labels, strict=True))
    return HistogramDataPoint(labels, start, now, round(one.cumulative[-1]), one.sum, counts, bounds, unknown, unknown)

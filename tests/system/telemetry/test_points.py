"""The same numbers on both ways out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum
from opentelemetry.sdk.resources import Resource

from data_manager.system.metrics import FAMILIES, Metrics, Totals
from data_manager.system.samples import measured
from data_manager.system.telemetry.points import metrics_data

pure = settings(derandomize=True, deadline=None, max_examples=60)

PROCESSING = "data_manager_message_processing_seconds"
OBSERVATIONS = st.lists(st.tuples(st.floats(0, 100, allow_nan=False), st.integers(1, 5)), min_size=1, max_size=20)


def metrics_of(totals: Totals) -> dict[str, Sum | Gauge | Histogram]:
    data = metrics_data(Resource({}), totals.counters, totals.gauges, 1_000, 2_000)
    [resource] = data.resource_metrics
    [scope] = resource.scope_metrics
    found = {metric.name: metric.data for metric in scope.metrics}
    assert len(found) == len(scope.metrics)
    return found  # type: ignore[return-value]


def test_every_family_has_its_name_kind_and_labels() -> None:
    metrics = Metrics()
    for name, family in FAMILIES.items():
        labels = dict.fromkeys(family.labels, "x")
        if family.kind == "counter":
            metrics.inc(name, 2, **labels)
        elif family.kind == "gauge":
            metrics.set(name, True, **labels)  # booleans are set here and there; the wire has numbers only
        else:
            metrics.observe(name, 0.5, 2, **labels)
    found = metrics_of(metrics.totals())
    assert list(found) == list(FAMILIES)
    kinds = {"counter": Sum, "gauge": Gauge, "histogram": Histogram}
    for name, data in found.items():
        assert type(data) is kinds[FAMILIES[name].kind]
        [point] = data.data_points
        assert tuple(point.attributes or ()) == FAMILIES[name].labels
        assert (point.start_time_unix_nano, point.time_unix_nano) == (1_000_000_000, 2_000_000_000)


@pure
@given(st.lists(OBSERVATIONS, min_size=1, max_size=3))
def test_buckets_hold_each_observation_once_whatever_generations_counted(generations: list) -> None:
    from data_manager.system.metrics import add_counters

    totals = []
    for observations in generations:
        metrics = Metrics()
        metrics.observe_all(PROCESSING, observations, event_type="trade")
        totals.append(metrics.totals().counters)
    counters = add_counters(totals)
    [point] = metrics_of(Totals(counters, {}))[PROCESSING].data_points
    every = [(value, times) for observations in generations for value, times in observations]
    assert point.count == sum(point.bucket_counts) == sum(times for _, times in every)
    bounds = (*point.explicit_bounds, float("inf"))
    lower = 0.0
    for upper, inside in zip(bounds, point.bucket_counts, strict=True):
        expected = sum(times for value, times in every if (lower < value or value == lower == 0.0) and value <= upper)
        assert inside == expected
        lower = upper
    [family] = measured(counters, {})
    assert family.distributions[0].cumulative[-1] == point.count


def test_what_has_no_series_is_left_out() -> None:
    assert metrics_of(Totals()) == {}

"""Metrics that travel: totals of generations add up, and histograms stay Prometheus's."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.metrics import FAMILIES, SECONDS, Metrics, add_counters, quantile, series

HISTOGRAM = "data_manager_publish_to_stored_seconds"
COUNTER = "data_manager_router_batches_total"


def test_a_counter_adds_up_by_labels() -> None:
    metrics = Metrics()
    metrics.inc("data_manager_nats_errors_total", type="general")
    metrics.inc("data_manager_nats_errors_total", 4, type="general")
    metrics.inc("data_manager_nats_errors_total", type="publish")
    assert metrics.totals().counters == {
        series("data_manager_nats_errors_total", {"type": "general"}): 5.0,
        series("data_manager_nats_errors_total", {"type": "publish"}): 1.0,
    }


def test_a_gauge_keeps_its_last_value() -> None:
    metrics = Metrics()
    for value in (3, 1, 2):
        metrics.set("data_manager_router_lag_messages", value)
    assert list(metrics.totals().gauges.values()) == [2]


def test_a_name_that_is_not_declared_is_refused() -> None:
    with pytest.raises(KeyError):
        Metrics().inc("data_manager_typo_total")


def test_totals_are_a_copy_that_survives_pickling() -> None:
    metrics = Metrics()
    metrics.inc(COUNTER)
    totals = metrics.totals()
    metrics.inc(COUNTER)
    assert pickle.loads(pickle.dumps(totals)).counters == {series(COUNTER, {}): 1.0}


observations = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 5)), max_size=50)


@settings(derandomize=True, deadline=None)
@given(observations)
def test_a_bucket_holds_everything_up_to_its_bound(values: list[tuple[float, int]]) -> None:
    metrics = Metrics()
    metrics.observe_all("data_manager_message_processing_seconds", values, event_type="trade")
    counters = metrics.totals().counters
    for bound in SECONDS:
        key = series("data_manager_message_processing_seconds_bucket", {"event_type": "trade", "le": repr(bound)})
        assert counters.get(key, 0.0) == sum(times for value, times in values if value <= bound)
    everything = series("data_manager_message_processing_seconds_count", {"event_type": "trade"})
    assert counters.get(everything, 0.0) == sum(times for _, times in values)


@settings(derandomize=True, deadline=None)
@given(observations, observations)
def test_two_generations_add_up_to_one_that_saw_it_all(
    first: list[tuple[float, int]], second: list[tuple[float, int]]
) -> None:
    generations = [Metrics(), Metrics()]
    for metrics, values in zip(generations, (first, second), strict=True):
        metrics.observe_all(HISTOGRAM, values)
    together = Metrics()
    together.observe_all(HISTOGRAM, first + second)
    added = add_counters(metrics.totals().counters for metrics in generations)
    assert quantile(added, HISTOGRAM, 0.99) == quantile(together.totals().counters, HISTOGRAM, 0.99)
    for key, value in together.totals().counters.items():
        if key[0].endswith("_count"):
            assert added[key] == value


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(0.0011, 9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_the_upper_bound_of_the_right_bucket(values: list[float], q: float) -> None:
    metrics = Metrics()
    metrics.observe_all(HISTOGRAM, [(value, 1) for value in values])
    found = quantile(metrics.totals().counters, HISTOGRAM, q)
    exact = next(value for i, value in enumerate(sorted(values), 1) if i >= q * len(values))
    bounds = FAMILIES[HISTOGRAM].buckets
    assert found == next(bound for bound in bounds if bound >= exact)


def test_without_observations_there_is_no_quantile() -> None:
    assert quantile({}, HISTOGRAM, 0.5) is None

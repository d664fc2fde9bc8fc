from __future__ import annotations

import pytest

from data_manager.system.metrics import FAMILIES, Metrics, series
from data_manager.system.samples import Sample, measured

PROCESSING = "data_manager_message_processing_seconds"


def test_families_come_in_their_order_with_labels_in_theirs() -> None:
    metrics = Metrics()
    metrics.set("data_manager_gaps_open", 3, timeframe="1m", data_type="candles", symbol="X")
    metrics.inc("data_manager_messages_failed_total", 2, error_type="e", event_type="trade")
    metrics.observe(PROCESSING, 0.003, 2, event_type="trade")
    totals = metrics.totals()
    found = list(measured(totals.counters, totals.gauges))
    assert [family.name for family in found] == [
        "data_manager_messages_failed_total",
        PROCESSING,
        "data_manager_gaps_open",
    ]
    assert found[0].samples == [Sample(("trade", "e"), 2)]
    assert found[2].samples == [Sample(("X", "candles", "1m"), 3)]
    [distribution] = found[1].distributions
    assert distribution.labels == ("trade",)
    assert distribution.sum == 0.006
    bounds = (*FAMILIES[PROCESSING].buckets, float("inf"))
    assert distribution.cumulative == tuple(2.0 if bound >= 0.003 else 0.0 for bound in bounds)


def test_a_series_without_a_label_of_its_family_is_a_bug() -> None:
    with pytest.raises(KeyError, match="symbol"):
        list(measured({}, {series("data_manager_ingest_lag_batches", {}): 1.0}))


def test_without_series_there_is_no_family() -> None:
    assert list(measured({}, {})) == []

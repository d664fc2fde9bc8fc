"""Severities, rows of the audit's log, and which of many anomalies are told."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.anomaly import SEVERITIES, Anomaly, Limits, audit_log, confirmed, worst
from data_manager.storage.records import Candle, Series, Symbol
from tests.actors.analytics.series import HOUR_MS, START_MS

SERIES = Series(Symbol("BTCUSDT"), Candle, "1h")
HIT = Anomaly(START_MS, "zscore", "high", "statistical_outlier", 6.5, 6.0, 41_234.567, 12.5)
LIMITS = Limits(4, 6, 8)


def change(**fields: object) -> Anomaly:
    return msgspec.structs.replace(HIT, **fields)


@pytest.mark.parametrize(
    ("score", "severity"),
    [
        (3.9, None),
        (4.0, None),
        (4.1, "medium"),
        (6.1, "high"),
        (8.0, "high"),
        (8.1, "critical"),
        (math.inf, "critical"),
    ],
)
def test_a_severity_begins_above_its_limit(score: float, severity: str | None):
    assert LIMITS.severity(score) == severity


def test_what_is_not_known_is_ordinary():
    assert LIMITS.severity(math.nan) is None


@pytest.mark.parametrize("values", [(4, 4, 8), (6, 4, 8), (4, 9, 8)])
def test_limits_ascend(values: tuple[float, float, float]):
    with pytest.raises(ValueError, match="must ascend"):
        Limits(*values)


def test_the_row_is_the_originals():
    row = audit_log(SERIES, HIT, START_MS + 5)
    assert row.details == "Anomaly detected at 2022-01-01T00:00:00+00:00: price=41234.57, method=zscore"
    assert (row.audit_type, row.severity, row.symbol) == ("anomaly", "high", "BTCUSDT")
    assert (row.dataset_id, row.at_ms) == ("candles_BTCUSDT_1h", START_MS + 5)


def test_a_models_row_says_so():
    row = audit_log(SERIES, change(method="ecod", reason="ml_outlier"), 0)
    assert row.details.startswith("ML Anomaly at 2022-01-01T00:00:00+00:00: price=41234.57")
    assert "anomaly" in row.details.lower()


def test_the_same_hit_has_the_same_id_whenever_and_however_bad():
    ours = audit_log(SERIES, HIT, 1).audit_id
    assert audit_log(SERIES, change(severity="critical", score=9.0, price=1.0), 2).audit_id == ours
    assert len(ours) == 36


def test_other_bars_methods_and_datasets_have_other_ids():
    rows = [
        audit_log(SERIES, HIT, 1),
        audit_log(SERIES, change(method="mad"), 1),
        audit_log(SERIES, change(open_time=START_MS + HOUR_MS), 1),
        audit_log(Series(Symbol("BTCUSDT"), Candle, "1d"), HIT, 1),
        audit_log(Series(Symbol("ETHUSDT"), Candle, "1h"), HIT, 1),
    ]
    assert len({row.audit_id for row in rows}) == len(rows)


def test_a_model_alone_is_never_critical():
    model = change(method="ecod", reason="ml_outlier")
    assert confirmed([model]) == [model]
    assert [each.severity for each in confirmed([model, HIT])] == ["critical", "high"]


def test_another_bar_confirms_nothing_and_a_medium_find_stays_one():
    model = change(method="ecod", reason="ml_outlier")
    elsewhere = change(open_time=START_MS + HOUR_MS)
    assert confirmed([model, elsewhere]) == [model, elsewhere]
    medium = change(method="ecod", reason="ml_outlier", severity="medium")
    assert confirmed([medium, HIT]) == [medium, HIT]


hits = st.lists(
    st.builds(change, open_time=st.integers(0, 9), method=st.sampled_from("abc"), severity=st.sampled_from(SEVERITIES))
)


@given(hits, st.integers(0, 20))
def test_the_gravest_are_told_and_the_rest_counted(found: list[Anomaly], most: int):
    told, left_out = worst(found, most)
    assert len(told) == min(len(found), most)
    assert len(told) + left_out == len(found)
    ranks = [(SEVERITIES.index(each.severity), each.open_time) for each in told]
    assert ranks == sorted(ranks, reverse=True)
    untold = [each for each in found if each not in told]
    if told and untold:
        assert max(SEVERITIES.index(each.severity) for each in untold) <= ranks[-1][0]

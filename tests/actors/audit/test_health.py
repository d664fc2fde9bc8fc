from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.audit.conf import audit_conf
from data_manager.actors.audit.health import Band, Measured, band, freshness, row, score
from data_manager.storage.records import Candle, Series, Symbol

pure = settings(derandomize=True, deadline=None)
CONF = audit_conf().health
SERIES = Series(Symbol("BTCUSDT"), Candle, "1m")
HOUR = 3_600_000
GOOD = Measured(expected=1440, missing=0, consistency=100.0, age_s=90, interval_s=60, gaps=0, repeats=0)

percents = st.none() | st.floats(0, 100)
anything = st.builds(
    Measured,
    expected=st.none() | st.integers(0, 10**6),
    missing=st.integers(0, 10**6),
    consistency=percents,
    age_s=st.none() | st.floats(0, 1e6),
    interval_s=st.none() | st.integers(1, 86_400),
    gaps=st.integers(0, 9),
    repeats=st.integers(0, 9),
)


@pure
@given(anything)
def test_the_parts_sum_to_the_score_which_is_a_percentage(measured: Measured) -> None:
    value, parts = score(measured, CONF)
    if value is None:
        assert (measured.completeness, parts) == (None, {})
    else:
        assert sum(parts.values()) == pytest.approx(value)
        assert -1e-9 <= value <= 100 + 1e-9
        assert "completeness" in parts


def test_a_perfect_dataset_scores_100_and_each_part_counts_for_its_weight() -> None:
    assert score(GOOD, CONF) == (100.0, {"completeness": 40.0, "consistency": 40.0, "freshness": 20.0})
    assert score(GOOD._replace(missing=720), CONF).value == pytest.approx(80)
    assert score(GOOD._replace(consistency=50.0), CONF).value == pytest.approx(80)
    assert score(GOOD._replace(age_s=600), CONF).value == pytest.approx(80)


def test_freshness_is_scaled_by_the_interval() -> None:
    for interval in (60, 14_400):
        assert freshness(0, interval, CONF) == 100
        assert freshness(2 * interval, interval, CONF) == 100
        assert freshness(6 * interval, interval, CONF) == pytest.approx(50)
        assert freshness(10 * interval, interval, CONF) == 0
        assert freshness(99 * interval, interval, CONF) == 0


def test_an_unknown_part_is_left_out_and_never_0() -> None:
    assert score(GOOD._replace(consistency=None), CONF).value == pytest.approx(100)
    assert set(score(GOOD._replace(age_s=None), CONF).parts) == {"completeness", "consistency"}
    assert score(GOOD._replace(interval_s=None), CONF).value == pytest.approx(100)


@pytest.mark.parametrize("expected", [None, 0])
def test_without_completeness_there_is_no_score(expected: int | None) -> None:
    unknown = GOOD._replace(expected=expected)
    assert score(unknown, CONF) == (None, {})
    saved = row(SERIES, unknown, None, HOUR, changed=False)
    assert (saved.completeness, saved.quality_score) == (None, None)


def test_bands_are_the_originals() -> None:
    words = [band(value, CONF) for value in (100, 90, 89.9, 70, 69.9, 0)]
    assert words == [Band.HEALTHY, Band.HEALTHY, Band.DEGRADED, Band.DEGRADED, Band.UNHEALTHY, Band.UNHEALTHY]


def test_there_is_one_row_an_hour_and_one_for_each_change_of_band() -> None:
    first, later = (row(SERIES, GOOD, 100.0, at, changed=False) for at in (5 * HOUR, 6 * HOUR - 1))
    assert first.metric_id == later.metric_id
    assert later.at_ms == 6 * HOUR - 1
    others = [
        row(SERIES, GOOD, 100.0, 6 * HOUR, changed=False),
        row(SERIES, GOOD, 80.0, 5 * HOUR + 1, changed=True),
        row(msgspec.structs.replace(SERIES, timeframe="5m"), GOOD, 100.0, 5 * HOUR, changed=False),
    ]
    assert len({each.metric_id for each in (first, *others)}) == 4


def test_a_row_carries_what_was_measured() -> None:
    measured = Measured(expected=10, missing=1, consistency=99.5, age_s=59.6, interval_s=60, gaps=2, repeats=3)
    saved = row(SERIES, measured, 91.0, 7, changed=False)
    assert (saved.dataset_id, saved.symbol, saved.timeframe) == ("candles_BTCUSDT_1m", "BTCUSDT", "1m")
    assert (saved.completeness, saved.consistency_score, saved.quality_score) == (90.0, 99.5, 91.0)
    assert (saved.freshness_seconds, saved.gaps_count, saved.duplicates_count, saved.at_ms) == (60, 2, 3, 7)


def test_a_row_from_the_future_is_fresh_and_not_negative() -> None:
    assert row(SERIES, GOOD._replace(age_s=-5.0), 100.0, 7, changed=False).freshness_seconds == 0

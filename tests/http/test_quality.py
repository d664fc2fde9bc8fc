"""What audits measured, as clients see it: parts that sum to the score, and nothing that nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.audit import health as audit
from data_manager.actors.audit.conf import audit_conf
from data_manager.actors.audit.health import Measured
from data_manager.http.quality import Counts, band_of, counted, current, health_value, last_audit, parts_of
from data_manager.storage.protocols import Health
from data_manager.storage.records import Candle, Series, Symbol
from tests.http.serving import NOW_MS, health

RULES = audit_conf().health
SERIES = Series(Symbol("BTCUSDT"), Candle, "1m")
WHOLE = health()
NOTHING = Health("m2", "depth_BTCUSDT", "BTCUSDT", None, None, None, None, None, None, None, NOW_MS)


measured = st.builds(
    Measured,
    expected=st.none() | st.integers(0, 2000),
    missing=st.integers(0, 2000),
    consistency=st.none() | st.floats(0, 100),
    age_s=st.none() | st.integers(0, 100_000),
    interval_s=st.sampled_from([60, 300, 3600, 86_400]),
    gaps=st.integers(0, 50),
    repeats=st.integers(0, 50),
)


@given(measured)
def test_the_parts_of_a_row_are_those_that_the_auditor_added_up(found: Measured) -> None:
    score = audit.score(found, RULES)
    parts = parts_of(audit.row(SERIES, found, score.value, NOW_MS, changed=False), RULES.weights)
    assert parts == pytest.approx(score.parts, abs=0.01)
    if score.value is not None:
        assert sum(parts.values()) == pytest.approx(score.value, abs=0.02)


@given(st.floats(0, 100))
def test_a_score_has_the_auditors_word(score: float) -> None:
    assert band_of(score, RULES) == audit.band(score, RULES).value


@pytest.mark.parametrize(
    ("score", "band"),
    [
        (100.0, "healthy"),
        (90.0, "healthy"),
        (89.99, "degraded"),
        (70.0, "degraded"),
        (69.99, "unhealthy"),
        (0.0, "unhealthy"),
        (None, None),
    ],
)
def test_the_bands_begin_at_90_and_70(score: float | None, band: str | None) -> None:
    assert band_of(score, RULES) == band


def test_one_dataset_is_shown_as_it_was_measured() -> None:
    assert health_value([WHOLE], RULES) == {
        "completeness": 99.5,
        "freshness_sec": 42,
        "gaps": 1,
        "duplicates": 0,
        "consistency_score": 100.0,
        "quality_score": 99.8,
        "band": "healthy",
        "parts": {"completeness": 39.8, "consistency": 40.0, "freshness": 20.0},
    }


@pytest.mark.parametrize("rows", [[], [NOTHING], [NOTHING, NOTHING]])
def test_what_nobody_knows_is_null(rows: list[Health]) -> None:
    value = health_value(rows, RULES)
    assert value.pop("parts") == {}
    assert set(value.values()) == {None}


def test_several_datasets_are_summed_or_averaged_over_what_is_known() -> None:
    hours = health(timeframe="1h", completeness=90.0, freshness_seconds=1800, gaps_count=3, quality_score=80.2)
    value = health_value([WHOLE, hours, NOTHING], RULES)
    assert (value["completeness"], value["quality_score"], value["band"]) == (94.75, 90.0, "healthy")
    assert (value["freshness_sec"], value["gaps"], value["duplicates"]) == (42, 4, 0)
    assert sum(value["parts"].values()) == pytest.approx(90.0)  # type: ignore[attr-defined]


def test_a_part_that_one_dataset_lacks_adds_nothing_there() -> None:
    without = health(freshness_seconds=None, quality_score=100.0, completeness=100.0)
    parts = health_value([health(quality_score=100.0, completeness=100.0), without], RULES)["parts"]
    assert parts == {"completeness": 45.0, "consistency": 45.0, "freshness": 10.0}


def test_the_last_audit_is_the_newest_rows() -> None:
    assert last_audit([]) is None
    assert last_audit([health(at_ms=NOW_MS - 5), WHOLE]) == "2025-10-20T12:00:00.000000+00:00"


def test_a_row_holds_for_an_hour_and_two_audits_more() -> None:
    edge = NOW_MS - 3_600_000 - 600_000
    rows = [health(at_ms=edge - 1), health(at_ms=edge), WHOLE]
    assert current(rows, NOW_MS, audit_interval_s=300.0) == rows[1:]


def test_each_dataset_is_counted_in_its_band_or_as_unscored() -> None:
    rows = [
        health(dataset_id="a", quality_score=95.0),
        health(dataset_id="b", quality_score=75.0),
        health(dataset_id="c", quality_score=10.0),
        health(dataset_id="d", quality_score=None),
        health(dataset_id="gone", quality_score=99.0),
    ]
    datasets = dict.fromkeys("abcde", "BTCUSDT")
    assert counted(datasets, rows, (), RULES) == Counts(1, 1, 1, 2)


def test_an_idle_symbols_datasets_are_degraded_at_best() -> None:
    rows = [
        health(dataset_id="a", quality_score=95.0),
        health(dataset_id="b", quality_score=10.0),
        health(dataset_id="other", quality_score=95.0),
    ]
    datasets = {"a": "BTCUSDT", "b": "BTCUSDT", "c": "BTCUSDT", "other": "ETHUSDT"}
    assert counted(datasets, rows, {"BTCUSDT"}, RULES) == Counts(1, 2, 1, 0)

"""A job as clients see it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.http.jobs import UNKNOWN, Pace, dataset_of, job_value, pace_of
from data_manager.storage.protocols import Job, JobStatus
from tests.http.serving import NOW, NOW_MS, replace

JOB = Job(
    job_id="one",
    symbol="BTCUSDT",
    data_type="candles",
    timeframe="1m",
    start_ms=NOW_MS - 3_600_000,
    end_ms=NOW_MS,
    status="pending",
    created_ms=NOW_MS,
)


def job(**changes: Any) -> Job:
    return replace(JOB, changes)


def test_a_new_job_has_the_originals_keys_and_types() -> None:
    assert job_value(JOB, NOW_MS) == {
        "job_id": "one",
        "status": "pending",
        "reason": "user",
        "request": {
            "symbol": "BTCUSDT",
            "data_type": "candles",
            "timeframe": "1m",
            "start_time": "2025-10-20T11:00:00.000000+00:00",
            "end_time": NOW,
            "priority": 5,
        },
        "progress": 0.0,
        "records_fetched": 0,
        "records_inserted": 0,
        "rows_per_second": None,
        "eta_seconds": None,
        "error_message": None,
        "created_at": NOW,
        "started_at": None,
        "completed_at": None,
    }


def test_a_row_of_the_originals_without_dates_is_shown_without_dates() -> None:
    value = job_value(job(created_ms=None, symbol="", data_type=""), NOW_MS)
    assert value["created_at"] is None


@pytest.mark.parametrize(
    ("changes", "pace"),
    [
        ({}, UNKNOWN),
        ({"status": "running"}, UNKNOWN),
        ({"status": "running", "started_ms": NOW_MS}, UNKNOWN),
        ({"status": "running", "started_ms": NOW_MS + 5000}, UNKNOWN),  # a clock that was set back
        ({"status": "running", "started_ms": NOW_MS - 4000}, UNKNOWN),
        ({"status": "running", "started_ms": NOW_MS - 4000, "progress": 25.0, "records_fetched": 998}, (249.5, 12.0)),
        ({"status": "running", "started_ms": NOW_MS - 4000, "progress": 100.0, "records_fetched": 8}, (2.0, 0.0)),
        ({"status": "running", "started_ms": NOW_MS - 4000, "progress": 50.0}, (None, 4.0)),  # empty pages
        (
            {
                "status": "completed",
                "started_ms": NOW_MS - 9000,
                "completed_ms": NOW_MS - 7000,
                "progress": 100.0,
                "records_fetched": 100,
            },
            (50.0, None),
        ),
        ({"status": "failed", "progress": 10.0, "records_fetched": 5}, UNKNOWN),
    ],
)
def test_pace_and_rest_are_known_once_something_was_fetched(
    changes: dict[str, Any], pace: tuple[float | None, float | None]
) -> None:
    assert pace_of(job(**changes), NOW_MS) == Pace(*pace)


@given(
    st.sampled_from([status.value for status in JobStatus]),
    st.floats(0, 100),
    st.integers(0, 10**9),
    st.integers(-(10**9), 10**9),
)
def test_no_pace_is_negative_and_only_a_running_job_has_a_rest(
    status: str, progress: float, fetched: int, ran_ms: int
) -> None:
    done = NOW_MS if status in ("completed", "failed") else None
    found = pace_of(
        job(
            status=status,
            progress=progress,
            records_fetched=fetched,
            started_ms=NOW_MS - ran_ms,
            completed_ms=done,
        ),
        NOW_MS,
    )
    assert found.rows_per_second is None or found.rows_per_second >= 0
    assert found.eta_seconds is None or (status == "running" and found.eta_seconds >= 0)


@pytest.mark.parametrize(
    ("data_type", "timeframe", "dataset"),
    [
        ("candles", "1h", "candles_BTCUSDT_1h"),
        ("trades", None, "trades_BTCUSDT"),
        ("funding", None, "funding_rates_BTCUSDT"),
        ("", None, None),
    ],
)
def test_the_dataset_of_a_job_is_the_catalogs(data_type: str, timeframe: str | None, dataset: str | None) -> None:
    assert dataset_of(job(data_type=data_type, timeframe=timeframe)) == dataset

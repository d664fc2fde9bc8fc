"""What may be asked of backfill, and the job that follows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import plan
from data_manager.http.errors import Refusal
from data_manager.http.job_requests import SPAN_DAYS, DataType, JobRequest, job_for, same_work
from data_manager.http.jobs import RECORDS
from data_manager.storage.records import TIMEFRAMES, Symbol
from tests.http.serving import NOW_MS, replace

NOW_TIME = datetime(2025, 10, 20, 12, tzinfo=UTC)
BODY: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "data_type": "candles",
    "timeframe": "1m",
    "start_time": NOW_TIME - timedelta(hours=1),
    "end_time": NOW_TIME,
}


def asked(**changes: Any) -> JobRequest:
    return JobRequest.model_validate(BODY | changes)


def where_refused(**changes: Any) -> tuple[list[str], str]:
    with pytest.raises(Refusal) as refusal:
        job_for(asked(**changes), "id", NOW_MS)
    assert refusal.value.status == 422
    (item,) = refusal.value.detail
    assert isinstance(item, dict)
    return item["loc"], item["msg"]  # type: ignore[return-value]


def test_http_and_backfill_know_the_same_types_of_data() -> None:
    assert set(get_args(DataType)) == {each.value for each in plan.DataType} == set(SPAN_DAYS) == set(RECORDS)


def test_a_request_becomes_a_pending_job_of_a_user() -> None:
    job = job_for(asked(priority=2), "id", NOW_MS)
    assert (job.job_id, job.status, job.reason, job.priority) == ("id", "pending", "user", 2)
    assert (job.start_ms, job.end_ms, job.created_ms) == (NOW_MS - 3_600_000, NOW_MS, NOW_MS)
    assert (job.symbol, job.data_type, job.timeframe) == ("BTCUSDT", "candles", "1m")
    assert (job.progress, job.records_fetched, job.records_inserted, job.checkpoint) == (0.0, 0, 0, None)


def test_an_end_in_the_future_is_now() -> None:
    assert job_for(asked(end_time=NOW_TIME + timedelta(days=3)), "id", NOW_MS).end_ms == NOW_MS


def test_only_candles_have_a_timeframe() -> None:
    for data_type in ("trades", "funding"):
        assert job_for(asked(data_type=data_type, timeframe="1h"), "id", NOW_MS).timeframe is None


@pytest.mark.parametrize(
    ("changes", "loc", "words"),
    [
        ({"timeframe": None}, "timeframe", "candles need a timeframe: 1m, 5m, 15m, 1h, 4h, 1d"),
        ({"start_time": NOW_TIME}, "start_time", "before end_time"),
        ({"start_time": NOW_TIME + timedelta(hours=1)}, "start_time", "before now"),
        ({"start_time": NOW_TIME + timedelta(hours=1), "end_time": NOW_TIME + timedelta(hours=2)}, "start_time", "now"),
        ({"start_time": NOW_TIME - timedelta(days=3661)}, "end_time", "at most 3660 days"),
        ({"data_type": "trades", "start_time": NOW_TIME - timedelta(days=32)}, "end_time", "at most 31 days"),
        ({"start_time": NOW_TIME - timedelta(seconds=59)}, "end_time", "no bar of 1m opens"),
        ({"timeframe": "1d"}, "end_time", "no bar of 1d opens"),
    ],
)
def test_a_range_that_cannot_be_fetched_is_refused_with_a_sentence(
    changes: dict[str, Any], loc: str, words: str
) -> None:
    where, sentence = where_refused(**changes)
    assert where == ["body", loc]
    assert words in sentence


@pytest.mark.parametrize(("data_type", "days"), SPAN_DAYS.items())
def test_the_longest_range_is_taken(data_type: str, days: int) -> None:
    job = job_for(asked(data_type=data_type, start_time=NOW_TIME - timedelta(days=days)), "id", NOW_MS)
    assert job.end_ms - job.start_ms == days * 86_400_000


@given(
    st.sampled_from(list(TIMEFRAMES)),
    st.integers(NOW_MS - 10 * 86_400_000, NOW_MS - 1),
    st.integers(1, 5 * 86_400_000),
)
def test_candles_are_refused_exactly_where_no_bar_opens(timeframe: str, start_ms: int, length_ms: int) -> None:
    end_ms = min(start_ms + length_ms, NOW_MS)
    bars = plan.of_candles(Symbol("BTCUSDT"), timeframe, Range(start_ms, end_ms)).within
    request = asked(
        timeframe=timeframe,
        start_time=datetime.fromtimestamp(start_ms / 1000, UTC),
        end_time=datetime.fromtimestamp(end_ms / 1000, UTC),
    )
    try:
        job = job_for(request, "id", NOW_MS)
    except Refusal:
        assert bars.start_ms >= bars.end_ms
    else:
        assert bars.start_ms < bars.end_ms
        assert (job.start_ms, job.end_ms) == (start_ms, end_ms)


@pytest.mark.parametrize("missing", ["symbol", "data_type", "start_time", "end_time"])
def test_what_must_be_given_has_no_default(missing: str) -> None:
    with pytest.raises(ValidationError):
        JobRequest.model_validate({name: value for name, value in BODY.items() if name != missing})


@pytest.mark.parametrize(
    "changes",
    [{"symbol": "ETHUSDT"}, {"data_type": "trades"}, {"timeframe": "5m"}, {"start_ms": 0}, {"end_ms": NOW_MS + 1}],
)
def test_the_same_work_is_the_same_range_of_the_same_dataset(changes: dict[str, Any]) -> None:
    job = job_for(asked(), "id", NOW_MS)
    assert same_work(job, replace(job, {"job_id": "other", "priority": 1, "status": "running", "reason": "gap"}))
    assert not same_work(job, replace(job, changes))

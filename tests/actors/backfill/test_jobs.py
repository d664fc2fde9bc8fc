"""A job's row and what is worked on: there and back, without loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.jobs import (
    MAX_ERROR,
    MAX_ROWS,
    Page,
    advanced,
    checkpoint_of,
    completed,
    failed,
    for_gap,
    lineage,
    same_work,
    series_of_work,
    started,
    unfit,
    work_of,
)
from data_manager.actors.backfill.plan import Checkpoint
from tests.actors.backfill.working import HOUR, MINUTE, NOW, gap, job

BARS = work_of(job())


@given(time_ms=st.integers(0, 2**53), next_id=st.none() | st.integers(0, 2**63 - 1))
def test_a_checkpoint_comes_back_as_it_went(time_ms: int, next_id: int | None) -> None:
    checkpoint = Checkpoint(time_ms, next_id)
    assert checkpoint_of(advanced(job(), BARS, Page(0, 0, checkpoint))) == checkpoint


def test_a_job_that_has_not_begun_has_no_checkpoint() -> None:
    assert checkpoint_of(job()) is None


def test_candles_are_fetched_from_the_first_bar_that_opens_in_the_range() -> None:
    work = work_of(job(timeframe="5m", start_ms=NOW + 1, end_ms=NOW + 11 * MINUTE))
    assert (work.within, work.newest_first) == (Range(NOW + 5 * MINUTE, NOW + 15 * MINUTE), False)


def test_first_history_comes_newest_first() -> None:
    assert work_of(job(reason="bootstrap")).newest_first


@pytest.mark.parametrize(
    ("data_type", "dataset"),
    [("candles", "candles_BTCUSDT_1m"), ("trades", "trades_BTCUSDT"), ("funding", "funding_rates_BTCUSDT")],
)
def test_each_type_has_its_dataset(data_type: str, dataset: str) -> None:
    assert series_of_work(work_of(job(data_type=data_type))).dataset_id == dataset


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"data_type": "depth"}, "depth"),
        ({"timeframe": None}, "timeframe"),
        ({"timeframe": "7m"}, "7m"),
        ({"end_ms": NOW - 9 * HOUR}, "before it begins"),
    ],
)
def test_a_job_that_cannot_be_worked_on_says_why(fields: dict[str, object], word: str) -> None:
    assert word in unfit(job(**fields))


def test_a_job_that_can_be_worked_on_says_nothing() -> None:
    assert not unfit(job())
    assert not unfit(job(data_type="trades"))


def test_counts_add_up_and_progress_follows_the_checkpoint() -> None:
    half = advanced(job(), BARS, Page(30, 20, Checkpoint(BARS.within.start_ms + 30 * MINUTE)))
    whole = advanced(half, BARS, Page(30, 5, Checkpoint(BARS.within.end_ms)))
    assert (half.progress, half.records_fetched, half.records_inserted) == (50.0, 30, 20)
    assert (whole.progress, whole.records_fetched, whole.records_inserted) == (100.0, 60, 25)


def test_counts_stay_within_what_the_catalog_can_keep() -> None:
    many = replace(job(), records_fetched=MAX_ROWS)
    assert advanced(many, BARS, Page(9, 9, Checkpoint(NOW))).records_fetched == MAX_ROWS


def test_a_job_that_goes_on_keeps_the_time_of_its_start() -> None:
    once = started(job(), NOW)
    assert (once.status, once.started_ms) == ("running", NOW)
    assert started(once, NOW + 1) == once


def test_a_job_that_ends_says_how() -> None:
    done, lost = completed(replace(job(), error_message="before"), NOW), failed(job(), "x" * 9_999, NOW)
    assert (done.status, done.progress, done.completed_ms, done.error_message) == ("completed", 100.0, NOW, None)
    assert (lost.status, lost.completed_ms, lost.error_message) == ("failed", NOW, "x" * MAX_ERROR)


def test_the_job_of_a_gap_fetches_what_is_missing() -> None:
    missing = gap(data_type="funding_rates")
    made = for_gap(missing, "a", NOW)
    assert (made.data_type, made.start_ms, made.end_ms, made.reason) == (
        "funding",
        missing.start_ms,
        missing.end_ms,
        "gap",
    )
    assert same_work(made, replace(made, job_id="b", reason="user", status="running"))
    assert not same_work(made, replace(made, end_ms=made.end_ms + 1))


def test_lineage_has_the_jobs_own_counts() -> None:
    record = lineage(replace(job(), records_fetched=7, records_inserted=3), "candles_BTCUSDT_1m", "/klines", "id", NOW)
    assert (record.input_records, record.output_records, record.transformation) == (7, 3, "backfill")

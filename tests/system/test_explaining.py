"""Every status and cause has its sentence; none says more than is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from data_manager.storage.protocols import GapStatus
from data_manager.system.commands.explaining import UNKNOWN, explained
from data_manager.system.commands.service_answers import Asked, Gap, Job

NOON = datetime(2025, 10, 20, 12, tzinfo=UTC)
GAP = Gap(
    gap_id="g1",
    dataset_id="candles_BTCUSDT_1m",
    pair="BTCUSDT",
    data_type="candles",
    timeframe="1m",
    start=NOON,
    end=NOON + timedelta(minutes=1),
    status="open",
    cause=None,
    evidence=None,
    job_id=None,
    first_seen=NOON,
    last_seen=NOON,
    closed_at=None,
)
FAILED = Job(
    job_id="j1",
    status="failed",
    reason="gap",
    request=Asked("BTCUSDT", "candles", "1m", NOON, NOON),
    progress=40.0,
    records_fetched=2000,
    records_inserted=0,
    rows_per_second=None,
    eta_seconds=None,
    error_message="the exchange does not answer",
    created_at=None,
    started_at=None,
    completed_at=None,
)


def story(**changes: Any) -> list[str]:
    return explained(msgspec.structs.replace(GAP, **changes))


def test_an_open_gap_of_unknown_cause_tells_how_to_fetch_it() -> None:
    assert story() == [
        "candles_BTCUSDT_1m lacks 1 bar: what opens from 2025-10-20T12:00:00Z until before 2025-10-20T12:01:00Z.",
        "First seen 2025-10-20T12:00:00Z, last seen 2025-10-20T12:00:00Z; status open.",
        f"Cause: {UNKNOWN}.",
        "Next: backfill takes it up by itself, unless it is switched off or busy with others.",
        "By hand: data-manager backfill run --symbol BTCUSDT --type candles --timeframe 1m"
        " --from 2025-10-20T12:00:00Z --to 2025-10-20T12:01:00Z",
    ]


@pytest.mark.parametrize(
    ("data_type", "dataset", "typed"),
    [
        ("trades", "trades_BTCUSDT", "--type trades --from"),
        ("funding_rates", "funding_rates_BTCUSDT", "--type funding --from"),
        ("depth", "depth_BTCUSDT", None),
    ],
)
def test_what_is_no_series_of_bars_is_not_counted(data_type: str, dataset: str, typed: str | None) -> None:
    told = story(data_type=data_type, dataset_id=dataset, timeframe=None)
    assert told[0] == f"{dataset} is not whole from 2025-10-20T12:00:00Z until before 2025-10-20T12:01:00Z."
    assert (typed is None) == (len(told) == 4)
    assert typed is None or typed in told[-1]


@pytest.mark.parametrize("status", [status.value for status in GapStatus])
def test_each_status_tells_what_happens_next_and_only_open_ones_what_to_type(status: str) -> None:
    told = story(status=status)
    assert any("backfill run" in line for line in told) == (status == "open")
    assert any(line.startswith("Next:") for line in told) == (status in ("open", "backfilling"))


def test_a_gap_whose_job_has_ended_waits_for_the_audit_and_no_longer_for_the_job() -> None:
    told = story(status="backfilling", job_id="j1", job=msgspec.structs.replace(FAILED, status="completed"))
    assert told[-1] == "Next: its job has ended; an audit looks again, and closes it if it is whole."
    told = story(status="backfilling", job_id="j1", job=msgspec.structs.replace(FAILED, status="running"))
    assert told[-1].endswith("`data-manager backfill show j1` tells how far it is.")


def test_a_closed_gap_tells_when() -> None:
    assert story(status="closed", closed_at=NOON)[-1] == (
        "It was audited again and closed 2025-10-20T12:00:00Z: nothing is missing there any more."
    )


@pytest.mark.parametrize("cause", ["ours", "feed", "exchange", "no_trading", "unknown", "something new"])
def test_each_cause_has_its_words(cause: str) -> None:
    line = story(cause=cause)[2]
    assert (UNKNOWN in line) == (cause in ("unknown", "something new"))


def test_what_others_wrote_cannot_steer_a_terminal() -> None:
    evil = "\x1b[2J\x07wiped\r\n"
    job = msgspec.structs.replace(FAILED, error_message=evil)
    told = story(job=job, job_id="j1", evidence=evil)
    assert told[3] == "Evidence: ?[2J?wiped??."
    assert all(line.isprintable() for line in told)


def test_a_job_that_failed_tells_why() -> None:
    told = story(job=FAILED, job_id="j1", evidence="1 bar is not stored")
    assert told[3:5] == [
        "Evidence: 1 bar is not stored.",
        "Job j1 (gap): failed at 40 %, because the exchange does not answer; 2,000 rows fetched, 0 new.",
    ]

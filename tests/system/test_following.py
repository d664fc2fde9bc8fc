"""A job is followed to its end, through times in which the service does not answer, but not for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_manager.system.commands.following import PATIENCE_S, follow, pace, told_in_lines
from data_manager.system.commands.service import Service
from data_manager.system.commands.service_answers import Job, decode
from data_manager.system.errors import ServiceAway, ServiceError
from tests.http.serving import StillClock
from tests.http.test_jobs import JOB, job
from tests.servers.api import ServedApi, served_api
from tests.servers.databases import free_port


def followed(api: ServedApi, *steps: Callable[[], object], every_s: float = 0.5) -> tuple[Job, list[str]]:
    """Follow the job `one`; between two looks the next step is taken. Its end, and the states that were shown."""
    clock, left, seen = StillClock(), list(steps), []

    def pause(_: float) -> None:
        clock.seconds += every_s
        left.pop(0)()

    service = Service(api.url)
    body = service.get("/backfill/jobs/one")
    ended = follow(service, body, clock, lambda job: seen.append(job.status), pause)
    assert not left
    return decode(ended, Job), seen


def test_each_state_on_the_way_is_shown_and_the_end_is_returned(tmp_path: Path) -> None:
    with served_api(tmp_path) as api:
        api.catalog.save_job(JOB)
        ended, seen = followed(
            api,
            lambda: None,
            lambda: api.catalog.save_job(job(status="running")),
            lambda: api.catalog.save_job(job(status="failed", error_message="why")),
        )
    assert seen == ["pending", "pending", "running", "failed"]
    assert (ended.status, ended.error_message) == ("failed", "why")


def test_a_job_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    with served_api(tmp_path) as api:
        api.catalog.save_job(job(status="completed"))
        assert followed(api)[1] == ["completed"]


def test_a_service_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    catalog, aside = tmp_path / "catalog.sqlite3", tmp_path / "aside"

    def away() -> None:
        api.catalog.close()
        catalog.rename(aside)
        catalog.mkdir()

    def back() -> None:
        catalog.rmdir()
        aside.rename(catalog)
        api.catalog.save_job(job(status="completed"))

    with served_api(tmp_path) as api:
        api.catalog.save_job(JOB)
        assert followed(api, away, lambda: None, back, every_s=PATIENCE_S / 2 - 1)[0].status == "completed"


def test_a_service_that_stays_away_is_given_up_after_its_patience() -> None:
    nobody, clock, waited = Service(f"http://127.0.0.1:{free_port()}"), StillClock(), []

    def pause(seconds: float) -> None:
        clock.seconds += 20
        waited.append(seconds)

    body = json.dumps(PENDING).encode()
    with pytest.raises(ServiceAway):
        follow(nobody, body, clock, lambda job: None, pause)
    assert len(waited) == PATIENCE_S / 20


def test_a_job_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    with served_api(tmp_path) as api, pytest.raises(ServiceError, match="not in the catalog any more"):
        follow(Service(api.url), json.dumps(PENDING).encode(), StillClock(), lambda job: None, lambda seconds: None)


def test_without_a_terminal_a_line_is_told_for_each_turn_and_every_five_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = StillClock()
    tell = told_in_lines(clock)
    closed = "2025-10-20T12:02:00+00:00"
    for seconds, status, progress, until in (
        (0, "pending", 0.0, None),
        (1, "pending", 0.0, None),
        (1, "running", 10.0, None),
        (4, "running", 20.0, None),
        (1, "running", 30.0, None),
        (1, "running", 30.0, closed),
        (9, "running", 30.0, closed),
        (1, "running", 30.0, None),
        (0, "completed", 100.0, None),
    ):
        clock.seconds += seconds
        tell(told(status=status, progress=progress, exchange_closed_until=until))
    assert capsys.readouterr().err.splitlines() == [
        "pending, 0.0 %, 0 rows",
        "running, 10.0 %, 0 rows",
        "running, 30.0 %, 0 rows",
        "running, 30.0 %, 0 rows, the exchange takes no requests until 2025-10-20T12:02:00Z",
        "running, 30.0 %, 0 rows",
        "completed, 100.0 %, 0 rows",
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "0 rows"),
        ({"records_fetched": 1}, "1 row"),
        ({"records_fetched": 12_000, "rows_per_second": 1234.5}, "12,000 rows, 1,234 a second"),
        ({"records_fetched": 2, "rows_per_second": 0.2, "eta_seconds": 90.0}, "2 rows, 0.2 a second, 1 min 30 s left"),
        ({"eta_seconds": 0.0}, "0 rows, 0.0 s left"),
        (
            {"exchange_closed_until": "2025-10-20T12:02:00+00:00"},
            "0 rows, the exchange takes no requests until 2025-10-20T12:02:00Z",
        ),
    ],
)
def test_what_is_not_known_of_the_pace_is_left_out(changes: dict[str, Any], text: str) -> None:
    assert pace(told(**changes)) == text


PENDING: dict[str, Any] = {
    "job_id": "one",
    "status": "pending",
    "reason": "user",
    "request": {
        "symbol": "BTCUSDT",
        "data_type": "candles",
        "timeframe": "1m",
        "start_time": "2025-10-20T11:00:00+00:00",
        "end_time": "2025-10-20T12:00:00+00:00",
        "priority": 5,
    },
    "progress": 0.0,
    "records_fetched": 0,
    "records_inserted": 0,
    "rows_per_second": None,
    "eta_seconds": None,
    "error_message": None,
    "created_at": None,
    "started_at": None,
    "completed_at": None,
}


def told(**changes: Any) -> Job:
    return decode(json.dumps(PENDING | changes).encode(), Job)

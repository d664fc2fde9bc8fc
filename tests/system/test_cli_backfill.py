"""`data-manager backfill`, against the API as it is served, with a real catalog behind it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.protocols import Gap, Job
from data_manager.system.messages import JobRequested
from tests.eventually import eventually_sync
from tests.http.serving import NOW_MS, replace
from tests.http.test_jobs import job
from tests.servers.api import ServedApi, served_api
from tests.servers.databases import free_port
from tests.system.typed import Terminal

RANGE = ("--symbol", "BTCUSDT", "--type", "candles", "--timeframe", "1m")
RANGE += ("--from", "2025-10-20T10:00:00Z", "--to", "2025-10-20T11:00Z")
TOKEN = "correct horse battery staple"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path) as served:
        yield served


def the_job(api: ServedApi) -> Job:
    (only,), total = api.catalog.jobs()
    assert total == 1
    return only


class Typing:
    """A command in a process of its own, which a test can watch and interrupt."""

    def __init__(self, *arguments: str, errors: Any = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "data_manager", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            # a shell has its background jobs, and these tests with them, ignore it
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def __enter__(self) -> Typing:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def ends(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err or ""

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline().rstrip()


def backfill(api: ServedApi, **changes: Any) -> None:
    """What the backfill actor would write of the one job."""
    api.catalog.save_job(replace(the_job(api), changes))


# -- run -----------------------------------------------------------------------------------------------------


def test_a_run_waits_for_its_job_and_tells_how_far_it_is(api: ServedApi) -> None:
    with Typing("backfill", "run", *RANGE, "--priority", "2", "--url", api.url) as command:
        assert command.line() == "pending, 0.0 %, 0 rows"
        asked = the_job(api)
        assert (asked.symbol, asked.data_type, asked.timeframe, asked.priority) == ("BTCUSDT", "candles", "1m", 2)
        assert (asked.start_ms, asked.end_ms) == (NOW_MS - 7_200_000, NOW_MS - 3_600_000)
        assert api.system.hints == [JobRequested(asked.job_id)]
        running = {"status": "running", "started_ms": NOW_MS - 3000, "progress": 75.0, "records_fetched": 45}
        backfill(api, **running)
        assert command.line() == "running, 75.0 %, 45 rows, 15 a second, 1.0 s left"
        backfill(
            api,
            status="completed",
            progress=100.0,
            records_fetched=60,
            records_inserted=58,
            started_ms=NOW_MS - 4000,
            completed_ms=NOW_MS,
        )
        code, out, err = command.ends()
    assert (code, err) == (0, "completed, 100.0 %, 60 rows, 15 a second\n")
    assert out.splitlines() == [
        f"{asked.job_id}: BTCUSDT candles 1m from 2025-10-20T10:00:00Z to 2025-10-20T11:00:00Z",
        "completed, 100.0 %, 60 rows, 15 a second, 58 new",
    ]


def test_a_run_whose_job_fails_ends_with_1_and_the_reason(api: ServedApi) -> None:
    with Typing("backfill", "run", *RANGE, "--url", api.url, "--json") as command:
        command.line()
        backfill(api, status="failed", error_message="the exchange does not trade BTCUSDT")
        code, out, _ = command.ends()
    assert code == 1
    assert json.loads(out)["error_message"] == "the exchange does not trade BTCUSDT"


def test_ctrl_c_leaves_the_job_running_and_says_so(api: ServedApi) -> None:
    with Typing("backfill", "run", *RANGE, "--url", api.url) as command:
        command.line()
        command.process.send_signal(signal.SIGINT)
        code, out, err = command.ends()
    asked = the_job(api)
    assert (code, out, asked.status) == (130, "", "pending")
    assert err == f"The job goes on: `data-manager backfill show {asked.job_id}` tells how far it is.\n"


def test_on_a_terminal_a_run_draws_a_bar_with_rate_and_rest(api: ServedApi) -> None:
    ours, theirs = pty.openpty()
    drawn = b""

    def seen(text: bytes) -> bool:
        nonlocal drawn
        drawn += os.read(ours, 65_536)
        return text in drawn

    try:
        with Typing("backfill", "run", *RANGE, "--url", api.url, errors=theirs) as command:
            eventually_sync(lambda: api.catalog.jobs()[1], 30)
            backfill(api, status="running", started_ms=NOW_MS - 3000, progress=75.0, records_fetched=45)
            eventually_sync(lambda: seen("━".encode()) and b"1.0 s" in drawn, 30)
            backfill(api, status="completed", progress=100.0)
            code, out, _ = command.ends()
    finally:
        os.close(theirs)
        os.close(ours)
    assert code == 0
    assert "completed" in out


def test_without_waiting_a_run_tells_where_to_look(api: ServedApi, typed: Terminal) -> None:
    done = typed("backfill", "run", *RANGE, "--no-wait", "--url", api.url)
    asked = the_job(api)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == f"`data-manager backfill show {asked.job_id}` tells how far it is"
    again = typed("backfill", "run", *RANGE, "--no-wait", "--json", "--url", api.url)
    assert json.loads(again.out)["job_id"] == asked.job_id


def test_a_dry_run_is_the_plan_and_asks_nobody(typed: Terminal) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    dry = typed("backfill", "run", *RANGE, "--dry-run", "--url", nobody)
    assert (dry.code, dry.out) == (0, typed("backfill", "plan", *RANGE).out)


# -- the token -----------------------------------------------------------------------------------------------


def test_the_token_comes_from_the_environment_or_a_file(tmp_path: Path, typed: Terminal) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with served_api(tmp_path, token=TOKEN) as api:
        arguments = ("backfill", "run", *RANGE, "--no-wait", "--url", api.url)
        refused = typed(*arguments)
        assert refused.code == 2
        assert "Set API_TOKEN here too, or name a file that holds it with --token-file." in refused.err
        assert typed(*arguments, "--token-file", tmp_path / "token").code == 0
        typed.set(API_TOKEN="wrong")
        assert typed(*arguments).code == 2
        typed.set(API_TOKEN=TOKEN)
        assert typed(*arguments).code == 0
        for done in (refused, typed(*arguments)):
            assert TOKEN not in done.out + done.err


# -- plan ----------------------------------------------------------------------------------------------------


def test_a_plan_of_candles_counts_bars_requests_and_weight(typed: Terminal) -> None:
    done = typed("backfill", "plan", *RANGE[:-4], "--from", "2025-09-01", "--to", "2025-10-01")
    assert done.out.splitlines() == [
        "BTCUSDT candles 1m from 2025-09-01T00:00:00Z to 2025-10-01T00:00:00Z: 43,200 bars",
        "87 requests for up to 499 rows each, weight 174 of 1,200 a minute",
        "17 s or more, with the whole budget to itself",
    ]


def test_a_plan_of_trades_is_the_least_and_one_of_funding_weighs_nothing(typed: Terminal) -> None:
    since = ("--from", "2025-10-01", "--to", "2025-10-08")
    trades = typed(
        "backfill", "plan", "--symbol", "BTCUSDT", "--type", "trades", *since, "--set", "binance_rate_limit=60"
    )
    assert "at least 168 requests" in trades.out
    assert "weight 3,360 of 60 a minute" in trades.out
    assert "56 min 0 s or more" in trades.out
    funding = typed("backfill", "plan", "--symbol", "BTCUSDT", "--type", "funding", *since, "--json")
    assert json.loads(funding.out) == {
        "symbol": "BTCUSDT",
        "data_type": "funding",
        "timeframe": None,
        "start_time": "2025-10-01T00:00:00+00:00",
        "end_time": "2025-10-08T00:00:00+00:00",
        "bars": None,
        "rows_a_request": 1000,
        "requests": 1,
        "weight": 0,
        "weight_a_minute": 1200,
        "least_seconds": 0.2,
    }


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"--symbol": "btcusdt"}, "--symbol btcusdt: a symbol is 2 to 20 upper-case letters, digits or '_'; did you"),
        ({"--symbol": "../x"}, "--symbol ../x:"),
        ({"--type": "klines"}, "--type klines: use candles, trades or funding."),
        ({"--timeframe": "2m"}, "--timeframe 2m: use 1m, 5m, 15m, 1h, 4h or 1d."),
        ({"--type": "trades"}, "--timeframe is of candles; leave it out for trades."),
        ({"--from": "yesterday"}, "--from yesterday: write a time such as 2025-10-20 or"),
        ({"--from": "0001-01-01T00:00+23:00"}, "--from 0001-01-01T00:00+23:00:"),
        ({"--from": "1960-01-01"}, "--from 1960-01-01: nothing is older than 1970."),
        ({"--to": "soon"}, "--to soon: write a time"),
        ({"--to": "2025-10-20T10:00:00+01:00"}, "--from must be before --to"),
        ({"--from": "9000-01-01", "--to": "9001-01-01"}, "before now"),
        ({"--to": "2025-10-20T10:00:30Z", "--from": "2025-10-20T10:00:01Z"}, "No bar of 1m opens"),
    ],
    ids=str,
)
def test_what_cannot_be_planned_is_usage_with_a_sentence(
    typed: Terminal, changed: dict[str, str], sentence: str
) -> None:
    options = dict(zip(RANGE[::2], RANGE[1::2], strict=True)) | changed
    done = typed("backfill", "plan", *(text for option in options.items() for text in option))
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_all_that_is_wrong_is_told_at_once(typed: Terminal) -> None:
    done = typed("backfill", "plan", "--symbol", "x", "--type", "y", "--from", "z")
    assert [line.split(":")[0] for line in done.err.splitlines()] == ["--symbol x", "--type y", "--from z"]


# -- jobs and show -------------------------------------------------------------------------------------------


def test_jobs_are_listed_filtered_and_counted(api: ServedApi, typed: Terminal) -> None:
    for number in range(3):
        api.catalog.save_job(job(job_id=f"job{number}", created_ms=NOW_MS + number))
    api.catalog.save_job(
        job(
            job_id="eth", symbol="ETHUSDT", status="completed", progress=100.0, reason="bootstrap", records_fetched=1440
        )
    )
    done = typed("backfill", "jobs", "--url", api.url)
    heading, first, *_, last = done.out.splitlines()
    assert heading.split() == ["JOB", "WHAT", "FROM", "TO", "STATUS", "DONE", "ROWS", "REASON"]
    assert first.split("  ")[0] == "job2"
    assert re.split(" {2,}", last) == [
        "eth",
        "ETHUSDT candles 1m",
        "2025-10-20T11:00:00Z",
        "2025-10-20T12:00:00Z",
        "completed",
        "100 %",
        "1,440",
        "bootstrap",
    ]
    few = typed("backfill", "jobs", "--status", "pending", "--limit", "1", "--url", api.url)
    assert len(few.out.splitlines()) == 2
    assert few.err == "1 of 3; more with --limit\n"
    as_json = json.loads(typed("backfill", "jobs", "--symbol", "ETHUSDT", "--json", "--url", api.url).out)
    assert [each["job_id"] for each in as_json["data"]] == ["eth"]
    wrong = typed("backfill", "jobs", "--status", "lost", "--url", api.url)
    assert wrong.code == 2
    assert wrong.err.startswith("status: Input should be 'pending', 'running', 'completed' or 'failed'")


def test_a_job_is_shown_with_its_reason_and_its_gaps(api: ServedApi, typed: Terminal) -> None:
    api.catalog.save_job(job(status="failed", reason="gap", error_message="the exchange answers 503"))
    times = {"start_ms": NOW_MS - 60_000, "end_ms": NOW_MS, "first_seen_ms": NOW_MS, "last_seen_ms": NOW_MS}
    subject = {"dataset_id": "candles_BTCUSDT_1m", "symbol": "BTCUSDT", "data_type": "candles", "timeframe": "1m"}
    gap = Gap(gap_id="g1", status="open", cause=None, evidence=None, job_id="one", **subject, **times)  # type: ignore[arg-type]
    api.catalog.save_gaps([gap])
    done = typed("backfill", "show", "one", "--url", api.url)
    assert done.out.splitlines()[2:] == ["because: the exchange answers 503", "for the gaps: g1"]
    assert json.loads(typed("backfill", "show", "one", "--json", "--url", api.url).out)["gap_ids"] == ["g1"]


@pytest.mark.parametrize("job_id", ["none", "../jobs", "a b", "ü", "?limit=1", "x#y"])
def test_an_unknown_job_is_named_with_the_command_that_lists_them(api: ServedApi, typed: Terminal, job_id: str) -> None:
    done = typed("backfill", "show", job_id, "--url", api.url)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"There is no job {job_id}: `data-manager backfill jobs` lists those that there are.\n"

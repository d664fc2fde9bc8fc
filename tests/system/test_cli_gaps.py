"""`data-manager gaps` and `data-manager audit`, against the API as it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.system.messages import AuditRequested
from tests.http.serving import NOW_MS, actor, tree
from tests.http.test_gaps import MINUTE, gap
from tests.http.test_jobs import job
from tests.servers.api import ServedApi, served_api
from tests.system.typed import Terminal

TOKEN = "correct horse battery staple"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path, token=TOKEN) as served:
        yield served


# -- gaps ----------------------------------------------------------------------------------------------------


def test_gaps_are_listed_filtered_and_counted(api: ServedApi, typed: Terminal) -> None:
    api.catalog.save_gaps(
        [
            *(gap(f"b{n}", start_ms=NOW_MS + n * MINUTE, end_ms=NOW_MS + (n + 1) * MINUTE) for n in range(3)),
            gap("old", status="closed", closed_ms=NOW_MS, cause=None),
            gap("eth", symbol="ETHUSDT", dataset_id="candles_ETHUSDT_1m"),
        ]
    )
    done = typed("gaps", "list", "--url", api.url)
    heading, first, *_ = done.out.splitlines()
    assert heading.split() == ["GAP", "DATASET", "FROM", "TO", "STATUS", "CAUSE"]
    assert first.split() == ["b2", "candles_BTCUSDT_1m", "2025-10-20T12:02:00Z", "2025-10-20T12:03:00Z", "open", "ours"]
    closed = typed("gaps", "list", "--status", "closed", "--url", api.url)
    assert closed.out.splitlines()[1].split()[-2:] == ["closed", "-"]
    few = typed("gaps", "list", "--symbol", "BTCUSDT", "--status", "open", "--limit", "2", "--url", api.url)
    assert (len(few.out.splitlines()), few.err) == (3, "2 of 3; more with --limit\n")
    as_json = json.loads(typed("gaps", "list", "--symbol", "ETHUSDT", "--json", "--url", api.url).out)
    assert [each["gap_id"] for each in as_json["data"]] == ["eth"]
    assert typed("gaps", "list", "--symbol", "eth", "--url", api.url).code == 2


def test_a_gap_is_explained_with_all_that_is_known(api: ServedApi, typed: Terminal) -> None:
    api.catalog.save_gaps([gap("g1", status="backfilling", job_id="one")])
    api.catalog.save_job(job(reason="gap", status="running", progress=50.0, records_fetched=1, records_inserted=1))
    done = typed("gaps", "explain", "g1", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "candles_BTCUSDT_1m lacks 2 bars: what opens from 2025-10-20T11:50:00Z until before 2025-10-20T11:52:00Z.",
        "First seen 2025-10-20T11:59:00Z, last seen 2025-10-20T12:00:00Z; status backfilling.",
        "Cause: a part of this service was not at work then.",
        "Evidence: 2 of the bars that must be there are not stored.",
        "Job one (gap): running at 50 %; 1 row fetched, 1 new.",
        "Next: its job fetches it, and it is closed once an audit finds it whole."
        " `data-manager backfill show one` tells how far it is.",
    ]
    as_json = json.loads(typed("gaps", "explain", "g1", "--json", "--url", api.url).out)
    assert (as_json["gap_id"], as_json["job"]["status"]) == ("g1", "running")


def test_what_is_told_to_be_typed_for_an_open_gap_can_be_typed(api: ServedApi, typed: Terminal) -> None:
    api.catalog.save_gaps([gap("g1")])
    *_, by_hand = typed("gaps", "explain", "g1", "--url", api.url).out.splitlines()
    command = by_hand.removeprefix("By hand: data-manager ").split()
    typed.set(API_TOKEN=TOKEN)
    assert typed(*command, "--no-wait", "--url", api.url).code == 0
    (asked,), _ = api.catalog.jobs()
    assert (asked.symbol, asked.timeframe) == ("BTCUSDT", "1m")
    assert (asked.start_ms, asked.end_ms) == (NOW_MS - 10 * MINUTE, NOW_MS - 8 * MINUTE)


def test_an_unknown_gap_is_named_with_the_command_that_lists_them(api: ServedApi, typed: Terminal) -> None:
    done = typed("gaps", "explain", "none", "--url", api.url)
    assert done.code == 2
    assert done.err == "There is no gap none: `data-manager gaps list` lists those that there are.\n"


# -- audit ---------------------------------------------------------------------------------------------------


def test_an_audit_is_asked_for(api: ServedApi, typed: Terminal) -> None:
    api.system.latest = tree(actor("auditor"))
    typed.set(API_TOKEN=TOKEN)
    done = typed("audit", "run", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    assert "`data-manager gaps list --status open` lists what is found." in done.out
    assert api.system.hints == [AuditRequested()]
    assert json.loads(typed("audit", "run", "--json", "--url", api.url).out)["status"] == "started"


def test_an_audit_needs_the_token_and_an_auditor(api: ServedApi, typed: Terminal) -> None:
    refused = typed("audit", "run", "--url", api.url)
    assert refused.code == 2
    assert "--token-file" in refused.err
    typed.set(API_TOKEN=TOKEN)
    away = typed("audit", "run", "--url", api.url)
    assert away.code == 3
    assert away.err.startswith("The auditor is not at work now; GET /system/tree says why.\n")
    assert api.system.hints == []


def test_a_service_without_a_token_says_so(tmp_path: Path, typed: Terminal) -> None:
    with served_api(tmp_path) as api:
        done = typed("audit", "run", "--url", api.url)
    assert done.code == 2
    assert done.err.startswith("This is switched off: set API_TOKEN")

"""`data-manager status` and `data-manager tree`, against the API as it is served."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.ledger import Counts
from data_manager.system.commands import status as status_module
from data_manager.system.commands import tree as tree_module
from data_manager.system.fleet_messages import FleetNews, Replica
from data_manager.system.messages import IncidentNews
from tests.http.serving import BTC, NOW_MS, actor, tree, working_tree
from tests.http.test_gaps import gap
from tests.http.test_jobs import job
from tests.http.test_ledger import count
from tests.servers.api import ServedApi, served_api
from tests.servers.command import PROGRAM
from tests.servers.databases import free_port
from tests.system.typed import Terminal


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    monkeypatch.setattr(status_module, "RATE_S", 0.0)
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path) as served:
        yield served


# -- status --------------------------------------------------------------------------------------------------


def test_a_service_that_works_is_shown_on_one_screen_and_ends_with_0(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    api.system.latest = working_tree()
    count(tmp_path, BTC, trade=Counts(received=1200, stored=1200))
    api.catalog.save_gaps([gap("a"), gap("b", status="unfillable")])
    api.catalog.save_job(job(status="running"))
    done = typed("status", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    shown = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert shown["service"] == f"{api.url}, ready, operational"
    assert "router" in shown["components"]
    assert shown["delivery"] == "jetstream"
    assert shown["events"].startswith("1,200 received, 0")
    assert shown["ledger"] == "balanced"
    assert shown["gaps"] == "1 open, 0 backfilling, 1 unfillable"
    assert shown["jobs"] == "1 running, 0 pending, 0 failed"
    assert shown["health"].endswith("score unknown")
    assert len(done.out.splitlines()) <= 24


def test_a_status_as_json_has_every_part(api: ServedApi, typed: Terminal) -> None:
    api.system.latest = working_tree()
    found = json.loads(typed("status", "--json", "--url", api.url).out)
    assert set(found) == {*status_module.Status._fields, "problems"}
    assert (found["ready"], found["balanced"], found["problems"]) == (True, True, [])
    assert found["gaps"] == {"open": 0, "backfilling": 0, "unfillable": 0}


def test_each_thing_that_is_wrong_is_named_and_ends_with_1(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    api.system.latest = tree(actor("http"), actor("ingest/BTCUSDT", "parked"), actor("router", "starting"))
    count(tmp_path, BTC, trade=Counts(received=2, stored=1))
    done = typed("status", "--url", api.url)
    assert done.code == 1
    problems = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if line.startswith("problem")]
    assert "it is not ready" in problems
    assert "the ledger does not balance: see `data-manager ledger show`" in problems
    assert any("BTCUSDT" in problem for problem in problems)


def test_what_cannot_be_read_is_unknown_and_a_problem(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    api.system.latest = working_tree()
    count(tmp_path, BTC, trade=Counts(received=2, stored=2))
    (tmp_path / "market" / "BTCUSDT.sqlite3").write_bytes(b"this is no database" * 1000)
    done = typed("status", "--json", "--url", api.url)
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["events"], found["events_per_second"], found["balanced"]) == (None, None, None)
    assert "events cannot be read now" in found["problems"]


def test_a_service_that_is_away_ends_with_3_and_says_what_to_type(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for command in ("status", "tree"):
        done = subprocess.run(
            [PROGRAM, command, "--url", url], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (3, "")
        assert "`data-manager run`" in done.stderr


# -- tree ----------------------------------------------------------------------------------------------------


def test_the_tree_is_shown_with_causes_and_what_is_wrong_now(api: ServedApi, typed: Terminal) -> None:
    incident = IncidentNews("1", "actor_down", "ingest/BTCUSDT", "signal 9", NOW_MS)
    api.system.latest = tree(
        actor("http"),
        actor("ingest/BTCUSDT", "backoff", pid=None, restarts=2, last_cause="signal 9\x1b[2J", lag=1234),
        incidents=(incident,),
    )
    done = typed("tree", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    heading, root, http, ingest, wrong = done.out.splitlines()
    assert heading.split()[:4] == ["ACTOR", "STATE", "PID", "RESTARTS"]
    assert root.split() == ["supervisor", "running"]
    assert http.split()[:5] == ["├─", "http", "running", "4242", "0"]
    assert ingest.split()[:5] == ["└─", "ingest/BTCUSDT", "backoff", "-", "2"]
    assert "1,234" in ingest
    assert "signal 9?[2J" in ingest, "nothing steers the terminal"
    assert wrong == "actor_down ingest/BTCUSDT: signal 9"
    as_json = json.loads(typed("tree", "--json", "--url", api.url).out)
    assert [each["name"] for each in as_json["actors"]] == ["http", "ingest/BTCUSDT"]


def test_of_several_replicas_each_is_shown_with_what_it_holds(api: ServedApi, typed: Terminal) -> None:
    api.system.latest = tree(actor("http"), actor("router", "elsewhere"), actor("auditor", "elsewhere"))
    here, there = (Replica(name, name, 1, "1", NOW_MS, held, ()) for name, held in (("a", ()), ("b", ("router",))))
    api.system.replicas = FleetNews("a", (here, there), {"router": "b"})
    _, _, _, router, auditor, first, second = typed("tree", "--url", api.url).out.splitlines()
    assert router.endswith("in b")
    assert auditor.endswith("in no replica")
    assert [first, second] == ["a (this one): -", "b: router"]


def test_a_watched_tree_is_shown_again_until_ctrl_c(
    api: ServedApi, typed: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.system.latest = working_tree()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(tree_module.time, "sleep", pause)
    done = typed("tree", "--watch", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("supervisor") == 3
    assert "\x1b" not in done.out, "this is no terminal"
    assert typed("tree", "--watch", "--json", "--url", api.url).code == 2


def test_a_tree_that_is_not_known_yet_ends_with_3(api: ServedApi, typed: Terminal) -> None:
    done = typed("tree", "--url", api.url)
    assert done.code == 3
    assert "has not reported yet" in done.err

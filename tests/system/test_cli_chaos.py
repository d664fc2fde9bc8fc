"""`data-manager chaos` as it is typed: the plan of a seed, and what it refuses to touch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_manager.storage.data_dir import DataDir
from data_manager.system.commands.chaos import problems_of, row
from data_manager.system.commands.disorder.campaign import Outcome
from data_manager.system.commands.disorder.schedule import Event, Fault, schedule
from data_manager.system.commands.disorder.verdict import Verdict
from data_manager.system.settings import Settings
from tests.http.serving import working_tree
from tests.servers.api import served_api
from tests.system.typed import Terminal

GOOD = Verdict(10, 10, 3, 3, True, ())
KILL = Event(61.5, Fault.KILL, "router")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


# -- plan ----------------------------------------------------------------------------------------------------


def test_a_plan_names_every_fault_of_the_seed_in_its_order(typed: Terminal) -> None:
    done = typed("chaos", "plan", "--seed", 7, "--minutes", 2)
    assert (done.code, done.err) == (0, "")
    heading, *lines = done.out.splitlines()
    events = schedule(7, 2, Settings().supported_pairs)
    assert heading.split() == ["AT", "FAULT", "TARGET", "HOW", "MUCH"]
    assert [line.split()[0] for line in lines] == [f"{int(e.at_s) // 60}:{e.at_s % 60:04.1f}" for e in events]
    for line, event in zip(lines, events, strict=True):
        assert event.fault in line
        assert event.target in line
    assert typed("chaos", "plan", "--seed", 7, "--minutes", 2).out == done.out
    assert typed("chaos", "plan", "--seed", 8, "--minutes", 2).out != done.out


def test_a_plan_for_programs_is_the_same_and_goes_by_the_symbols_of_the_settings(typed: Terminal) -> None:
    typed.set(SUPPORTED_PAIRS="XRPUSDT")
    report = json.loads(typed("chaos", "plan", "--seed", 7, "--minutes", 1, "--json").out)
    assert (report["seed"], report["minutes"]) == (7, 1)
    assert report["faults"] == [event._asdict() for event in schedule(7, 1, ("XRPUSDT",))]


@pytest.mark.parametrize("wrong", [("--seed", "-1"), ("--minutes", "0"), ("--minutes", "1441"), ("--set", "NOPE=1")])
def test_what_cannot_be_planned_is_refused(typed: Terminal, wrong: tuple[str, str]) -> None:
    assert typed("chaos", "plan", *wrong).code == 2


# -- run -----------------------------------------------------------------------------------------------------


def test_where_no_demo_ever_was_it_says_how_to_start_one(typed: Terminal) -> None:
    done = typed("chaos", "run")
    assert done.code == 3
    assert "`data-manager demo`" in done.err


def test_a_demo_that_has_ended_is_not_looked_for_anywhere_else(typed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "api-token").write_text("a token\n")
    (tmp_path / "data" / "lock").write_text("1\n")
    done = typed("chaos", "run")
    assert done.code == 3
    assert "Nothing runs on" in done.err


def test_a_service_that_is_no_demo_is_refused(typed: Terminal, tmp_path: Path) -> None:
    lock = DataDir(tmp_path)
    lock.acquire()
    try:
        with served_api(tmp_path) as api:
            api.system.latest = working_tree()
            (tmp_path / "http.json").write_text(json.dumps({"api_port": int(api.url.rpartition(":")[2])}))
            done = typed("chaos", "run", "--data-dir", tmp_path, "--set", "API_TOKEN=mine")
    finally:
        lock.release()
    assert done.code == 2
    assert "chaos is for `data-manager demo` only" in done.err
    assert api.system.commands == []


def test_a_demo_on_mongodb_is_refused(typed: Terminal) -> None:
    done = typed("chaos", "run", "--set", "MONGODB_URL=mongodb://127.0.0.1/market")
    assert done.code == 2
    assert "unset MONGODB_URL" in done.err


# -- what is told --------------------------------------------------------------------------------------------


def test_a_row_says_when_what_whom_and_how_it_ended() -> None:
    assert row(Outcome(KILL, 62.25, 0.61)) == ("1:02.2", "kill", "router", "", "0.6 s")
    assert row(Outcome(KILL, 62.25, None))[-1] == "NOT"
    assert row(Outcome(KILL, 62.25, None, left_out="it is\x1b away"))[-1] == "left out: it is? away"
    held = Event(3, Fault.STORE_HELD, "ingest/BTCUSDT", seconds=4.5)
    assert row(Outcome(held, 3, 6))[3:] == ("4.5 s", "6.0 s")
    assert row(Outcome(Event(3, Fault.GARBAGE, "feed", messages=20), 3, 6))[3] == "20 messages"


def test_a_fault_that_lasts_a_verdict_and_a_broken_run_are_all_problems() -> None:
    good = [Outcome(KILL, 61.5, 2.0), Outcome(KILL, 99, None, left_out="away")]
    assert problems_of(good, GOOD, None) == []
    assert problems_of([Outcome(KILL, 61.5, None)], GOOD, None) == [
        "kill of router at 1:01.5 was not got over within 90 s"
    ]
    assert problems_of(good, None, "The demo has ended.") == ["it broke off: The demo has ended."]
    assert len(problems_of(good, GOOD._replace(published=11, found=("BTCUSDT: a hole",)), None)) == 2

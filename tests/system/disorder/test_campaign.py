"""A schedule on what looks like a demo: who is hit, what is left out, what counts as got over, and what always ends."""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.storage.ledger import Counts
from data_manager.system.clock import SystemClock
from data_manager.system.commands.disorder import campaign
from data_manager.system.commands.disorder.campaign import Campaign, Outcome
from data_manager.system.commands.disorder.schedule import Event, Fault
from data_manager.system.commands.disorder.territory import Demo
from data_manager.system.errors import ServiceAway
from data_manager.system.settings import Settings
from tests.eventually import eventually_sync
from tests.http.serving import BTC
from tests.http.test_ledger import count
from tests.servers.api import ServedApi
from tests.servers.service import alive
from tests.system.disorder.trees import named


def carried_out(folder: Path, *events: Event, meanwhile: Callable[[], object] = lambda: None) -> list[Outcome]:
    """The outcomes; `meanwhile` runs beside it."""
    demo = Demo(folder, "token")
    told: list[Outcome] = []
    beside = threading.Thread(target=meanwhile)
    beside.start()
    try:
        settings = Settings(data_dir=folder)
        outcomes = Campaign(demo, settings, [BTC], SystemClock(), told.append).run(events)
    finally:
        beside.join(20)
    assert sorted(told) == sorted(outcomes)
    return outcomes


def test_a_killed_actor_is_got_over_when_the_supervisor_names_another_process(
    api: ServedApi, folder: Path, child: int
) -> None:
    named(api, auditor=child)

    def replace() -> None:
        eventually_sync(lambda: not alive(child))
        named(api, auditor=os.getppid())

    (outcome,) = carried_out(folder, Event(0.1, Fault.KILL, "auditor"), meanwhile=replace)
    assert outcome.survived
    assert outcome.recovered_s is not None
    assert outcome.event.fault is Fault.KILL


def test_an_actor_that_stays_away_is_given_up_in_the_end(
    api: ServedApi, folder: Path, child: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "RECOVERY_S", 1.0)
    named(api, auditor=child)
    (outcome,) = carried_out(folder, Event(0, Fault.KILL, "auditor"))
    assert (outcome.recovered_s, outcome.left_out, outcome.survived) == (None, None, False)


def test_a_fault_whose_target_has_no_process_is_left_out_with_the_reason(
    api: ServedApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "LATE_S", 0.5)
    named(api, auditor=None)
    (outcome,) = carried_out(folder, Event(0, Fault.KILL, "auditor"))
    assert outcome.survived
    assert outcome.left_out is not None
    assert outcome.left_out.startswith("auditor ")


def test_a_process_that_may_not_write_may_again_when_its_time_is_over(api: ServedApi, folder: Path, child: int) -> None:
    before = resource.prlimit(child, resource.RLIMIT_FSIZE)
    named(api, ingest_BTCUSDT=child)
    count(folder, BTC, trade=Counts(received=1, stored=1))

    def store_afterwards() -> None:
        eventually_sync(lambda: resource.prlimit(child, resource.RLIMIT_FSIZE)[0] == 0)
        eventually_sync(lambda: resource.prlimit(child, resource.RLIMIT_FSIZE) == before)
        for number in range(2, 40):
            count(folder, BTC, trade=Counts(received=number, stored=number))

    event = Event(0, Fault.WRITES_REFUSED, "ingest/BTCUSDT", seconds=0.5)
    (outcome,) = carried_out(folder, event, meanwhile=store_afterwards)
    assert outcome.recovered_s is not None
    assert outcome.recovered_s > 0.5


def test_whatever_lasts_ends_with_the_demo(api: ServedApi, folder: Path, child: int) -> None:
    before = resource.prlimit(child, resource.RLIMIT_FSIZE)
    named(api, ingest_BTCUSDT=child)
    count(folder, BTC, trade=Counts(received=1, stored=1))

    def end() -> None:
        eventually_sync(lambda: resource.prlimit(child, resource.RLIMIT_FSIZE)[0] == 0)
        (folder / "lock").write_text("1\n")

    with pytest.raises(ServiceAway, match="The demo has ended"):
        carried_out(folder, Event(0, Fault.WRITES_REFUSED, "ingest/BTCUSDT", seconds=60), meanwhile=end)
    assert resource.prlimit(child, resource.RLIMIT_FSIZE) == before


def test_a_store_that_is_held_is_let_go_when_its_time_is_over(api: ServedApi, folder: Path, child: int) -> None:
    named(api, ingest_BTCUSDT=child)
    count(folder, BTC, trade=Counts(received=1, stored=1))

    def is_held() -> bool:
        with closing(sqlite3.connect(folder / "market" / f"{BTC}.sqlite3", timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False

    def watch() -> None:
        eventually_sync(is_held)
        eventually_sync(lambda: not is_held())
        for number in range(2, 40):
            count(folder, BTC, trade=Counts(received=number, stored=number))

    (outcome,) = carried_out(folder, Event(0, Fault.STORE_HELD, "ingest/BTCUSDT", seconds=0.5), meanwhile=watch)
    assert outcome.recovered_s is not None

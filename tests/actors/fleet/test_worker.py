"""Replicas on one catalog: who runs what, and what of that changes when one comes, goes, dies or cannot see it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from data_manager.actors.fleet import post, shared, worker
from data_manager.actors.fleet.worker import member_of
from data_manager.storage.symbols import add, retire
from data_manager.system.fleet_messages import AskHolder, Brought, Elsewhere, HolderAnswered
from data_manager.system.messages import AuditRequested, Command, DetectRequested
from data_manager.system.worker import Status
from tests.actors.fleet.replica import PAIRS, Replica, catalog_beside, shared_rows
from tests.eventually import eventually
from tests.http.serving import actor, tree

ONCE = {"router", "auditor", "backfill"}
ALL = ONCE | {f"ingest/{pair}" for pair in PAIRS}
REPLICATED = {"mongodb_host": "m", "mysql_host": None}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "ROUND_S", 0.05)
    monkeypatch.setattr(worker, "SETTLE_S", 1.0)
    monkeypatch.setattr(post, "POLL_S", 0.03)
    monkeypatch.setattr(post, "ANSWER_POLL_S", 0.02)
    monkeypatch.setattr(shared, "catalog_url", catalog_beside)
    # what is leased is asked of the settings, which name no servers here
    monkeypatch.setattr(worker, "leasable", lambda settings: (*sorted(ONCE), "analytics"))


def with_replicas(folder: Path, many: int, check: Callable[..., Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        replicas = [Replica(folder, number, **settings) for number in range(1, many + 1)]
        replicas[0].start()
        try:
            await eventually(lambda: replicas[0].here)
            for replica in replicas[1:]:
                replica.start()
            await eventually(lambda: share_all(*replicas))
            await check(*replicas)
        finally:
            await asyncio.gather(*(replica.stop() for replica in replicas), return_exceptions=True)

    asyncio.run(run())


def share_all(*replicas: Replica) -> bool:
    """Each part runs in one of them, each with its token, and nobody has two more than another."""
    found = [name for replica in replicas for name in replica.here]
    ingest = [sum("ingest" in name for name in replica.here) for replica in replicas]
    scheduled = sum(replica.scheduled > 0 for replica in replicas)
    return sorted(found) == sorted(ALL) and max(ingest) - min(ingest) <= 1 and scheduled == 1


def test_one_replica_runs_everything_and_says_so_once_it_has_the_leases(tmp_path: Path) -> None:
    async def check(one: Replica) -> None:
        assert one.here == dict.fromkeys(ALL, 1)
        assert (one.symbols, one.scheduled) == (PAIRS, 1)
        await eventually(lambda: one.worker.status() == Status("running"))
        assert one.gauge("data_manager_members") == 1
        assert one.gauge("data_manager_lease_held", lease="router") == 1
        assert one.news is not None
        assert one.news.holders == dict.fromkeys([*ALL, "analytics"], one.name)

    with_replicas(tmp_path, 1, check)


def test_before_the_first_look_it_waits_and_nothing_runs(tmp_path: Path) -> None:
    async def check() -> None:
        (tmp_path / "none").mkdir()
        replica = Replica(tmp_path / "none", 1)
        (tmp_path / "none" / "catalog.sqlite3").mkdir()  # no database can be there
        replica.start()
        await asyncio.sleep(0.2)
        assert replica.worker.status() == Status("waiting", "leases")
        assert (replica.here, replica.symbols) == ({}, ())
        (tmp_path / "none" / "catalog.sqlite3").rmdir()
        await eventually(lambda: set(replica.here) == ALL)
        await replica.stop()

    asyncio.run(check())


def test_three_replicas_share_and_who_stops_hands_over_at_once(tmp_path: Path) -> None:
    async def check(first: Replica, second: Replica, third: Replica) -> None:
        await second.stop()
        await eventually(lambda: share_all(first, third), 3)  # far less than a lease lasts
        await third.stop()
        await eventually(lambda: share_all(first), 3)
        assert first.news is not None
        await eventually(lambda: first.news is not None and len(first.news.replicas) == 1)

    with_replicas(tmp_path, 3, check)


def test_a_part_is_given_to_another_replica_only_when_it_has_stopped(tmp_path: Path) -> None:
    async def check(first: Replica) -> None:
        first.slow = set(ALL)
        second = Replica(tmp_path, 2)
        second.start()
        await eventually(lambda: len(first.here) == 3)  # two of three singletons, one of two symbols
        await asyncio.sleep(0.3)
        assert second.here == {}
        first.slow = set()
        await eventually(lambda: share_all(first, second))
        assert {token for name, token in second.here.items()} == {3}  # given back once, and taken once
        await second.stop()

    with_replicas(tmp_path, 1, check)


def test_while_the_tree_stops_each_part_is_handed_over_as_it_ends(tmp_path: Path) -> None:
    async def check(first: Replica, second: Replica) -> None:
        kept = next(iter(first.here))
        first.slow, first.draining, first.here = {kept}, True, {}
        await eventually(lambda: set(second.here) == ALL - {kept})
        await asyncio.sleep(0.2)
        assert kept not in second.here
        first.slow = set()
        await eventually(lambda: set(second.here) == ALL)
        assert first.here == {}

    with_replicas(tmp_path, 2, check)


def test_symbols_that_are_added_and_retired_begin_and_end(tmp_path: Path) -> None:
    async def check(one: Replica) -> None:
        with shared_rows(tmp_path) as rows:
            add(rows.catalog, "SOLUSDT", PAIRS, 5)
            await eventually(lambda: "ingest/SOLUSDT" in one.here)
            assert one.symbols == (*PAIRS, "SOLUSDT")
            retire(rows.catalog, "BTCUSDT", PAIRS, 6)
            await eventually(lambda: one.symbols == ("ETHUSDT", "SOLUSDT"))
            assert "ingest/BTCUSDT" not in one.here
            await eventually(lambda: all(lease.owner != one.name for lease in btc(rows.leases.all())))

    with_replicas(tmp_path, 1, check)


def btc(leases: list[Any]) -> list[Any]:
    return [lease for lease in leases if lease.name == "ingest/BTCUSDT"]


def test_without_the_catalog_only_what_must_not_run_twice_ends_and_comes_back_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "LEASE_S", 1.8)

    async def check(one: Replica) -> None:
        with sqlite3.connect(tmp_path / "catalog.sqlite3", isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            await eventually(lambda: one.worker.status() == Status("waiting", "catalog"))
            await eventually(lambda: set(one.here) == ALL - {"auditor", "backfill"})
            assert one.scheduled == 0
            assert one.gauge("data_manager_lease_held", lease="auditor") == 0
            other.execute("ROLLBACK")
        await eventually(lambda: set(one.here) == ALL)
        assert (set(one.here.values()), one.scheduled) == ({1}, 1)  # nobody had them meanwhile
        assert one.worker.status() == Status("running")

    with_replicas(tmp_path, 1, check, store_timeout_s=0.1)


def test_after_an_outage_of_the_catalog_everybody_keeps_what_he_had(tmp_path: Path) -> None:
    async def check(*replicas: Replica) -> None:
        before = [dict(replica.here) for replica in replicas]
        with shared_rows(tmp_path) as rows, sqlite3.connect(tmp_path / "catalog.sqlite3") as outage:
            for table in ("leases", "members"):  # as if it had been away for long
                outage.execute(f"UPDATE data_manager_{table} SET expires_at = '1999-12-31 23:59:59.000000'")
            outage.commit()
            await eventually(lambda: all(lease.live for lease in rows.leases.all()))
            await asyncio.sleep(1.5)  # beyond the time for which nobody takes anything new
        assert [replica.here for replica in replicas] == before

    with_replicas(tmp_path, 3, check)


def test_while_the_supervisor_is_silent_leases_are_renewed_and_nothing_is_given_back_or_taken(
    tmp_path: Path,
) -> None:
    async def check(first: Replica) -> None:
        first.tells_its_tree = False
        first.worker._trees._patience_s = 0.05
        second = Replica(tmp_path, 2)
        second.start()
        await eventually(lambda: len(first.here) == 3)  # it is told to let go of the rest
        with shared_rows(tmp_path) as rows:
            later = [lease.name for lease in rows.leases.all() if lease.owner == first.name and lease.live]
            assert set(later) == {*ALL, "analytics"}
        await asyncio.sleep(0.3)
        assert second.here == {}
        first.tells_its_tree = True
        await eventually(lambda: share_all(first, second))
        await second.stop()

    with_replicas(tmp_path, 1, check)


def test_a_restarted_fleet_actor_goes_on_with_the_same_leases(tmp_path: Path) -> None:
    async def check(one: Replica) -> None:
        one.crash()
        again = Replica(tmp_path, one.number)  # the same process, as its supervisor says
        again.start()
        await eventually(lambda: set(again.here) == ALL)
        assert set(again.here.values()) == {1}
        await again.stop()

    with_replicas(tmp_path, 1, check)


def test_what_a_killed_replica_held_is_its_successors_at_once_in_the_same_data_folder(tmp_path: Path) -> None:
    async def check(one: Replica, other: Replica) -> None:
        one.crash()
        again = Replica(tmp_path, one.number)
        again.number = 3  # another process
        again.start()
        await eventually(lambda: share_all(other, again), 4)  # less than a lease lasts
        assert again.news is not None
        await eventually(lambda: again.news is not None and len(again.news.replicas) == 2)
        await again.stop()

    with_replicas(tmp_path, 2, check)


# commands and hints


@pytest.mark.parametrize("problem", [False, True])
def test_a_command_for_what_another_replica_runs_is_carried_out_there(tmp_path: Path, problem: bool) -> None:
    async def check(first: Replica, second: Replica) -> None:
        name = next(iter(second.here))
        if problem:
            second.here, second.slow = {}, {name}  # its supervisor says that it does not run
        first.worker.receive(AskHolder("7", name, "restart"))
        await eventually(lambda: first.heard)
        (command,) = (message for message in second.heard if isinstance(message, Command))
        assert (command.actor, command.action) == (name, "restart")
        why = f"{name} does not run here" if problem else ""
        assert first.heard == [HolderAnswered("7", second.name, True, "stopping", why)]

    with_replicas(tmp_path, 2, check)


def test_a_command_that_takes_long_is_told_to_be_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "ANSWER_S", 0.5)

    async def check(first: Replica, second: Replica) -> None:
        second.answers_commands = False
        first.worker.receive(AskHolder("7", next(iter(second.here)), "pause"))
        await eventually(lambda: first.heard)
        assert first.heard == [HolderAnswered("7", second.name)]

    with_replicas(tmp_path, 2, check)


def test_a_command_for_what_nobody_runs_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "ANSWER_S", 0.2)

    async def check(one: Replica) -> None:
        one.worker.receive(AskHolder("7", "ingest/NOBODYS", "pause"))
        await eventually(lambda: one.heard)
        assert one.heard == [HolderAnswered("7")]

    with_replicas(tmp_path, 1, check)


def test_without_the_catalog_commands_are_refused_and_hints_wait(tmp_path: Path) -> None:
    async def check(first: Replica, second: Replica) -> None:
        name = next(iter(second.here))
        with sqlite3.connect(tmp_path / "catalog.sqlite3", isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            first.worker.receive(Elsewhere(name, AuditRequested()))
            first.worker.receive(AskHolder("7", name, "pause"))
            await eventually(lambda: first.heard)
            (answer,) = first.heard
            assert isinstance(answer, HolderAnswered)
            assert (answer.holder, answer.is_done, "not available" in answer.problem) == (None, True, True)
            other.execute("ROLLBACK")
        await eventually(lambda: Brought(name, AuditRequested()) in second.heard)

    with_replicas(tmp_path, 2, check, store_timeout_s=0.1)


def test_hints_reach_an_actor_wherever_it_runs_and_those_for_this_process_alone_do_not_travel(tmp_path: Path) -> None:
    async def check(first: Replica, second: Replica) -> None:
        name = next(iter(second.here))
        first.worker.receive(Elsewhere(name, DetectRequested("1", "BTCUSDT", "1h", "mad")))
        first.worker.receive(Elsewhere(name, AuditRequested()))
        await eventually(lambda: second.heard)
        await asyncio.sleep(0.2)
        assert second.heard == [Brought(name, AuditRequested())]

    with_replicas(tmp_path, 2, check)


def test_a_replica_is_named_like_no_other_and_tells_what_runs_there() -> None:
    seen = tree(actor("router", detail="delivery=core"), actor("auditor", "elsewhere"), started_ms=5)
    member = member_of(seen, ("router",))
    assert [each.name for each in member.actors] == ["router"]
    assert (member.leasable, member.actors[0].detail) == (("router",), "delivery=core")
    assert member_of(tree(started_ms=6), ()).replica != member.replica
    assert len(member.replica) <= 100

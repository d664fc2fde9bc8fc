"""One look after the other, by replicas that can do different things and are at different work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from data_manager.actors.fleet.looking import Seen, able, leave, look
from data_manager.actors.fleet.predecessor import NOTE, succeed
from data_manager.actors.fleet.shared import Shared
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.leases import NOBODY
from data_manager.storage.members import Member
from tests.storage.examples import FixedClock

PAIRS = ("BTCUSDT", "ETHUSDT")
A = Member("a", "a", 1, "1", 0, ("router", "auditor"))
B = Member("b", "b", 1, "1", 0, ("router", "backfill"))
NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Shared]:
    url = f"sqlite:///{tmp_path}/catalog.sqlite3"
    shared = Shared(CatalogDatabase(url), SqlCatalog(url, clock=FixedClock()))
    yield shared
    shared.close()


def looked(shared: Shared, member: Member, busy: frozenset[str] = NOTHING, *, may_take: bool = True) -> Seen:
    return look(shared, member, PAIRS, busy, 1, may_take=may_take)


def owners(shared: Shared) -> dict[str, str]:
    return {lease.name: lease.owner for lease in shared.leases.all() if lease.live}


def test_each_gets_what_it_can_do_and_its_share_of_the_symbols(shared: Shared) -> None:
    for _ in range(3):
        for member in (A, B):
            looked(shared, member)
    held = owners(shared)
    assert (held["auditor"], held["backfill"]) == ("a", "b")
    assert {held["ingest/BTCUSDT"], held["ingest/ETHUSDT"]} == {"a", "b"}
    assert able([A, B]) == {"router": {"a", "b"}, "auditor": {"a"}, "backfill": {"b"}}


def test_what_a_look_tells_is_what_the_rows_say(shared: Shared) -> None:
    for _ in range(3):
        for member in (A, B):
            seen = looked(shared, member)
            assert seen.holders == owners(shared)
            assert seen.tokens.keys() == {name for name, owner in seen.holders.items() if owner == member.replica}
            assert (seen.symbols, seen.was_gone) == (PAIRS, False)


def test_who_may_not_take_keeps_what_he_has(shared: Shared) -> None:
    assert looked(shared, A, may_take=False).tokens == {}
    tokens = looked(shared, A).tokens
    assert looked(shared, A, may_take=False).tokens == tokens


def test_what_should_be_anothers_is_not_worked_at_any_more_and_given_back_once_nobody_does(shared: Shared) -> None:
    first = looked(shared, A)
    looked(shared, B)
    busy = frozenset(first.tokens)
    second = looked(shared, A, busy)
    passing = first.tokens.keys() - second.tokens.keys()
    assert len(passing) == 1  # one of two symbols
    assert {owners(shared)[name] for name in passing} == {"a"}
    looked(shared, A, busy - passing)
    assert passing.isdisjoint(owners(shared))


def test_who_leaves_keeps_what_is_still_worked_at(shared: Shared) -> None:
    looked(shared, A)
    leave(shared, "a", frozenset({"router"}))
    assert owners(shared) == {"router": "a"}
    assert shared.members.alive() == []
    leave(shared, "a", NOTHING)
    assert {lease.owner for lease in shared.leases.all()} == {NOBODY}


def test_a_successor_takes_over_what_its_predecessor_held_and_nobody_elses(shared: Shared, tmp_path: Path) -> None:
    for member in (A, B):
        (tmp_path / member.replica).mkdir()
        succeed(shared, tmp_path / member.replica, member)
    looked(shared, A)
    looked(shared, B)
    before = owners(shared)
    after_a = msgspec.structs.replace(A, replica="a2")
    for _ in range(2):
        succeed(shared, tmp_path / "a", after_a)
    assert owners(shared) == {name: owner for name, owner in before.items() if owner == "b"}
    assert (tmp_path / "a" / NOTE).read_text() == "a2"
    assert [member.replica for member in shared.members.alive()] == ["a2", "b"]


def test_a_replica_that_goes_on_after_its_fleet_actor_died_has_no_predecessor(shared: Shared, tmp_path: Path) -> None:
    succeed(shared, tmp_path, A)
    tokens = looked(shared, A).tokens
    succeed(shared, tmp_path, A)
    assert looked(shared, A).tokens == tokens

"""Contract of the members and of the commands that they give each other, on every database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_rows import TEXT_BYTES
from data_manager.storage.commands import Commands, Order, Outcome
from data_manager.storage.members import Member, Members, Running, fitting
from tests.storage.catalogs import CATALOGS, empty_database
from tests.storage.examples import T0

A = Member(
    "a-1",
    "pod-a",
    15,
    "1.2.3",
    T0,
    ("router", "auditor"),
    (Running("router", "running", "delivery=jetstream", 17, 1), Running("ingest/币安", "waiting", "nats")),
)
B = Member("b-1", "pod-b", 15, "1.2.3", T0)
RESTART = Order("1", "router", "restart", "a-1")
OLD = "1999-12-31 23:59:59.000000"


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def new(url: str) -> Iterator[Callable[[], CatalogDatabase]]:
    opened: list[CatalogDatabase] = []

    def new() -> CatalogDatabase:
        opened.append(CatalogDatabase(url))
        return opened[-1]

    yield new
    for database in opened:
        database.close()


@pytest.fixture
def database(new: Callable[[], CatalogDatabase]) -> CatalogDatabase:
    return new()


def execute(database: CatalogDatabase, statement: str) -> None:
    database.write(lambda connection: connection.execute(text(statement)))


def test_who_is_alive_is_told_as_it_said_last(database: CatalogDatabase) -> None:
    members = Members(database)
    members.is_here(B)
    members.is_here(A)
    assert members.alive() == [A, B]
    later = msgspec.structs.replace(A, actors=(Running("router", "parked", "", None, 6),), leasable=())
    members.is_here(later)
    assert members.alive() == [later, B]


def test_who_leaves_or_was_not_heard_of_for_long_is_not_alive(database: CatalogDatabase) -> None:
    members = Members(database)
    for member in (A, B):
        members.is_here(member)
    for _ in range(2):
        members.leaves("a-1")
    assert members.alive() == [B]
    execute(database, f"UPDATE data_manager_members SET expires_at = '{OLD}'")
    assert members.alive() == []
    assert [members.is_here(B) for _ in range(2)] == [False, True]
    assert members.alive() == [B]
    assert members.is_here(A)  # it is new


def test_who_is_gone_for_very_long_is_forgotten(database: CatalogDatabase) -> None:
    members = Members(database)
    for member in (A, B):
        members.is_here(member)
    execute(database, f"UPDATE data_manager_members SET expires_at = '{OLD}'")
    members.is_here(B)
    count = text("SELECT count(*) FROM data_manager_members")
    assert database.read(lambda connection: connection.scalar(count)) == 1


@pytest.mark.parametrize("many", [1, 1_000, 5_000])
def test_as_many_actors_are_told_of_as_a_row_has_room_for(many: int) -> None:
    actors = tuple(Running(f"ingest/币安{number}", "running", "x" * 30, number) for number in range(many))
    shown = fitting(actors)
    assert len(shown.encode()) <= TEXT_BYTES
    told = msgspec.json.decode(shown, type=tuple[Running, ...])
    assert told == actors[: len(told)]
    assert len(told) == many or len(shown.encode()) > TEXT_BYTES / 2


def test_a_command_is_carried_out_by_who_has_the_actor_and_the_asker_learns_of_it(database: CatalogDatabase) -> None:
    commands = Commands(database)
    commands.request(RESTART)
    assert commands.outcome("1") is None
    assert commands.take("b-1", ["auditor"]) == []
    assert commands.take("b-1", []) == []
    assert commands.take("b-1", ["router", "auditor"]) == [RESTART]
    assert commands.outcome("1") == Outcome("b-1")
    commands.done("1", "starting", "")
    assert commands.outcome("1") == Outcome("b-1", "starting", "", True)
    assert commands.take("b-1", ["router"]) == []


def test_what_was_taken_up_and_not_done_comes_again_to_the_same_and_to_nobody_else(database: CatalogDatabase) -> None:
    commands = Commands(database)
    commands.request(RESTART)
    assert commands.take("b-1", ["router"]) == [RESTART]
    assert commands.take("b-1", ["router"]) == [RESTART]
    assert commands.take("c-1", ["router"]) == []


def test_commands_come_in_their_order_with_all_that_they_say(database: CatalogDatabase) -> None:
    commands = Commands(database)
    orders = [Order(name, "auditor", "hint", "a-1", '{"币":1}') for name in ("1", "2", "3")]
    commands.request(*orders)
    commands.request(*orders)
    assert commands.take("b-1", ["auditor"]) == orders


def test_a_problem_is_told_however_long_it_is(database: CatalogDatabase) -> None:
    commands = Commands(database)
    commands.request(RESTART)
    commands.take("b-1", ["router"])
    commands.done("1", "", "币" * TEXT_BYTES)
    outcome = commands.outcome("1")
    assert outcome is not None
    assert outcome.is_done
    assert outcome.problem.startswith("币币")


def test_nobody_takes_up_an_old_command_and_a_very_old_one_is_forgotten(database: CatalogDatabase) -> None:
    commands = Commands(database)
    commands.request(RESTART)
    execute(database, f"UPDATE data_manager_commands SET requested_at = '{OLD}'")
    assert commands.take("b-1", ["router"]) == []
    commands.request(msgspec.structs.replace(RESTART, command_id="2"))
    count = text("SELECT count(*) FROM data_manager_commands")
    assert database.read(lambda connection: connection.scalar(count)) == 1


def test_a_command_has_one_taker_however_many_look_at_once(new: Callable[[], CatalogDatabase]) -> None:
    Commands(new()).request(*(msgspec.structs.replace(RESTART, command_id=str(number)) for number in range(10)))
    taken: list[str] = []
    start = threading.Barrier(4)

    def take(name: str, commands: Commands) -> None:
        start.wait(10)
        taken.extend(order.command_id for order in commands.take(name, ["router"]))

    takers = [threading.Thread(target=take, args=(str(number), Commands(new()))) for number in range(4)]
    for thread in takers:
        thread.start()
    for thread in takers:
        thread.join(30)
    assert sorted(taken, key=int) == [str(number) for number in range(10)]

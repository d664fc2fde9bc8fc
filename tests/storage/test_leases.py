"""Contract of the leases, on every database: one owner at a time, by the database's clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_tables import leases as table
from data_manager.storage.database_clock import from_now
from data_manager.storage.leases import LEASE_S, NOBODY, Lease, Leases
from data_manager.system.clock import SystemClock, now_ms
from tests.storage.catalogs import CATALOGS, empty_database

New = Callable[[], Leases]


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def new(url: str) -> Iterator[New]:
    """Each is another replica's view of the same leases."""
    opened: list[CatalogDatabase] = []

    def new() -> Leases:
        opened.append(CatalogDatabase(url))
        return Leases(opened[-1])

    yield new
    for database in opened:
        database.close()


@pytest.fixture
def database(url: str) -> Iterator[CatalogDatabase]:
    database = CatalogDatabase(url)
    yield database
    database.close()


def expire(database: CatalogDatabase, *names: str) -> None:
    """What LEASE_S without a renewal bring about."""
    those = update(table).where(table.c.name.in_(names))
    database.write(lambda connection: connection.execute(those.values(expires_at=from_now(connection, -1))))


def test_a_free_lease_is_taken_and_nobody_else_gets_it(new: New) -> None:
    mine, other = new(), new()
    assert mine.take("a", ["router", "auditor"]) == {"router": 1, "auditor": 1}
    assert other.take("b", ["auditor", "backfill"]) == {"backfill": 1}
    assert mine.all() == [
        Lease("auditor", "a", 1, True),
        Lease("backfill", "b", 1, True),
        Lease("router", "a", 1, True),
    ]


def test_taken_again_it_is_the_same(new: New) -> None:
    mine = new()
    assert [mine.take("a", ["router"]) for _ in range(3)] == [{"router": 1}] * 3


def test_nothing_is_nothing(new: New) -> None:
    mine = new()
    assert (mine.take("a", []), mine.renew("a", []), mine.release("a", []), mine.all()) == ({}, {}, None, [])


def test_an_expired_lease_goes_to_who_comes_first_with_a_greater_token(new: New, database: CatalogDatabase) -> None:
    mine, other = new(), new()
    mine.take("a", ["router"])
    expire(database, "router")
    assert mine.all() == [Lease("router", "a", 1, False)]
    assert other.take("b", ["router"]) == {"router": 2}
    assert mine.renew("a", ["router"]) == {}
    assert mine.take("a", ["router"]) == {}
    mine.release("a", ["router"])  # not its own any more
    assert mine.all() == [Lease("router", "b", 2, True)]


def test_an_expired_lease_that_nobody_took_goes_on_with_its_token(new: New, database: CatalogDatabase) -> None:
    mine = new()
    mine.take("a", ["router", "auditor"])
    expire(database, "router", "auditor")
    assert mine.renew("a", ["router"]) == {"router": 1}
    assert mine.take("a", ["auditor"]) == {"auditor": 1}
    assert [lease.live for lease in mine.all()] == [True, True]


@pytest.mark.parametrize("renewed", [False, True])
def test_a_lease_lasts_its_time_from_when_it_was_taken_or_renewed(
    new: New, database: CatalogDatabase, renewed: bool
) -> None:
    mine, before_ms = new(), now_ms(SystemClock())  # the server's clock is this machine's
    mine.take("a", ["router"])
    if renewed:
        expire(database, "router")
        mine.renew("a", ["router"])
    until_ms = database.read(lambda connection: connection.scalar(select(table.c.expires_at)))
    assert until_ms is not None
    assert before_ms <= until_ms - LEASE_S * 1000 <= now_ms(SystemClock())


def test_what_is_given_back_is_free_at_once_and_its_token_is_no_good_any_more(new: New) -> None:
    mine, other = new(), new()
    mine.take("a", ["router", "auditor"])
    for _ in range(2):
        mine.release("a", ["router"])
    assert mine.all() == [Lease("auditor", "a", 1, True), Lease("router", NOBODY, 2, False)]
    assert other.take("b", ["router", "auditor"]) == {"router": 3}


def test_names_and_owners_differ_by_every_letter(new: New) -> None:
    mine = new()
    assert mine.take("a", ["ingest/BTCUSDT", "ingest/btcusdt", "ingest/BTCÜSDT"]) == {
        "ingest/BTCUSDT": 1,
        "ingest/btcusdt": 1,
        "ingest/BTCÜSDT": 1,
    }
    assert mine.take("A", ["ingest/BTCUSDT"]) == {}


def test_of_many_who_want_the_same_at_the_same_time_each_lease_has_one(new: New) -> None:
    names = [f"ingest/S{number}" for number in range(20)]
    won: dict[str, dict[str, int]] = {}
    start = threading.Barrier(6)

    def contend(owner: str, leases: Leases) -> None:
        start.wait(10)
        won[owner] = dict(leases.take(owner, names))

    contenders = [threading.Thread(target=contend, args=(str(number), new())) for number in range(6)]
    for thread in contenders:
        thread.start()
    for thread in contenders:
        thread.join(30)
    assert sorted(name for tokens in won.values() for name in tokens) == sorted(names)
    assert {token for tokens in won.values() for token in tokens.values()} == {1}

"""What an owner of the past writes under its lease is refused, whole; what it reads is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_rows import INCIDENTS
from data_manager.storage.fencing import Fence
from data_manager.storage.leases import Leases
from data_manager.storage.protocols import AuditLog, Catalog, ExchangeState, Expiring, GapStatus
from data_manager.system.errors import StaleLease
from tests.eventually import eventually_sync
from tests.storage.catalogs import (
    CATALOGS,
    conflict,
    dataset,
    driven,
    empty_database,
    gap,
    health,
    incident,
    job,
    lineage,
)
from tests.storage.examples import T0, FixedClock

WRITES: dict[str, Callable[[Catalog], object]] = {
    "save_incident": lambda catalog: catalog.save_incident(incident("b")),
    "save_datasets": lambda catalog: catalog.save_datasets([dataset("b")]),
    "save_lineage": lambda catalog: catalog.save_lineage([lineage("b")]),
    "save_job": lambda catalog: catalog.save_job(job("b")),
    "save_gaps": lambda catalog: catalog.save_gaps([gap("b")]),
    "see_gaps": lambda catalog: catalog.see_gaps([gap("b")]),
    "move_gap": lambda catalog: catalog.move_gap("a", GapStatus.CLOSED, only_from=[GapStatus.OPEN], at_ms=T0),
    "save_audit_logs": lambda catalog: catalog.save_audit_logs(
        [AuditLog("b", "candles_BTCUSDT_1m", "BTCUSDT", "gap", "low", "", T0)]
    ),
    "save_health": lambda catalog: catalog.save_health([health("b")]),
    "save_conflicts": lambda catalog: catalog.save_conflicts([conflict("b")]),
    "save_exchange_state": lambda catalog: catalog.save_exchange_state(ExchangeState("b", "{}", None, T0)),
    "expire": lambda catalog: catalog.expire(Expiring.INCIDENTS, T0 + 10_000),
    "check": lambda catalog: catalog.check(),
}


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def database(url: str) -> Iterator[CatalogDatabase]:
    database = CatalogDatabase(url)
    yield database
    database.close()


@pytest.fixture
def leases(database: CatalogDatabase) -> Leases:
    return Leases(database)


@pytest.fixture
def open_catalog(url: str) -> Iterator[Callable[..., SqlCatalog]]:
    opened: list[SqlCatalog] = []

    def open_catalog(fence: Fence | None = None) -> SqlCatalog:
        opened.append(SqlCatalog(url, clock=FixedClock(), fence=fence))
        return opened[-1]

    yield open_catalog
    for catalog in opened:
        catalog.close()


def held(leases: Leases, owner: str = "a") -> Fence:
    return Fence("auditor", leases.take(owner, ["auditor"])["auditor"])


def rows(database: CatalogDatabase) -> dict[str, int]:
    """How many there are of each table that WRITES write, and which status the gap has."""
    tables = ("data_manager_incidents", "datasets", "lineage_records", "backfill_jobs", "data_manager_gaps")
    more = ("audit_logs", "health_metrics", "data_manager_conflicts", "data_manager_exchange_state")

    def count(connection: Connection) -> dict[str, int]:
        counted = {
            name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() or 0 for name in (*tables, *more)
        }
        closed = "SELECT count(*) FROM data_manager_gaps WHERE status = 'closed'"
        return {**counted, "closed": connection.exec_driver_sql(closed).scalar() or 0}

    return database.read(count)


def test_every_write_of_the_holder_is_done(
    database: CatalogDatabase, leases: Leases, open_catalog: Callable[..., SqlCatalog]
) -> None:
    catalog = open_catalog(held(leases))
    catalog.save_gaps([gap("a")])
    before = rows(database)
    for name, write in WRITES.items():
        if name != "expire":
            write(catalog)
    after = rows(database)
    changed = {name: after[name] - before[name] for name in after}
    assert changed == dict.fromkeys(after, 1)


@pytest.mark.parametrize("passed_on", ["taken over", "given back"])
def test_every_write_of_an_owner_of_the_past_is_refused_and_changes_nothing(
    database: CatalogDatabase, leases: Leases, open_catalog: Callable[..., SqlCatalog], passed_on: str
) -> None:
    others = open_catalog()
    others.save_gaps([gap("a")])
    others.save_incident(incident("a", ended_ms=T0 + 2))
    catalog = open_catalog(held(leases))
    leases.release("a", ["auditor"])
    if passed_on == "taken over":
        held(leases, "b")
    before = rows(database)
    for name, write in WRITES.items():
        with pytest.raises(StaleLease, match="auditor has passed on"):
            write(catalog)
        assert rows(database) == before, name


def test_what_it_reads_is_for_everybody(leases: Leases, open_catalog: Callable[..., SqlCatalog]) -> None:
    open_catalog().save_gaps([gap("a")])
    catalog = open_catalog(held(leases))
    leases.release("a", ["auditor"])
    assert catalog.gap("a") == gap("a")


def test_an_owner_whose_lease_expired_may_write_until_somebody_takes_it(
    leases: Leases, open_catalog: Callable[..., SqlCatalog], database: CatalogDatabase
) -> None:
    short = Leases(database, lease_s=-1)
    catalog = open_catalog(held(short))
    catalog.save_incident(incident("b"))
    assert held(leases, "b").token == 2
    with pytest.raises(StaleLease):
        catalog.save_incident(incident("c"))


def test_a_lease_that_is_under_a_write_passes_on_after_its_end_and_not_within_it(
    new_mysql: Callable[[], str],
) -> None:
    """Between the look at the token and the commit there is no moment for a take-over: MariaDB's row lock."""
    url = driven(new_mysql())
    past, present = CatalogDatabase(url), CatalogDatabase(url)
    try:
        fence = held(Leases(past, lease_s=-1))  # expired at once: anybody may take it
        writer = CatalogDatabase(url, fence=fence)
        order: list[str] = []
        under_way, taking = threading.Event(), threading.Event()

        def write(connection: Connection) -> None:
            under_way.set()
            taking.wait(10)
            taker.join(0.3)  # it cannot end before this transaction has
            INCIDENTS.save(connection, [incident("b")])
            order.append("written")

        def take() -> None:
            under_way.wait(10)
            taking.set()
            assert held(Leases(present), "b").token == 2
            order.append("taken")

        taker = threading.Thread(target=take)
        taker.start()
        writer.write(write)
        taker.join(10)
        assert order == ["written", "taken"]
        with pytest.raises(StaleLease):
            writer.write(lambda connection: INCIDENTS.save(connection, [incident("c")]))
        writer.close()
    finally:
        past.close()
        present.close()


def test_an_owner_that_is_paused_within_a_write_holds_nobody_up_for_long_and_writes_nothing_later(
    new_mysql: Callable[[], str],
) -> None:
    """The server ends its session, and with it the transaction that it had begun."""
    url = driven(new_mysql())
    present = CatalogDatabase(url)
    fence = held(Leases(present, lease_s=-1))
    paused = CatalogDatabase(url, fence=fence, idle_s=1)
    taken, tries = threading.Event(), [0]

    def write(connection: Connection) -> None:
        INCIDENTS.save(connection, [incident("b")])
        tries[0] += 1
        taken.wait(20)  # it is paused here, with the lock of the lease
        INCIDENTS.save(connection, [incident("c")])

    def take() -> None:
        eventually_sync(lambda: tries[0], 10)
        assert held(Leases(present), "b").token == 2
        taken.set()

    taker = threading.Thread(target=take)
    taker.start()
    try:
        with pytest.raises(StaleLease):
            paused.write(write)
        assert tries == [1]
        assert rows(present)["data_manager_incidents"] == 0
    finally:
        taker.join(20)
        paused.close()
        present.close()


def test_who_renews_does_not_wait_for_another_who_is_paused_within_a_write(new_mysql: Callable[[], str]) -> None:
    url = driven(new_mysql())
    others, present = [f"ingest/S{number}" for number in range(4)], CatalogDatabase(url, timeout_s=2)
    leases = Leases(present)
    leases.take("b", others)
    paused = CatalogDatabase(url, fence=held(leases))
    under_way, renewed = threading.Event(), threading.Event()

    def write(_: Connection) -> None:
        under_way.set()
        renewed.wait(20)

    writer = threading.Thread(target=paused.write, args=(write,))
    writer.start()
    try:
        under_way.wait(10)
        assert leases.renew("b", others) == dict.fromkeys(others, 1)
        assert leases.take("b", ["router"]) == {"router": 1}
        leases.release("b", others)
    finally:
        renewed.set()
        writer.join(20)
        paused.close()
        present.close()

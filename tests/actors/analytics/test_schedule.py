"""Of several replicas one computes on schedule, under a lease; every one answers what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.actors.analytics import worker as worker_module
from data_manager.actors.audit import presence
from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.choice import catalog_url
from data_manager.storage.leases import Leases
from data_manager.system.fleet_messages import Scheduled
from data_manager.system.messages import Detected, DetectRequested
from data_manager.system.settings import Settings
from data_manager.system.tree import ANALYTICS
from tests.actors.analytics.computing import SYMBOLS, Computing

BTC = SYMBOLS[0]
ASKED = DetectRequested("7", BTC, "1h", "mad")


@pytest.fixture(autouse=True)
def replicated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "is_replicated", property(lambda settings: True))
    monkeypatch.setattr(presence, "CHECK_S", 0.05)
    monkeypatch.setattr(worker_module, "HISTORY_POLL_S", 0.02)


@pytest.fixture
def computing(tmp_path: Path) -> Iterator[Computing]:
    with closing(Computing(tmp_path, (BTC,), analytics_interval=0.5)) as computing:
        computing.fill()
        yield computing


@pytest.fixture
def leases(computing: Computing) -> Iterator[Leases]:
    with closing(CatalogDatabase(catalog_url(computing.settings))) as database:
        yield Leases(database)


def cycles(computing: Computing) -> float:
    return computing.metrics.totals().counters.get(("data_manager_analytics_cycles_total", ()), 0)


def test_without_the_lease_it_answers_and_computes_nothing_by_itself(computing: Computing) -> None:
    async def run() -> None:
        async with computing.running() as worker:
            worker.receive(ASKED)
            await computing.until(lambda: computing.sent)
            assert [type(each) for each in computing.sent] == [Detected]
            await asyncio.sleep(1)
            assert (cycles(computing), computing.documents()) == (0, [])

    asyncio.run(run())


def test_with_the_lease_it_computes_until_another_replica_does(computing: Computing, leases: Leases) -> None:
    async def run() -> None:
        async with computing.running() as worker:
            token = leases.take("a", [ANALYTICS])[ANALYTICS]
            for _ in range(3):  # it is told again and again
                worker.receive(Scheduled(token))
            await computing.until(lambda: cycles(computing) >= 2)
            worker.receive(Scheduled(0))
            await asyncio.sleep(0.3)
            done = cycles(computing)
            await asyncio.sleep(1)
            assert cycles(computing) == done
            worker.receive(Scheduled(token))
            await computing.until(lambda: cycles(computing) > done)

    asyncio.run(run())


def test_what_it_says_in_the_catalog_it_says_under_the_lease(tmp_path: Path) -> None:
    async def run() -> None:
        with (
            closing(Computing(tmp_path, SYMBOLS[:2], analytics_interval=0.5)) as computing,
            closing(CatalogDatabase(catalog_url(computing.settings))) as database,
        ):
            computing.fill(BTC)
            (tmp_path / "market" / f"{SYMBOLS[1]}.sqlite3").write_bytes(b"no database" * 1000)
            leases = Leases(database)
            past = leases.take("a", [ANALYTICS])[ANALYTICS]
            leases.release("a", [ANALYTICS])
            async with computing.running() as worker:
                worker.receive(Scheduled(past))
                await computing.until(lambda: cycles(computing) >= 2)
                assert computing.catalog.incidents() == []
                worker.receive(Scheduled(leases.take("a", [ANALYTICS])[ANALYTICS]))
                await computing.until(lambda: computing.catalog.incidents())

    asyncio.run(run())

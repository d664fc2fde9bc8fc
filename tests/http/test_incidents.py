from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from data_manager.http import incidents
from data_manager.http.incidents import IncidentKeeper
from data_manager.http.store_thread import StoreThread
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import catalog_url
from data_manager.storage.protocols import Catalog, Incident
from data_manager.system.errors import StoreError, StoreUnavailable
from data_manager.system.messages import IncidentNews
from data_manager.system.settings import Settings
from tests.eventually import eventually
from tests.http.serving import NOW_MS, StillClock


def news(incident_id: str, ended_ms: int | None = None) -> IncidentNews:
    return IncidentNews(incident_id, "actor_down", "router", "signal 9", NOW_MS, ended_ms, "detail")


@asynccontextmanager
async def keeping(catalog: StoreThread[Catalog]) -> AsyncIterator[IncidentKeeper]:
    keeper = IncidentKeeper(catalog, random.Random(1))
    running = asyncio.create_task(keeper.run())
    yield keeper
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await catalog.close()


class Unreliable(SqlCatalog):
    """A real catalog that is away while `away` is set, and refuses the id "bad" for good."""

    away = False

    def save_incident(self, incident: Incident) -> None:
        if self.away:
            raise StoreUnavailable("away")
        if incident.incident_id == "bad":
            raise StoreError("too long")
        super().save_incident(incident)


def catalog_in(folder: Path) -> tuple[Unreliable, StoreThread[Catalog]]:
    catalog = Unreliable(catalog_url(Settings(data_dir=folder)), clock=StillClock())
    return catalog, StoreThread("catalog", lambda: catalog)


def ids(catalog: Catalog) -> list[str]:
    return sorted(incident.incident_id for incident in catalog.incidents(limit=10_000))


def test_incidents_are_saved_and_updated_when_they_end(tmp_path: Path) -> None:
    async def run() -> None:
        catalog, thread = catalog_in(tmp_path)
        async with keeping(thread) as keeper:
            keeper.add(news("a"))
            await eventually(lambda: catalog.incidents(open_only=True))
            keeper.add(news("a", NOW_MS + 5))
            await eventually(lambda: not catalog.incidents(open_only=True))
            assert catalog.incidents() == [
                Incident("a", "actor_down", "router", "signal 9", NOW_MS, NOW_MS + 5, "detail")
            ]

    asyncio.run(run())


def test_nothing_is_lost_while_the_catalog_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(incidents, "RETRY_MAX_S", 0.05)

    async def run() -> None:
        catalog, thread = catalog_in(tmp_path)
        catalog.away = True
        async with keeping(thread) as keeper:
            for number in range(20):
                keeper.add(news(f"{number:02}"))
            keeper.add(news("00", NOW_MS + 1))
            await asyncio.sleep(0.1)
            assert ids(catalog) == []
            catalog.away = False
            await eventually(lambda: len(ids(catalog)) == 20)
            await eventually(lambda: len(catalog.incidents(open_only=True)) == 19)
            keeper.add(news("99"))
            await eventually(lambda: "99" in ids(catalog))

    asyncio.run(run())


def test_beyond_the_limit_the_oldest_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "MAX_PENDING", 5)

    async def run() -> None:
        catalog, thread = catalog_in(tmp_path)
        keeper = IncidentKeeper(thread, random.Random(1))
        for number in range(8):
            keeper.add(news(str(number)))
        keeper.add(news("7", NOW_MS))
        await keeper.flush()
        assert ids(catalog) == ["3", "4", "5", "6", "7"]
        await thread.close()

    asyncio.run(run())


def test_an_incident_that_the_catalog_refuses_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async def run() -> None:
        catalog, thread = catalog_in(tmp_path)
        async with keeping(thread) as keeper:
            for incident_id in ("a", "bad", "b"):
                keeper.add(news(incident_id))
            await eventually(lambda: ids(catalog) == ["a", "b"])

    asyncio.run(run())

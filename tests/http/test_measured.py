"""What was measured is read once for many who ask, and again after a few seconds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from data_manager.http.measured import FRESH_S, Measured
from data_manager.http.store_thread import StoreThread
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Health
from data_manager.system.errors import StoreError
from tests.http.serving import StillClock, health


class Counting(SqlCatalog):
    """Counts how often it is read."""

    read = 0

    def latest_health(self, symbol: str | None = None) -> list[Health]:
        self.read += 1
        return super().latest_health(symbol)


def test_many_who_ask_at_once_cost_one_look_at_the_catalog(tmp_path: Path) -> None:
    async def run() -> None:
        clock = StillClock()
        catalog = Counting(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=clock)
        thread = StoreThread("catalog", lambda: catalog)
        measured = Measured(thread, clock)
        catalog.save_health([health()])
        assert await asyncio.gather(*(measured.all() for _ in range(20))) == [[health()]] * 20
        catalog.save_health([health(dataset_id="trades_BTCUSDT", metric_id="m2")])
        clock.seconds += FRESH_S - 0.1
        assert (len(await measured.all()), catalog.read) == (1, 1)
        clock.seconds += 0.1
        assert (len(await measured.all()), catalog.read) == (2, 2)
        await thread.close()

    asyncio.run(run())


def test_a_catalog_that_is_away_is_an_error_and_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite3"
    file.mkdir()

    async def run() -> None:
        clock = StillClock()
        thread = StoreThread("catalog", lambda: SqlCatalog(f"sqlite:///{file}", clock=clock))
        measured = Measured(thread, clock)
        with pytest.raises(StoreError):
            await measured.all()
        file.rmdir()
        assert await measured.all() == []
        await thread.close()

    asyncio.run(run())

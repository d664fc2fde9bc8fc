"""An auditor on the stores of tests/actors/housekeeping, and what it left in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data_manager.actors.audit.auditor import Auditor
from data_manager.actors.audit.conf import audit_conf
from data_manager.storage.protocols import Gap
from data_manager.storage.records import MINUTE_MS, Candle, Symbol
from data_manager.system.settings import Settings
from tests.actors.housekeeping.stores import NOW, Stores
from tests.storage.examples import candle


def auditor(stores: Stores, gaps_found: Callable[[Symbol], None] = lambda symbol: None, **settings: Any) -> Auditor:
    """It gives bars no grace."""
    threads = stores.market_thread, stores.catalog_thread
    told = Settings(**{"gap_tolerance_seconds": 0, **settings})
    return Auditor(*threads, told, audit_conf(), stores.clock, stores.metrics, gaps_found)


async def audit(audits: Auditor) -> None:
    """A round."""
    for symbol in await audits.symbols():
        await audits.look(symbol)


def minute(number: int, **fields: Any) -> Candle:
    """The bar that opens so many minutes before NOW."""
    return candle(0, **{"open_time": NOW - number * MINUTE_MS, "stored_ms": NOW, **fields})


def gaps(stores: Stores, dataset_id: str = "candles_BTCUSDT_1m", *statuses: str) -> list[Gap]:
    """The dataset's, oldest first."""
    return stores.catalog.gaps(dataset_id=dataset_id, statuses=statuses, descending=False)[0]

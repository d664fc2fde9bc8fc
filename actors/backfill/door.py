"""The way to the exchange: where it is, and what it forbids, which no restart may forget."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from data_manager.actors.backfill.binance import Binance
from data_manager.actors.backfill.budget import Budget, BudgetState, Sleep
from data_manager.actors.backfill.patience import EXCHANGE, Away, Stores
from data_manager.storage.protocols import Catalog, ExchangeState
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import ExchangeClosed
from data_manager.system.logs import log

BUDGET = "budget"  # the name under which the catalog keeps it
LOOK_S = 0.25  # how often the simulated exchange's file is looked for


class _Port(msgspec.Struct):
    port: int


def load_state(catalog: Catalog) -> BudgetState | None:
    """What the exchange forbade whoever asked before."""
    saved = catalog.exchange_state(BUDGET)
    return None if saved is None else msgspec.json.decode(saved.value, type=BudgetState)


class Door:
    """One client, shared by all jobs. `simulated` is the file in which a simulated exchange tells its port."""

    def __init__(
        self,
        exchange: Binance,
        budget: Budget,
        stores: Stores,
        away: Away,
        clock: Clock,
        *,
        simulated: Path | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._exchange = exchange
        self._budget = budget
        self._stores = stores
        self._away = away
        self._clock = clock
        self._simulated = simulated
        self._sleep = sleep
        self._saved = budget.state

    async def open(self) -> Binance:
        """The client, once it is known where to ask; where the exchange forbids requests it raises so itself."""
        if self._simulated is not None:
            while (url := simulated_url(self._simulated)) is None:
                self._away.gone(EXCHANGE, f"the simulated exchange has not written {self._simulated.name} yet")
                await self._sleep(LOOK_S)
            self._exchange.base_url = url
        return self._exchange

    def answered(self) -> None:
        """The exchange is there."""
        self._away.back(EXCHANGE)

    async def closed(self, told: ExchangeClosed) -> None:
        """Save what it forbids, before anything else, and wait until it allows requests again."""
        await self._save()
        self._away.gone(EXCHANGE, str(told))
        while (left := self._budget.closed_s) > 0:
            await self._sleep(left)

    async def _save(self) -> None:
        state = self._budget.state
        if state == self._saved:
            return
        value = msgspec.json.encode(state).decode()
        row = ExchangeState(BUDGET, value, state.closed_until_ms, now_ms(self._clock))
        await self._stores.catalog(lambda catalog: catalog.save_exchange_state(row))
        self._saved = state
        log("exchange_closed", logging.WARNING, status=state.status, until_ms=state.closed_until_ms)


def simulated_url(file: Path) -> str | None:
    """Where the simulated exchange is; None before it has said so."""
    try:
        port = msgspec.json.decode(file.read_bytes(), type=_Port).port
    except FileNotFoundError:
        return None
    return f"http://127.0.0.1:{port}"

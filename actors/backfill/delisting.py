"""Whether the exchange still trades the symbols of the service: looked at once a day, and told, no more.

What is not traded any more sends nothing, but its history stays, and only an operator knows whether it was renamed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from data_manager.actors.backfill.answers import ExchangeInfo
from data_manager.actors.backfill.door import Door
from data_manager.actors.backfill.patience import Stores
from data_manager.storage.incidents import Trouble, settle
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import ExchangeClosed, ExchangeError
from data_manager.system.logs import log
from data_manager.system.symbols import Symbols

NOT_TRADED, EXCHANGE = "symbols_not_traded", "exchange"
TRADING, UNKNOWN = "TRADING", "unknown to the exchange"
FIRST_S = 60.0  # after the start, which has more to ask
EVERY_S = 86_400.0
AGAIN_S = 3_600.0  # after a look that failed
CAUSE = "the exchange does not trade them: retire them, and add what they are called now"
SHOWN = 50  # symbols that an incident names


class DelistingWatch:
    """Keeps one incident of all active symbols that the exchange does not trade, for as long as there are any."""

    def __init__(self, door: Door, stores: Stores, symbols: Symbols, clock: Clock) -> None:
        self._door = door
        self._stores = stores
        self._symbols = symbols
        self._clock = clock
        self._due = clock.monotonic() + FIRST_S
        self._told: dict[str, str] = {}
        symbols.on_change(self._follow)

    def take_up(self, group: asyncio.TaskGroup) -> None:
        """Begin a look where it is time for one."""
        if self._clock.monotonic() >= self._due:
            self._due = self._clock.monotonic() + EVERY_S
            group.create_task(self._look(), name="delisting")

    def _follow(self) -> None:
        self._due = min(self._due, self._clock.monotonic() + FIRST_S)

    async def _look(self) -> None:
        try:
            info = await (await self._door.open()).exchange_info()
        except ExchangeClosed as told:
            self._due = self._clock.monotonic() + AGAIN_S
            await self._door.closed(told)
            return
        except ExchangeError as error:
            self._due = self._clock.monotonic() + AGAIN_S
            log("delisting_unknown", logging.DEBUG, cause=str(error))
            return
        idle = not_traded(self._symbols.now, info)
        await self._stores.catalog(lambda catalog: settle(catalog, (NOT_TRADED,), troubles(idle), now_ms(self._clock)))
        if idle != self._told:
            log(NOT_TRADED, logging.WARNING if idle else logging.INFO, symbols=idle)
        self._told = idle


def not_traded(symbols: Iterable[str], info: ExchangeInfo) -> dict[str, str]:
    """Those that the exchange does not trade, with their status there."""
    status = {listed.symbol: listed.status for listed in info.symbols}
    found = {symbol: status.get(symbol, UNKNOWN) for symbol in symbols}
    return {symbol: theirs for symbol, theirs in found.items() if theirs != TRADING}


def troubles(idle: dict[str, str]) -> list[Trouble]:
    """One for all of them."""
    if not idle:
        return []
    named = [f"{symbol} ({theirs})" for symbol, theirs in idle.items()]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return [Trouble(NOT_TRADED, EXCHANGE, CAUSE, f"{', '.join(named[:SHOWN])}{more}")]

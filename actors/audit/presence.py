"""Whether the stores answer, looked at every few seconds: what an actor that lives on them tells as its status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from data_manager.http.store_thread import Access, Closable
from data_manager.system.errors import StoreError
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics
from data_manager.system.worker import Status

CHECK_S = 5.0


class Presence:
    """The stores by the names that a status calls them; `note` is added to the detail while all is well too.

    With `metrics` there is a gauge of each: one actor of a tree has it, whose word is enough.
    """

    def __init__(
        self, stores: Mapping[str, Access[Closable]], note: str = "", *, metrics: Metrics | None = None
    ) -> None:
        self._stores = stores
        self._note = note
        self._metrics = metrics
        self._away: dict[str, str] | None = None  # name -> why; None before the first look
        self._told: list[str] = []  # the names that are logged as away

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(CHECK_S)

    async def look(self) -> None:
        """Look once at each."""
        away: dict[str, str] = {}
        for name, store in self._stores.items():
            try:
                await store.call(lambda opened: opened.check())
            except StoreError as error:
                away[name] = str(error)
            if self._metrics is not None:
                self._metrics.set("data_manager_store_up", name not in away, store=name)
        self._tell(self._away or {}, away)
        self._away = away

    def _tell(self, before: Mapping[str, str], away: Mapping[str, str]) -> None:
        """What is away at two looks in a row: while a catalog makes its tables it may be busy for one."""
        for name in (name for name in away if name in before and name not in self._told):
            self._told.append(name)
            log("store_away", logging.WARNING, store=name, reason=away[name])
        for name in [name for name in self._told if name not in away]:
            self._told.remove(name)
            log("store_back", logging.WARNING, store=name)

    def status(self) -> Status:
        """`waiting` for what is away."""
        if self._away is None:
            return Status("waiting", "start")
        detail = ";".join(filter(None, (*self._away, self._note)))
        return Status("waiting" if self._away else "running", detail)

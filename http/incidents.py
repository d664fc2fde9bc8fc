"""Incidents on their way from the supervisor to the catalog, kept while the catalog is away."""

from __future__ import annotations

import asyncio
import logging
import random
from functools import partial

import msgspec

from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, Incident
from data_manager.system.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable
from data_manager.system.logs import log
from data_manager.system.messages import IncidentNews

MAX_PENDING = 1000  # incidents; beyond it the oldest are given up
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 30.0
AWAY = (StoreUnavailable, StoreFull, StoreCorrupt)  # any other StoreError is about the incident itself


class IncidentKeeper:
    """Saves incidents in the order of their arrival; of several reports of one incident the last is saved."""

    def __init__(self, catalog: StoreThread[Catalog], rng: random.Random) -> None:
        self._catalog = catalog
        self._rng = rng
        self._pending: dict[str, Incident] = {}
        self._arrived = asyncio.Event()
        self._given_up = 0

    def add(self, news: IncidentNews) -> None:
        """Take one in; never blocks."""
        self._pending.pop(news.incident_id, None)  # its later report goes to the end
        self._pending[news.incident_id] = Incident(*msgspec.structs.astuple(news))
        if len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
            self._given_up += 1
        self._arrived.set()

    async def run(self) -> None:
        """Save them as they come, until cancelled."""
        delay = 0.0
        while True:
            await self._arrived.wait()
            try:
                await self.flush()
                if delay:
                    log("incidents_saved", given_up=self._given_up)
                delay, self._given_up = 0.0, 0
            except AWAY as error:
                if not delay:
                    log("incidents_waiting", logging.WARNING, pending=len(self._pending), cause=str(error))
                delay = min(RETRY_MAX_S, delay * 2 or RETRY_FIRST_S)
                await asyncio.sleep(delay * self._rng.uniform(0.5, 1.0))

    async def flush(self) -> None:
        """Save all that is pending; raises StoreError while the catalog is away, and loses nothing then."""
        while self._pending:
            incident = next(iter(self._pending.values()))
            try:
                await self._catalog.call(partial(save, incident))
            except AWAY:
                raise
            except StoreError as error:
                log("incident_refused", logging.ERROR, incident_id=incident.incident_id, cause=str(error))
            if self._pending.get(incident.incident_id) is incident:
                del self._pending[incident.incident_id]
        self._arrived.clear()


def save(incident: Incident, catalog: Catalog) -> None:
    """What the catalog's thread does."""
    catalog.save_incident(incident)

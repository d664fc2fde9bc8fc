"""What the newest audits measured of every dataset; remembered for a few seconds, since all of it may be much."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, Health
from data_manager.system.clock import Clock

FRESH_S = 5.0


class Measured:
    """The newest row of each dataset; those who ask while the catalog is being read get the same answer."""

    def __init__(self, catalog: StoreThread[Catalog], clock: Clock) -> None:
        self._catalog = catalog
        self._clock = clock
        self._reading = asyncio.Lock()
        self._found: Sequence[Health] = ()
        self._found_at = float("-inf")

    async def all(self) -> Sequence[Health]:
        """By dataset; raises StoreError."""
        async with self._reading:
            if self._clock.monotonic() - self._found_at >= FRESH_S:
                self._found = await self._catalog.call(lambda catalog: catalog.latest_health())
                self._found_at = self._clock.monotonic()
        return self._found

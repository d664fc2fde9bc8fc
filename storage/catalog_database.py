"""The database that the catalog's tables are in: at their present schema, and for the holder of a lease, fenced."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from data_manager.storage.database import TIMEOUT_S, Database
from data_manager.storage.fencing import Fence
from data_manager.storage.migrating import is_current, migrate
from data_manager.system.errors import StoreError

T = TypeVar("T")


class CatalogDatabase(Database):
    """The database at `url`, brought to the present schema at the first use.

    Every call is one transaction, as `run` describes it. With a `fence` each that writes is refused, whole, once the
    lease has passed on.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        rng: random.Random | None = None,
        fence: Fence | None = None,
        idle_s: float | None = None,
    ) -> None:
        super().__init__(url, timeout_s=timeout_s, rng=rng, idle_s=idle_s)
        self._fence = fence
        self._ready = False

    def read(self, work: Callable[[Connection], T]) -> T:
        """The result of what writes nothing. Raises StoreError."""
        try:
            if not self._ready:
                if not self.run(is_current):  # asked with a call's patience, changed with more
                    self.maintain(migrate)
                self._ready = True
            return self.run(work)
        except StoreError:
            self._ready = False  # the database may come back as another one, restored or empty
            raise

    def write(self, work: Callable[[Connection], T]) -> T:
        """The result of what writes; twice must do what once does. Raises StoreError; StaleLease with a fence."""
        fence = self._fence
        if fence is None:
            return self.read(work)

        def fenced(connection: Connection) -> T:
            fence.hold(connection)
            return work(connection)

        return self.read(fenced)

"""What replicas share: the rows by which they know of each other, and of what there is to do."""

from __future__ import annotations

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.choice import catalog_url
from data_manager.storage.commands import Commands
from data_manager.storage.fencing import PAUSED_S
from data_manager.storage.leases import Leases
from data_manager.storage.members import Members
from data_manager.system.worker import Context


class Shared:
    """Leases, members, commands and symbols of one catalog; nothing is connected before the first call."""

    def __init__(self, database: CatalogDatabase, catalog: SqlCatalog) -> None:
        self.leases, self.members, self.commands = Leases(database), Members(database), Commands(database)
        self.catalog = catalog
        self._database = database

    def check(self) -> None:
        """Return when it can be read and written now; raise StoreError otherwise."""
        self.catalog.check()

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        self._database.close()
        self.catalog.close()


def open_shared(context: Context) -> Shared:
    """Those of the settings."""
    url, patience_s, rng = catalog_url(context.settings), context.settings.store_timeout_s, context.rng
    database = CatalogDatabase(url, timeout_s=patience_s, rng=rng, idle_s=PAUSED_S)
    return Shared(database, SqlCatalog(url, clock=context.clock, timeout_s=patience_s, rng=rng))

"""The catalog as one actor opens it."""

from __future__ import annotations

from data_manager.storage.choice import catalog_url
from data_manager.storage.protocols import Catalog
from data_manager.system.worker import Context


def open_catalog(context: Context) -> Catalog:
    """The catalog of the settings; nothing is connected before its first call."""
    from data_manager.storage.catalog import SqlCatalog  # SQLAlchemy, which not every actor needs

    settings = context.settings
    return SqlCatalog(catalog_url(settings), clock=context.clock, rng=context.rng, timeout_s=settings.store_timeout_s)

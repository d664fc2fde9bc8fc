"""The catalog as one actor opens it."""

from __future__ import annotations

from data_manager.storage.choice import catalog_url
from data_manager.storage.protocols import Catalog
from data_manager.system.worker import Context


def open_catalog(context: Context, *, timeout_s: float | None = None) -> Catalog:
    """The catalog of the settings; nothing is connected before its first call, which may wait STORE_TIMEOUT_S."""
    from data_manager.storage.catalog import SqlCatalog  # SQLAlchemy, which not every actor needs

    settings = context.settings
    return SqlCatalog(
        catalog_url(settings), clock=context.clock, rng=context.rng, timeout_s=timeout_s or settings.store_timeout_s
    )

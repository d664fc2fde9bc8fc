"""The stores as one actor opens them: what they are asked counts among its metrics."""

from __future__ import annotations

from data_manager.actors.measuring import measured
from data_manager.storage.choice import catalog_backend, catalog_url, market_backend, open_market_store
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.worker import Context


def open_catalog(context: Context, *, timeout_s: float | None = None) -> Catalog:
    """The catalog of the settings; nothing is connected before its first call, which may wait STORE_TIMEOUT_S."""
    from data_manager.storage.catalog import SqlCatalog  # SQLAlchemy, which not every actor needs

    settings = context.settings
    catalog = SqlCatalog(
        catalog_url(settings), clock=context.clock, rng=context.rng, timeout_s=timeout_s or settings.store_timeout_s
    )
    return measured(catalog, catalog_backend(settings), context.metrics, context.clock)


def open_market(context: Context, *, read_only: bool = False) -> MarketStore:
    """The market store of the settings, as this actor opens it."""
    settings, clock = context.settings, context.clock
    store = open_market_store(settings, clock, read_only=read_only)
    return measured(store, market_backend(settings), context.metrics, clock)

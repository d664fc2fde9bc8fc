"""The stores as one actor opens them: what they are asked counts among its metrics."""

from __future__ import annotations

from data_manager.actors.measuring import measured
from data_manager.storage.choice import catalog_backend, catalog_url, market_backend, open_market_store
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.worker import Context


def open_catalog(context: Context, *, timeout_s: float | None = None) -> Catalog:
    """The catalog of the settings; nothing is connected before its first call, which may wait STORE_TIMEOUT_S.

    An actor that runs under a lease writes under it only.
    """
    return open_fenced_catalog(context, context.name, context.token, timeout_s=timeout_s)


def open_fenced_catalog(context: Context, lease: str, token: int, *, timeout_s: float | None = None) -> Catalog:
    """The same for who writes under that lease, with the token that it was taken with; 0: under none."""
    from data_manager.storage.catalog import SqlCatalog  # SQLAlchemy, which not every actor needs
    from data_manager.storage.fencing import Fence

    settings = context.settings
    catalog = SqlCatalog(
        catalog_url(settings),
        clock=context.clock,
        rng=context.rng,
        timeout_s=timeout_s or settings.store_timeout_s,
        fence=Fence(lease, token) if token else None,
    )
    return measured(catalog, catalog_backend(settings), context.metrics, context.clock, context.telemetry.tracer)


def open_market(context: Context, *, read_only: bool = False) -> MarketStore:
    """The market store of the settings, as this actor opens it."""
    settings, clock = context.settings, context.clock
    store = open_market_store(settings, clock, read_only=read_only)
    return measured(store, market_backend(settings), context.metrics, clock, context.telemetry.tracer)

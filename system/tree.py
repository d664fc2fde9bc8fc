"""The tree: which actors there are. A new kind of actor is one more spec here."""

from __future__ import annotations

from data_manager.system.settings import Settings
from data_manager.system.strategy import ChildSpec

HTTP, INGEST, ROUTER, EXCHANGE = "http", "ingest/", "router", "exchange"


def specs_of(settings: Settings) -> tuple[ChildSpec, ...]:
    """The actors that these settings ask for; started by ascending stage, stopped by descending."""
    ingest = tuple(
        ChildSpec(
            name=f"{INGEST}{symbol}",
            actor="data_manager.actors.hosts.Ingest",
            stage=1,
            symbol=symbol,
            essential=False,
            memory_hard_mb=settings.ingest_memory_hard_mb,
        )
        for symbol in settings.supported_pairs
    )
    specs = (*ingest, ChildSpec(name=ROUTER, actor="data_manager.actors.hosts.Router", stage=2))
    if settings.enable_api:
        specs = (ChildSpec(name=HTTP, actor="data_manager.actors.hosts.Http", stage=0), *specs)
    if settings.exchange_enabled:
        consumers = tuple(spec.name for spec in specs)
        specs = (
            *specs,
            # last, and only once everybody listens: what is published before that nobody could store
            ChildSpec(name=EXCHANGE, actor="data_manager.actors.hosts.Exchange", stage=9, needs=consumers),
        )
    return specs

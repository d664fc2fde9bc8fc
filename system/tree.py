"""The tree: which actors there are. A new kind of actor is one more spec here."""

from __future__ import annotations

from collections.abc import Iterable

from data_manager.system.settings import Settings
from data_manager.system.strategy import ChildSpec

HTTP, INGEST, ROUTER, AUDITOR, BACKFILL = "http", "ingest/", "router", "auditor", "backfill"
ANALYTICS, FEED, EXCHANGE = "analytics", "feed", "exchange"
FLEET = "fleet"  # only where replicas share both stores: which of their parts run in this one


def ingest_spec(settings: Settings) -> ChildSpec:
    """The pattern of the actors of which there is one per symbol: see ChildSpec.of."""
    return ChildSpec(
        name=INGEST,
        actor="data_manager.actors.hosts.Ingest",
        stage=1,
        essential=False,
        memory_hard_mb=settings.ingest_memory_hard_mb,
        leased=settings.is_replicated,
    )


def specs_of(settings: Settings, symbols: Iterable[str]) -> tuple[ChildSpec, ...]:
    """The actors that these settings ask for; started by ascending stage, stopped by descending.

    Where replicas share the stores, all that is to run in one of them only is leased.
    """
    shared = settings.is_replicated
    ingest = tuple(map(ingest_spec(settings).of, symbols))
    specs = (*ingest, ChildSpec(name=ROUTER, actor="data_manager.actors.hosts.Router", stage=2, leased=shared))
    if shared:
        # below all that is leased: it holds their leases until they have stopped
        specs = (ChildSpec(name=FLEET, actor="data_manager.actors.hosts.Fleet", stage=0), *specs)
    if settings.enable_api:
        specs = (ChildSpec(name=HTTP, actor="data_manager.actors.hosts.Http", stage=0), *specs)
    consumers = tuple(spec.name for spec in specs)
    # with ENABLE_AUDITOR=false too: it also does the housekeeping
    specs = (*specs, ChildSpec(name=AUDITOR, actor="data_manager.actors.hosts.Audit", stage=3, leased=shared))
    if settings.enable_backfiller:
        specs = (*specs, ChildSpec(name=BACKFILL, actor="data_manager.actors.hosts.Backfill", stage=4, leased=shared))
    if settings.enable_analytics:
        # not essential: all that it computes can be computed later, and whatever it dies of, events are stored. Nor
        # leased, since each replica looks for anomalies on demand: it is its schedule that one of them has
        analytics = ChildSpec(name=ANALYTICS, actor="data_manager.actors.hosts.Analytics", stage=5, essential=False)
        specs = (*specs, analytics)
    if settings.feed_enabled:
        # not essential: without it history is still served. It needs nobody: what it publishes before waits in FEED
        feed = ChildSpec(name=FEED, actor="data_manager.actors.hosts.Feed", stage=9, essential=False, leased=shared)
        specs = (*specs, feed)
    if settings.exchange_enabled:
        specs = (
            *specs,
            # last, and only once everybody listens: what is published before that nobody could store
            ChildSpec(name=EXCHANGE, actor="data_manager.actors.hosts.Exchange", stage=9, needs=consumers),
        )
    return specs


def leasable(settings: Settings) -> tuple[str, ...]:
    """What one of several replicas has the lease of, beside its symbols: all that there is once."""
    once = tuple(spec.name for spec in specs_of(settings, ()) if spec.leased)
    return (*once, ANALYTICS) if settings.enable_analytics else once

"""The actors as Thespian sees them: each hosts one worker. Another kind of actor is another class here.

A worker's module is imported where it runs, so that no actor carries what another needs.
"""

from __future__ import annotations

from data_manager.actors.stores import open_market
from data_manager.storage.protocols import MarketStore
from data_manager.system.aio import AsyncActor
from data_manager.system.worker import Context, Worker


class Http(AsyncActor):
    """API, metrics and health."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        # aiohttp and SQLAlchemy take a second or more, during which no heartbeat is answered: before Ready then
        import data_manager.http.app
        import data_manager.storage.catalog  # noqa: F401
        from data_manager.actors.http import HttpWorker

        return HttpWorker(context)


class Fleet(AsyncActor):
    """What runs in this replica, and what in others."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        import data_manager.storage.catalog  # noqa: F401  takes a second or more: before Ready, as in Http
        from data_manager.actors.fleet.worker import FleetWorker

        return FleetWorker(context)


class Router(AsyncActor):
    """The raw feed, cut into batches per symbol."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        from data_manager.actors.router import RouterWorker

        return RouterWorker(context, market_store(context))


class Ingest(AsyncActor):
    """One symbol's way into the store."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        from data_manager.actors.ingest.worker import IngestWorker

        return IngestWorker(context, market_store(context))

    def memory_soft_mb(self) -> int | None:
        """See BaseActor."""
        return self.settings.ingest_memory_soft_mb


class Audit(AsyncActor):
    """What is missing, and the housekeeping of both stores."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        import data_manager.storage.catalog  # noqa: F401  takes a second or more: before Ready, as in Http
        from data_manager.actors.audit.worker import AuditWorker

        return AuditWorker(context)


class Backfill(AsyncActor):
    """What is missing, fetched from the exchange."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        import data_manager.storage.catalog  # noqa: F401  as in Audit
        from data_manager.actors.backfill.worker import BackfillWorker

        return BackfillWorker(context)


class Analytics(AsyncActor):
    """What can be computed of all that is stored."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        import data_manager.storage.catalog  # noqa: F401  as in Audit
        from data_manager.actors.analytics.worker import AnalyticsWorker

        return AnalyticsWorker(context)


class Feed(AsyncActor):
    """The exchange's live streams."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        from data_manager.actors.backfill.conf import exchange_conf
        from data_manager.actors.feed.worker import FeedWorker

        return FeedWorker(context, exchange_conf().streams)


class Exchange(AsyncActor):
    """A simulated Binance."""

    def make_worker(self, context: Context) -> Worker:
        """See AsyncActor."""
        import data_manager.actors.exchange.server  # noqa: F401  aiohttp: before Ready, as in Http
        from data_manager.actors.exchange.worker import ExchangeWorker

        return ExchangeWorker(context)


def market_store(context: Context) -> MarketStore:
    """This process's writing store, as the settings choose it."""
    return open_market(context)

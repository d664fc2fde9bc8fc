"""The router: takes the raw feed apart by symbol, so that one symbol's trouble is nobody else's.

    FEED, or the raw subject in core mode -> route -> one batch per symbol on MARKET -> acknowledge

Here is its life: connecting, the choice of transport, a clean stop, gauges and suspicions. The way of the
data is in forwarding.py, the rules in routing.py.
"""

from __future__ import annotations

import asyncio
import logging

from data_manager.actors.aside import AsideWriter, SkippedSymbols
from data_manager.actors.feed_consumer import DURABLE, FeedConsumer
from data_manager.actors.forwarding import Forwarder
from data_manager.actors.suspicion import Span, Unrouted
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import ALL_SYMBOLS
from data_manager.system.clock import now_ms
from data_manager.system.connection import Connection, sleep_unless
from data_manager.system.errors import FeedError, StoreError
from data_manager.system.logs import log
from data_manager.system.market import CorePublisher, JetStreamPublisher, MarketPublisher
from data_manager.system.messages import Message, Suspected
from data_manager.system.settings import Delivery as Mode
from data_manager.system.streams import ensure_market, resolve_delivery
from data_manager.system.transport import CoreSource, JetStreamSource, Source
from data_manager.system.worker import Context, Status

WINDOW = 8_000  # deliveries on their way or waiting
WATCH_S = 1.0  # how often gauges are set and the server is asked how things stand
RESOLVE_S = 1.0  # pause between attempts to find out which transport there is

CORE_DROPPED = "core_dropped"  # core mode, and the router too slow


class _GivenUp(Exception):
    """Time is up: what is not acknowledged comes again."""


class RouterWorker:
    """Routes the feed for as long as it runs; waits out NATS and the market store when they are away."""

    def __init__(self, context: Context, store: MarketStore) -> None:
        self._context = context
        self._settings, self._clock, self._metrics = context.settings, context.clock, context.metrics
        self._connection = Connection(context.settings, context.name, context.clock, context.rng)
        self._asides = AsideWriter(store, context.clock, context.rng, context.metrics)
        self._unrouted = Unrouted()
        self._mode: Mode | None = None  # until it is known
        self._source: Source | None = None
        self._market: MarketPublisher | None = None
        self._counted: dict[str, int] = {}  # of others' running totals, what the metrics hold

    @property
    def skipped(self) -> SkippedSymbols:
        """What came for symbols that are not the service's."""
        return self._asides.skipped

    async def run(self, stop: asyncio.Event) -> None:
        """See Worker. A clean stop routes and acknowledges all that was delivered."""
        try:
            if await self._connection.open(stop):
                self._mode = await self._resolve(stop)
                if self._mode is Mode.JETSTREAM:
                    await self._over_jetstream(stop)
                elif self._mode is Mode.CORE:
                    await self._over_core(stop)
        finally:
            await self._connection.close()
            self._asides.close()

    def status(self) -> Status:
        """See Worker; the `detail` of a running router is the transport it uses."""
        source, market = self._source, self._market
        lag = source.lag if source else None
        if not self._connection.connected or not source or not market or source.trouble or market.trouble:
            return Status("waiting", "nats", lag)
        if self._asides.away:
            return Status("waiting", "market_store", lag)
        return Status("running", f"delivery={self._mode}", lag)

    def busy_since(self) -> float | None:
        """See Worker: the store call under way. All else is on the loop, whose ticks show that it turns."""
        return self._asides.busy_since

    def receive(self, message: Message) -> None:
        """See Worker; nobody writes to the router."""
        raise TypeError(f"the router does not understand {type(message).__name__}")

    async def _resolve(self, stop: asyncio.Event) -> Mode | None:
        """The transport that the settings ask for and the server has; None when `stop` was set first."""
        trouble = ""
        while not stop.is_set():
            try:
                return await resolve_delivery(self._connection.client, self._settings)
            except FeedError as error:
                if str(error) != trouble:
                    trouble = str(error)
                    log("router_waiting", logging.WARNING, reason=trouble)
                await sleep_unless(stop, RESOLVE_S)
        return None

    async def _over_jetstream(self, stop: asyncio.Event) -> None:
        client, settings, clock = self._connection.client, self._settings, self._clock
        feed = FeedConsumer(client, settings, clock, self._routed_before, self._suspect_feed)
        window = min(WINDOW, settings.feed_max_ack_pending)
        source = JetStreamSource(client, feed.bind, window=window, clock=clock, on_rebound=feed.rebound)
        await self._work(source, JetStreamPublisher(client, clock), feed, stop)

    async def _over_core(self, stop: asyncio.Event) -> None:
        log("router_at_most_once", logging.WARNING, reason="NATS has no JetStream, or DELIVERY=core")
        client, subject = self._connection.client, self._settings.nats_consumer_subject
        source = CoreSource(client, subject, queue=DURABLE, clock=self._clock)
        await self._work(source, CorePublisher(client), None, stop)

    async def _work(
        self, source: Source, market: MarketPublisher, feed: FeedConsumer | None, stop: asyncio.Event
    ) -> None:
        self._source, self._market = source, market
        client = self._connection.client
        forwarder = Forwarder(self._context, client, source, market, feed, self._asides, self._unrouted.add)
        await market.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                attendants = [
                    tasks.create_task(self._finish(source, stop)),
                    tasks.create_task(self._watch(source, market, feed, forwarder)),
                ]
                await source.open()
                await forwarder.run(tasks)
                for attendant in attendants:
                    attendant.cancel()
        except ExceptionGroup as group:
            error = group.exceptions[0]  # it ended the others
            if not isinstance(error, _GivenUp):
                raise error from group
            log("router_gave_up", logging.WARNING, waiting_for=self.status().detail)
        finally:
            await source.close()
            await market.close()
            self._measure(source)
            self._tell(last=True)

    async def _finish(self, source: Source, stop: asyncio.Event) -> None:
        """Once `stop` is set: ask for nothing more, and in the end give up what cannot be made safe."""
        await stop.wait()
        await source.stop_pulling()
        await asyncio.sleep(self._settings.drain_timeout_s / 4)
        raise _GivenUp

    async def _routed_before(self, incarnation: int) -> int:
        try:
            return await self._asides.routed_through(self._context.symbols.now, incarnation)
        except StoreError as error:  # unknown, then: routing all of FEED again harms nothing
            log("router_position_unknown", logging.WARNING, cause=str(error))
            return 0

    # -- watching -----------------------------------------------------------------------------------------

    async def _watch(
        self, source: Source, market: MarketPublisher, feed: FeedConsumer | None, forwarder: Forwarder
    ) -> None:
        """Set the gauges, tell what is suspected, and keep slow work from being delivered again."""
        me = asyncio.current_task()
        # not for ever: a request whose answer comes with the cancellation swallows that (wait_for, before Python 3.12)
        while me and not me.cancelling():
            self._measure(source)
            self._tell()
            if feed and self._connection.connected:
                await forwarder.hold()
                await self._look(feed, market)
            await asyncio.sleep(min(WATCH_S, self._settings.ack_wait_s / 6))

    async def _look(self, feed: FeedConsumer, market: MarketPublisher) -> None:
        try:
            if market.trouble:  # perhaps somebody deleted MARKET
                await ensure_market(self._connection.client.jetstream(), self._settings)
            headroom_s = await feed.look()
        except FeedError:  # no answer, or something is gone: `trouble` of source and market says so
            return
        if headroom_s is not None:
            self._metrics.set("data_manager_feed_headroom_seconds", headroom_s)

    def _measure(self, source: Source) -> None:
        metrics, connection = self._metrics, self._connection
        metrics.set("data_manager_nats_connection_status", connection.connected)
        metrics.set("data_manager_router_lag_messages", source.lag or 0)
        metrics.inc("data_manager_nats_reconnections_total", self._grown("reconnects", connection.reconnects))
        for kind, errors in connection.errors.items():
            metrics.inc("data_manager_nats_errors_total", self._grown(kind, errors), type=kind)
        if isinstance(source, CoreSource) and self._grown(CORE_DROPPED, source.dropped):
            now = now_ms(self._clock)
            self._unrouted.add(ALL_SYMBOLS, CORE_DROPPED, Span(0, 0, now - round(WATCH_S * 1000), now))

    def _grown(self, what: str, total: int) -> int:
        """By how much a running total grew since it was counted last."""
        grown = total - self._counted.get(what, 0)
        self._counted[what] = total
        return grown

    # -- suspicions ---------------------------------------------------------------------------------------

    def _tell(self, last: bool = False) -> None:
        for (symbol, reason), span in self._unrouted.due(float("inf") if last else self._clock.monotonic()):
            self._suspect(symbol, reason, span)

    def _suspect_feed(self, reason: str, span: Span) -> None:
        self._suspect(ALL_SYMBOLS, reason, span)

    def _suspect(self, symbol: str, reason: str, span: Span) -> None:
        self._metrics.inc("data_manager_suspected_gaps_total", symbol=symbol, reason=reason)
        detail = f"FEED sequences {span.first} to {span.last}" if span.last else ""
        log("suspected_gap", logging.WARNING, symbol=symbol, reason=reason, detail=detail)
        name, generation = self._context.name, self._context.generation
        self._context.send(Suspected(name, generation, symbol, reason, detail, span.start_ms, span.end_ms))

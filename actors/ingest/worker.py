"""One symbol's ingest: MARKET batches in, rows out, acknowledged after the commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from data_manager.actors.ingest.depth import GRACE_MS
from data_manager.actors.ingest.ingestion import Ingestion, Report
from data_manager.actors.ingest.progress import noting
from data_manager.storage.ledger import OUTCOMES
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import Symbol
from data_manager.system.connection import Connection, sleep_unless
from data_manager.system.delivery import Delivery as Message
from data_manager.system.errors import FeedError, StoreError
from data_manager.system.event_types import metric_label
from data_manager.system.logs import log
from data_manager.system.messages import Disturbed, Suspected
from data_manager.system.messages import Message as ActorMessage
from data_manager.system.settings import Delivery
from data_manager.system.streams import ensure_consumer, ensure_market, resolve_delivery
from data_manager.system.transport import Bound, CoreSource, JetStreamSource, Source
from data_manager.system.worker import Context, Status

BATCHES_PER_WRITE = 16  # MARKET batches of one transaction, at most
BYTES_PER_WRITE = 4 * 2**20
BACKLOG_LINGER_S = 0.02
WINDOW = 64  # MARKET batches on their way or waiting here: 16 MiB at the most
DERIVE_S = 0.5  # how often time alone may make a bar due
RETRY_S, RETRY_CAP_S = 0.2, 30.0  # pauses while the store or NATS refuses
DURABLE = "ingest-"


class IngestWorker:
    """Stores what the router sends for one symbol. `context.symbol` must be set."""

    def __init__(self, context: Context, store: MarketStore) -> None:
        assert context.symbol is not None
        self._context = context
        self._settings, self._clock, self._metrics = context.settings, context.clock, context.metrics
        self._symbol = Symbol(context.symbol)
        self._store = store
        watched, tracer = noting(store, self._note_progress), context.telemetry.tracer
        self._ingestion = Ingestion(self._symbol, context.settings, watched, context.clock, tracer)
        self._connection = Connection(context.settings, context.name, context.clock, context.rng)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._source: Source | None = None
        self._store_trouble = ""
        self._busy: float | None = None
        self._core = False
        self._reconnects = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Take, write and acknowledge until `stop`; see Worker."""
        try:
            if await self._await_store(stop) and await self._connection.open(stop):
                while not stop.is_set():
                    await self._take_until_trouble(stop)
                    await self._await_store(stop)
        finally:
            await self._connection.close()
            await asyncio.to_thread(self._pool.shutdown)
            self._store.close()

    def status(self) -> Status:
        """See Worker."""
        source = self._source
        lag = source.lag if source is not None else None
        if self._store_trouble:
            return Status("waiting", "market_store", lag)
        if not self._connection.connected or source is None or source.trouble:
            return Status("waiting", "nats", lag)
        return Status("running", "delivery=core" if self._core else "", lag)

    def busy_since(self) -> float | None:
        """See Worker."""
        return self._busy

    def receive(self, message: ActorMessage) -> None:
        """Nobody sends this actor anything that its base does not handle."""
        raise TypeError(f"{self._context.name} does not understand {type(message).__name__}")

    # -- the loop -------------------------------------------------------------------------------------------

    async def _take_until_trouble(self, stop: asyncio.Event) -> None:
        """Until `stop`, or until the store fails: then what is in hand is dropped, and comes again later."""
        source = self._source = await self._open_source(stop)
        helpers = [
            asyncio.create_task(self._stop_pulling(stop, source)),
            asyncio.create_task(self._derive_by_time()),
        ]
        try:
            while deliveries := await source.batch(BATCHES_PER_WRITE, BYTES_PER_WRITE, self._linger_s(source)):
                await self._store_all(deliveries)
                await source.ack(deliveries)
        except StoreError as error:
            self._note_store(str(error))
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await source.close()

    def _linger_s(self, source: Source) -> float:
        """With a backlog, fewer and larger transactions: 16 batches a write cost a third less than one."""
        return BACKLOG_LINGER_S if source.lag else 0.0

    async def _store_all(self, deliveries: Sequence[Message]) -> None:
        began = self._clock.monotonic()
        report = await self._on_writer(lambda: self._ingestion.store(deliveries))
        self._publish(report, self._clock.monotonic() - began)

    async def _derive_by_time(self) -> None:
        while True:
            await asyncio.sleep(DERIVE_S)
            self._watch_connection()
            try:
                self._publish(await self._on_writer(self._ingestion.derive), 0.0)
            except StoreError as error:  # the next batch meets the same; nothing is lost meanwhile
                log("bars_wait", logging.WARNING, reason=str(error))

    async def _stop_pulling(self, stop: asyncio.Event, source: Source) -> None:
        await stop.wait()
        await source.stop_pulling()

    async def _open_source(self, stop: asyncio.Event) -> Source:
        client, settings = self._connection.client, self._settings
        pause = RETRY_S
        while True:
            try:
                delivery = await resolve_delivery(client, settings)
                break
            except FeedError as error:
                log("delivery_unknown", logging.WARNING, reason=str(error))
                await sleep_unless(stop, pause)
                pause = min(pause * 2, RETRY_CAP_S)
                if stop.is_set():
                    delivery = Delivery.CORE  # opened and closed again at once, without a message
                    break
        self._core = delivery is Delivery.CORE
        source: Source
        if self._core:
            subject = settings.market_subject(self._symbol)
            source = CoreSource(client, subject, queue="ingest", clock=self._clock)
            if self._context.generation > 1:
                self._suspect("restart", "events between the two processes were not delivered (core NATS)")
        else:
            source = JetStreamSource(client, self._bind, window=WINDOW, clock=self._clock, on_rebound=self._rebound)
            if self._context.generation > 1:
                self._context.send(Disturbed(self._symbol))
        await source.open()
        return source

    async def _bind(self) -> Bound:
        settings, js = self._settings, self._connection.client.jetstream()
        incarnation = await ensure_market(js, settings)
        durable = f"{DURABLE}{self._symbol}"
        await ensure_consumer(
            js,
            settings.market_stream,
            durable,
            filter_subject=settings.market_subject(self._symbol),
            ack_wait=settings.ack_wait_s,
            max_ack_pending=settings.market_max_ack_pending,
        )
        return Bound(settings.market_stream, durable, incarnation)

    def _watch_connection(self) -> None:
        """A broker that was away may have missed what was published meanwhile."""
        reconnects = self._connection.reconnects
        if reconnects == self._reconnects:
            return
        self._reconnects = reconnects
        if self._core:
            self._suspect("reconnect", "events were not delivered while NATS was away (core NATS)")
        else:
            self._context.send(Disturbed(self._symbol))

    def _rebound(self, reason: str, old: int, new: int) -> None:
        if old != new:
            self._suspect("stream_recreated", f"MARKET was deleted with what it held ({reason})")

    # -- the store ------------------------------------------------------------------------------------------

    async def _on_writer(self, work: Callable[[], Report]) -> Report:
        def timed() -> Report:
            self._busy = self._clock.monotonic()
            try:
                return work()
            finally:
                self._busy = None

        return await asyncio.get_running_loop().run_in_executor(self._pool, timed)

    def _note_progress(self) -> None:
        if self._busy is not None:
            self._busy = self._clock.monotonic()

    async def _await_store(self, stop: asyncio.Event) -> bool:
        """Wait until the store can be written; False when `stop` came first."""
        pause = RETRY_S
        while not stop.is_set():
            try:
                self._publish(await self._on_writer(self._begin), 0.0)
            except StoreError as error:
                self._note_store(str(error))
                await sleep_unless(stop, pause * self._context.rng.uniform(0.5, 1.0))
                pause = min(pause * 2, RETRY_CAP_S)
            else:
                self._note_store("")
                return True
        return False

    def _begin(self) -> Report:
        self._store.check(self._symbol)
        return self._ingestion.derive()

    def _note_store(self, trouble: str) -> None:
        if bool(trouble) != bool(self._store_trouble):
            log(
                "store_away" if trouble else "store_back",
                logging.WARNING,
                reason=trouble or self._store_trouble,
            )
        self._store_trouble = trouble

    # -- what others hear of it -----------------------------------------------------------------------------

    def _suspect(self, reason: str, detail: str, start_ms: int | None = None, end_ms: int | None = None) -> None:
        context = self._context
        self._metrics.inc("data_manager_suspected_gaps_total", symbol=self._symbol, reason=reason)
        context.send(Suspected(context.name, context.generation, self._symbol, reason, detail, start_ms, end_ms))

    def _publish(self, report: Report, seconds: float) -> None:
        metrics, symbol = self._metrics, self._symbol
        events = sum(counts.received for counts in report.counts.values())
        for event_type, counts in report.counts.items():
            label = metric_label(event_type)
            metrics.inc("data_manager_messages_received_total", counts.received, event_type=label)
            done = counts.received - counts.quarantined
            metrics.inc("data_manager_messages_processed_total", done, event_type=label)
            metrics.observe(
                "data_manager_message_processing_seconds", seconds / events, counts.received, event_type=label
            )
            for outcome in OUTCOMES:
                if amount := getattr(counts, outcome):
                    metrics.inc(
                        "data_manager_events_total",
                        amount,
                        symbol=symbol,
                        event_type=event_type,
                        outcome=outcome,
                    )
        for event_type, reason in report.failures:
            label = metric_label(event_type)
            metrics.inc("data_manager_messages_failed_total", event_type=label, error_type=reason)
        for timeframe, bars in report.derived.items():
            metrics.inc("data_manager_candles_derived_total", bars, symbol=symbol, timeframe=timeframe)
        if report.waits_ms:
            waits = [(max(0, wait) / 1000, times) for wait, times in report.waits_ms.items()]
            metrics.observe_all("data_manager_publish_to_stored_seconds", waits)
        if report.depth_updates:
            metrics.inc("data_manager_depth_updates_total", report.depth_updates, symbol=symbol, chain="seen")
        for gap in report.breaks:
            metrics.inc("data_manager_depth_updates_total", symbol=symbol, chain="broken")
            self._suspect(
                "depth_chain",
                f"the chain ended at {gap.last_id}, the next update follows {gap.next_previous_id}",
                gap.found_ms - GRACE_MS,
                gap.found_ms,
            )
        lag = self._source.lag if self._source is not None else None
        if lag is not None:
            metrics.set("data_manager_ingest_lag_batches", lag, symbol=symbol)

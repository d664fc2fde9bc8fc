"""From deliveries to batches: gather, route, publish, and acknowledge what is safe.

A delivery is acknowledged when all that became of it is safe: batches confirmed by MARKET, quarantined or
skipped events committed. What ends before that comes again, and ingest tells copies by their position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from nats.aio.client import Client

from data_manager.actors.aside import AsideWriter
from data_manager.actors.feed_consumer import FeedConsumer
from data_manager.actors.routing import (
    BATCH_BYTES,
    FRAME_BYTES,
    Gathering,
    cut,
    message_id,
    sort_out,
)
from data_manager.actors.suspicion import Span
from data_manager.system.acked import SubjectFull
from data_manager.system.frames import Batch, Frame, encode, sequence_of
from data_manager.system.market import MarketPublisher
from data_manager.system.trace_context import MAX_TRACEPARENT
from data_manager.system.tracing import NO_SPAN, Attributes
from data_manager.system.tracing import Span as TracedSpan
from data_manager.system.transport import Source
from data_manager.system.worker import Context

MAX_IN_FLIGHT = 4  # gatherings that are published but not yet acknowledged
MAX_GATHERED = 4_000  # deliveries of one gathering
MAX_GATHERED_BYTES = 4 * 2**20
HEADER_BYTES = 256  # the message's id, which the server counts as payload

MARKET_FULL = "market_full"  # ingest of that symbol is too far behind
NOT_SENT = "not_sent"  # core mode, and NATS is away

Lost = Callable[[str, str, Span], None]  # symbol, reason, what


class Forwarder:
    """One router's way from `source` to `market`; `feed` is None in core mode.

    `lost` is told of every batch that cannot be routed, and will not be.
    """

    def __init__(
        self,
        context: Context,
        client: Client,
        source: Source,
        market: MarketPublisher,
        feed: FeedConsumer | None,
        asides: AsideWriter,
        lost: Lost,
    ) -> None:
        self._settings, self._clock, self._metrics = context.settings, context.clock, context.metrics
        self._symbols = context.symbols
        self._tracer = context.telemetry.tracer
        self._client = client
        self._source, self._market, self._feed = source, market, feed
        self._asides = asides
        self._lost = lost
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._in_hand: dict[Gathering, float] = {}  # since when their ack wait runs

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Forward until the source ends; returns when all is settled."""
        linger_s = self._settings.linger_ms / 1000
        while deliveries := await self._source.batch(MAX_GATHERED, MAX_GATHERED_BYTES, linger_s):
            if self._feed:
                self._feed.saw(deliveries)
            self._metrics.inc("data_manager_messages_received_total", len(deliveries), event_type="raw")
            incarnation, limit = self._source.incarnation, self._max_payload()
            for gathering in sort_out(
                deliveries,
                self._symbols.names,
                max_event_bytes=limit - BATCH_BYTES - FRAME_BYTES - MAX_TRACEPARENT,
                look_for_traces=self._tracer.on,
            ):
                self._in_hand[gathering] = self._clock.monotonic()
                await self._slots.acquire()
                tasks.create_task(self._settle(gathering, incarnation, limit))
        for _ in range(MAX_IN_FLIGHT):
            await self._slots.acquire()

    async def hold(self) -> None:
        """Keep what takes long from being delivered again; to be called several times per ack wait."""
        now, hold_s = self._clock.monotonic(), self._settings.ack_wait_s / 3
        for gathering in [gathering for gathering, since in self._in_hand.items() if now - since >= hold_s]:
            if gathering in self._in_hand:  # it may be settled while others are held
                self._in_hand[gathering] = now
                await self._source.in_progress(gathering.deliveries)

    async def _settle(self, gathering: Gathering, incarnation: int, max_payload: int) -> None:
        routed_through = self._feed.routed_through if self._feed else 0
        max_bytes = min(self._settings.max_batch_bytes, max_payload - BATCH_BYTES)
        efforts = [
            self._publish(symbol, Batch(incarnation, routed_through, frames))
            for symbol, all_frames in gathering.frames.items()
            for frames in cut(all_frames, self._settings.max_batch, max_bytes)
        ]
        if gathering.asides:
            efforts.append(self._asides.write(gathering.asides, incarnation, routed_through))
        try:
            with self._span(gathering):
                await asyncio.gather(*efforts)
                await self._source.ack(gathering.deliveries)
        finally:
            del self._in_hand[gathering]
            self._slots.release()

    def _span(self, gathering: Gathering) -> AbstractContextManager[TracedSpan]:
        """Routing all of it, linked to those who published its events."""
        if not self._tracer.on:
            return NO_SPAN
        subject = self._settings.nats_consumer_subject
        attributes: Attributes = {
            "messaging.system": "nats",
            "messaging.operation.type": "process",
            "messaging.destination.name": subject,
            "messaging.batch.message_count": len(gathering.deliveries),
            "data_manager.events": gathering.events,
            "data_manager.symbols": len(gathering.frames),
        }
        traces = (frame.trace for frames in gathering.frames.values() for frame in frames if frame.trace)
        return self._tracer.batch(f"route {subject}", traces, self._clock.now_us(), attributes)

    async def _publish(self, symbol: str, batch: Batch) -> None:
        """Return when MARKET has it, or when it is reported as lost: it does not come again."""
        payload = encode(batch)
        msg_id = message_id(batch.incarnation, symbol, batch.frames, payload)
        outcome = await self._market.publish(self._settings.market_subject(symbol), payload, msg_id)
        if outcome is None:
            self._metrics.inc("data_manager_router_batches_total")
        else:
            reason = MARKET_FULL if isinstance(outcome, SubjectFull) else NOT_SENT
            self._lost(symbol, reason, _span(batch.frames))

    def _max_payload(self) -> int:
        """The largest batch the server takes; another one may be behind the connection after a reconnect."""
        return self._client.max_payload - HEADER_BYTES


def _span(frames: Sequence[Frame]) -> Span:
    """The FEED sequences and receive times of a batch."""
    first, last = frames[0], frames[-1]
    return Span(
        sequence_of(first.position),
        sequence_of(last.position),
        first.received_us // 1000,
        last.received_us // 1000,
    )

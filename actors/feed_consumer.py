"""The router's durable consumer of FEED: made, made again, and watched for what FEED lost too early."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import nats.errors
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from data_manager.actors.feed_state import FeedState, Headroom, feed_state
from data_manager.actors.suspicion import Holes, Span
from data_manager.system.clock import Clock
from data_manager.system.delivery import Delivery
from data_manager.system.errors import FeedError
from data_manager.system.settings import Settings
from data_manager.system.streams import FeedStream, ensure_consumer, ensure_feed, ensure_market
from data_manager.system.transport import Bound

DURABLE = "router"
PATIENCE = 2.5  # ack waits after which a message that was jumped over will not come any more

DISCARDED = "feed_discarded"  # FEED was over its limits, or somebody purged it
MISSING = "feed_missing"  # FEED has it no more, or never delivered it
RECREATED = "feed_recreated"  # the stream was deleted

Suspect = Callable[[str, Span], None]  # reason, what
RoutedThrough = Callable[[int], Awaitable[int]]


class FeedConsumer:
    """Knows how far FEED is acknowledged, by the server's word: what was lost on the wire is not forgotten.

    `routed_before(incarnation)` says how far FEED had been routed by an earlier process, 0 when unknown: it
    counts when the consumer is not there. `suspect` is told of ranges that may be missing.
    """

    def __init__(
        self, client: Client, settings: Settings, clock: Clock, routed_before: RoutedThrough, suspect: Suspect
    ) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._routed_before = routed_before
        self._suspect = suspect
        self._feed: FeedStream | None = None
        self._holes = Holes()
        self._headroom = Headroom()
        self._seen_us: int | None = None
        self.routed_through = 0

    async def bind(self) -> Bound:
        """Make sure that FEED, MARKET and the consumer are there. Raises FeedError."""
        js, settings = self._client.jetstream(), self._settings
        feed = await ensure_feed(js, settings)
        await ensure_market(js, settings)
        same_stream = self._feed is not None and self._feed.incarnation == feed.incarnation
        state = await self._state(feed)
        if state is not None:
            self.routed_through, delivered = state.acked_through, state.delivered_through
        else:
            if not same_stream:
                self.routed_through = await self._routed_before(feed.incarnation)
            delivered = self.routed_through
        await ensure_consumer(
            js,
            feed.name,
            DURABLE,
            filter_subject=None if feed.exclusive else settings.nats_consumer_subject,
            ack_wait=settings.ack_wait_s,
            max_ack_pending=settings.feed_max_ack_pending,
            start_after=self.routed_through or None,
        )
        self._feed = feed
        known = state is not None or self.routed_through > 0
        if known and self.routed_through + 1 < feed.first_seq:
            self._suspect(DISCARDED, Span(self.routed_through + 1, feed.first_seq - 1))
        if not same_stream:
            self._holes = Holes(max(delivered + 1, feed.first_seq) if known else None)
        return Bound(feed.name, DURABLE, feed.incarnation)

    def rebound(self, reason: str, old: int, new: int) -> None:
        """The consumer was made again, and with another incarnation the stream: all it held is gone."""
        if old != new:
            start = None if self._seen_us is None else self._seen_us // 1000
            self._suspect(RECREATED, Span(0, 0, start, self._clock.now_us() // 1000))

    def saw(self, deliveries: Sequence[Delivery]) -> None:
        """Note what came."""
        now = self._clock.monotonic()
        self._seen_us = deliveries[-1].received_us
        if self._feed and self._feed.exclusive:
            for delivery in deliveries:
                self._holes.saw(delivery.sequence, delivery.received_us, now)

    async def look(self) -> float | None:
        """Ask the server how things stand; returns the headroom in seconds, None where unknown.

        Raises FeedError when there is no answer: the source notices by itself what is gone.
        """
        if self._feed is None:
            return None
        state = await self._state(self._feed)
        if state is None:
            raise FeedError(f"stream {self._feed.name} or its consumer {DURABLE} is gone")
        self.routed_through = state.acked_through
        patience = PATIENCE * self._settings.ack_wait_s
        for span in self._holes.lost(state.first_seq, state.taken, patience):
            self._suspect(DISCARDED if span.last < state.first_seq else MISSING, span)
        return self._headroom.after(state)

    async def _state(self, feed: FeedStream) -> FeedState | None:
        """None where the consumer is not there. Raises FeedError when the server does not answer."""
        try:
            return await feed_state(self._client.jetstream(), feed.name, DURABLE, self._clock.monotonic())
        except NotFoundError:
            return None
        except (nats.errors.Error, OSError) as error:
            raise FeedError(f"NATS gave no answer about stream {feed.name} ({error})") from error

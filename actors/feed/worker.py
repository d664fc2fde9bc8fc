"""The feed's actor: what the exchange streams goes to NATS, in the envelope that every publisher uses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from functools import partial

import aiohttp

from data_manager.actors.backfill.conf import Streams
from data_manager.actors.feed.buffer import Buffer
from data_manager.actors.feed.channels import Channel, channels
from data_manager.actors.feed.envelope import envelope, parse, timestamp
from data_manager.actors.feed.subscription import Subscription
from data_manager.system.connection import Connection, sleep_unless
from data_manager.system.errors import DataError
from data_manager.system.logs import log
from data_manager.system.messages import Message
from data_manager.system.publisher import FeedPublisher, open_feed
from data_manager.system.worker import Context, Status

BUFFER_BYTES = 32 * 2**20  # about 20 s of five symbols, for as long as NATS does not take it
HANDOVER_S = 10.0  # for the connections that follow others to bring something
LOOK_S = 0.05
FINISH_S = 3.0  # for what is buffered once we are to stop, and again for the acknowledgements

NATS_AWAY, TOO_LARGE, REFUSED = "nats_away", "too_large", "refused"


class FeedWorker:
    """Publishes every event of `streams` for the service's symbols as it comes, with its bytes as they are.

    It never asks the exchange to wait: what has no room while NATS is away is dropped, counted and, as a gap,
    found by the audit. Copies are published when one connection replaces another.
    """

    def __init__(self, context: Context, streams: Streams, buffer_bytes: int = BUFFER_BYTES) -> None:
        settings = context.settings
        self._context = context
        self._streams = streams
        self._connection = Connection(settings, context.name, context.clock)
        self._buffer = Buffer(buffer_bytes)
        self._subscriptions: dict[Channel, Subscription] | None = None  # until NATS takes what they bring
        self._changed = asyncio.Event()  # the symbols are others now
        context.symbols.on_change(self._changed.set)
        self._dropping = 0  # messages dropped since NATS took all that it was given
        self._refused = 0
        self._puzzled = False

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, then what is buffered."""
        if not await self._connection.open(stop):
            return
        client, settings = self._connection.client, self._context.settings
        publisher = FeedPublisher(client, settings.nats_consumer_subject, self._context.clock)
        try:
            if await open_feed(publisher, client, settings, stop):
                await self._work(publisher, stop)
        finally:
            await publisher.close()
            await self._connection.close()
            log("feed_stopped", published=publisher.published)

    def status(self) -> Status:
        """Waiting for `nats` or `exchange`, or running; the lag is what is buffered."""
        waiting = len(self._buffer)
        if not self._connection.connected or self._subscriptions is None:
            return Status("waiting", "nats", waiting)
        if not all(one.alive for one in self._subscriptions.values()):
            return Status("waiting", "exchange", waiting)
        return Status("running", lag=waiting)

    def busy_since(self) -> float | None:
        """None: it waits for others all the time, and its own part of an event takes microseconds."""
        return None

    def receive(self, message: Message) -> None:
        """Nobody sends anything to the feed."""
        raise TypeError(f"{self._context.name} does not understand {type(message).__name__}")

    async def _work(self, publisher: FeedPublisher, stop: asyncio.Event) -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            try:
                async with asyncio.TaskGroup() as tasks:
                    publishing = tasks.create_task(self._publish(publisher))
                    await self._subscribe(session, tasks, stop)
                    await self._finish(publisher, publishing)
            except ExceptionGroup as group:
                raise group.exceptions[0] from group  # it ended the others

    async def _subscribe(self, session: aiohttp.ClientSession, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        """Keep the channels of the symbols until `stop`. A connection that is not wanted any more goes once those
        that take its place bring something, or after HANDOVER_S: what a change leaves as it is misses nothing.
        """
        settings = self._context.settings
        keeping: dict[Channel, asyncio.Task[None]] = {}
        while not stop.is_set():
            self._changed.clear()
            wanted = channels(self._context.symbols.now, self._streams, settings.depth_kind)
            before = self._subscriptions or {}
            self._subscriptions = {one: before.get(one) or self._subscription(session, one) for one in wanted}
            for channel, subscription in self._subscriptions.items():
                if channel not in keeping:
                    keeping[channel] = tasks.create_task(subscription.keep())
            if gone := [channel for channel in keeping if channel not in self._subscriptions]:
                await self._handed_over(self._subscriptions.values(), stop)
                await ended([keeping.pop(channel) for channel in gone])
            await either(stop, self._changed)
        await ended(list(keeping.values()))

    async def _handed_over(self, to: Collection[Subscription], stop: asyncio.Event) -> None:
        """Wait until each of them brings something, and not for ever."""
        deadline = self._context.clock.monotonic() + HANDOVER_S
        while not all(one.alive for one in to) and self._context.clock.monotonic() < deadline and not stop.is_set():
            await sleep_unless(stop, LOOK_S)

    def _subscription(self, session: aiohttp.ClientSession, channel: Channel) -> Subscription:
        url, hear = self._context.settings.binance_ws_url, partial(self._hear, channel.stream_class)
        return Subscription(self._context, session, url, channel, self._streams, hear)

    def _hear(self, stream_class: str, text: bytes) -> None:
        """A frame of the exchange: into the buffer, or dropped."""
        try:
            frame = parse(text)
        except DataError as error:
            self._drop(error.reason)
            if not self._puzzled:
                self._puzzled = True
                log("feed_not_understood", logging.WARNING, reason=str(error))
            return
        self._context.metrics.inc("data_manager_feed_messages_total", 1, **{"class": stream_class})
        now = timestamp(self._context.clock.now_us())
        if not self._buffer.put(envelope(frame.stream, frame.data, now, self._context.rng)):
            self._overflow()

    def _overflow(self) -> None:
        if not self._dropping:
            log("feed_dropping", logging.WARNING, reason="NATS takes too little", buffered=len(self._buffer))
        self._dropping += 1
        self._drop(NATS_AWAY)

    def _drop(self, reason: str, messages: int = 1) -> None:
        self._context.metrics.inc("data_manager_feed_dropped_total", messages, reason=reason)

    async def _publish(self, publisher: FeedPublisher) -> None:
        """Publish what is buffered, in order, for ever."""
        while True:
            message = await self._buffer.first()
            if len(message) > self._connection.client.max_payload:
                self._drop(TOO_LARGE)
            else:
                await publisher.publish(message)
            self._buffer.drop_first()
            if self._dropping and not len(self._buffer):
                log("feed_taken_again", dropped=self._dropping)
                self._dropping = 0
            self._count_refused(publisher)

    def _count_refused(self, publisher: FeedPublisher) -> None:
        """Only a stream of the user's own refuses: ours discards what is old."""
        if publisher.refused > self._refused:
            self._drop(REFUSED, publisher.refused - self._refused)
            self._refused = publisher.refused

    async def _finish(self, publisher: FeedPublisher, publishing: asyncio.Task[None]) -> None:
        """Nothing comes any more: let what is left be published, and wait until NATS has it all."""
        try:
            async with asyncio.timeout(FINISH_S):
                await self._buffer.emptied()
        except TimeoutError:
            self._drop(NATS_AWAY, len(self._buffer))
        publishing.cancel()
        acknowledged = await publisher.drain(FINISH_S)
        self._count_refused(publisher)
        if not acknowledged or len(self._buffer):
            log("feed_unpublished", logging.WARNING, buffered=len(self._buffer), published=publisher.published)


async def either(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel them and wait for their end."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)

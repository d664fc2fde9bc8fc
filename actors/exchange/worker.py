"""The exchange's actor: publishes the simulated market on the feed's subject, and serves REST and streams."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection
from pathlib import Path

import orjson

from data_manager.actors.exchange.feed import Feed
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.schedule import DEFAULT_TYPES, Cadence, Schedule
from data_manager.actors.exchange.silence import Outages, Silences
from data_manager.system.clock import now_ms
from data_manager.system.connection import Connection, sleep_unless
from data_manager.system.logs import log
from data_manager.system.messages import Message
from data_manager.system.publisher import FeedPublisher, open_feed
from data_manager.system.worker import Context, Status

TICK_S = 0.05
MAX_BEHIND_MS = 2000  # what is due for longer is not published any more
FINISH_S = 5.0  # for the publishing in hand once we are to stop, and again for the acknowledgements


class ExchangeWorker:
    """Publishes every event when it is due, about `exchange_rate` a second over all `supported_pairs`.

    While NATS is away, or the machine too slow for the rate, what falls due is never published: users see an
    outage of the feed. `data_manager_published_total` counts what was handed to NATS; after a stop all of it
    has arrived, or a warning says how much has. REST and streams are there all the time; `exchange_file` tells
    their port.
    """

    def __init__(self, context: Context, types: Collection[str] = DEFAULT_TYPES) -> None:
        settings = context.settings
        self._silences = Silences(Outages.of(settings, now_ms(context.clock)))
        self._cadence = Cadence.of(settings)
        self._market = Market(settings.exchange_seed, self._cadence.trades_per_minute)
        self._schedule = Schedule(self._market, settings.supported_pairs, self._cadence, types, self._silences)
        self._feed = Feed(self._schedule, context.rng)
        self._context = context
        self._connection = Connection(settings, context.name, context.clock)
        self._through: int | None = None  # everything due before this moment was published; None: start at now
        self._busy: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve and publish until `stop`, then wait for all acknowledgements."""
        # here and not above: aiohttp takes a second where it is not loaded yet
        from data_manager.actors.exchange.server import SimulatedExchange

        settings = self._context.settings
        async with SimulatedExchange(
            self._market,
            self._context.clock,
            settings.supported_pairs,
            cadence=self._cadence,
            port=settings.exchange_port,
            silences=self._silences,
        ) as exchange:
            write_port(settings.exchange_file, exchange.port)
            try:
                await self._feed_until(stop)
            finally:
                settings.exchange_file.unlink(missing_ok=True)

    def status(self) -> Status:
        """Waiting for `nats`, or running."""
        return Status("running") if self._connection.connected else Status("waiting", "nats")

    def busy_since(self) -> float | None:
        """Start of the window in hand; None while NATS is away, which is no fault of ours."""
        return self._busy if self._connection.connected else None

    def receive(self, message: Message) -> None:
        """Nobody sends anything to the exchange."""
        raise TypeError(f"{self._context.name} does not understand {type(message).__name__}")

    async def _feed_until(self, stop: asyncio.Event) -> None:
        if not await self._connection.open(stop):
            return
        subject = self._context.settings.nats_consumer_subject
        publisher = FeedPublisher(self._connection.client, subject, self._context.clock)
        try:
            if await self._set_up(publisher, stop):
                await self._publish_until(stop, publisher)
                await self._drain(publisher)
        finally:
            self._busy = None
            await publisher.close()
            await self._connection.close()

    async def _set_up(self, publisher: FeedPublisher, stop: asyncio.Event) -> bool:
        """Make sure that the feed is captured, and compute the past day; False when stopped meanwhile."""
        client, settings = self._connection.client, self._context.settings
        if not await open_feed(publisher, client, settings, stop):
            return False
        for _ in self._schedule.warm_up(now_ms(self._context.clock)):
            await asyncio.sleep(0)
            if stop.is_set():
                break
        return not stop.is_set()

    async def _publish_until(self, stop: asyncio.Event, publisher: FeedPublisher) -> None:
        """Publish until `stop`; give up what then takes longer than FINISH_S, for NATS may be away."""
        try:
            async with asyncio.timeout(None) as limit:
                hurry = asyncio.create_task(_limit_once(stop, limit))
                try:
                    await self._tick_until(stop, publisher)
                finally:
                    hurry.cancel()
        except TimeoutError:
            if not limit.expired():
                raise

    async def _tick_until(self, stop: asyncio.Event, publisher: FeedPublisher) -> None:
        clock = self._context.clock
        deadline = clock.monotonic()
        while not stop.is_set():
            if self._connection.connected:
                self._busy = clock.monotonic()
                await self._publish_due(publisher)
                self._busy = None
            else:
                self._through = None
            deadline = max(deadline + TICK_S, clock.monotonic())
            await sleep_unless(stop, deadline - clock.monotonic())

    async def _publish_due(self, publisher: FeedPublisher) -> None:
        """Publish what became due since the last time."""
        now_us = self._context.clock.now_us()
        end = now_us // 1000
        start = end if self._through is None else self._through
        if end - start > MAX_BEHIND_MS:
            log("exchange_skipped", logging.WARNING, milliseconds=end - start)
            start = end
        self._through = max(start, end)  # the host's clock may have been set back
        for due in self._feed.due(start, end, now_us):
            await publisher.publish(due.payload)
            self._context.metrics.inc("data_manager_published_total", event_type=due.event_type)

    async def _drain(self, publisher: FeedPublisher) -> None:
        if not await publisher.drain(FINISH_S):
            log("exchange_unacknowledged", logging.WARNING, acknowledged=publisher.published)


async def _limit_once(stop: asyncio.Event, limit: asyncio.Timeout) -> None:
    await stop.wait()
    limit.reschedule(asyncio.get_running_loop().time() + FINISH_S)


def write_port(path: Path, port: int) -> None:
    """Tell clients which port was bound; the file appears whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_bytes(orjson.dumps({"port": port, "pid": os.getpid()}))
    draft.replace(path)

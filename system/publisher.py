"""Publishing raw events on the feed's subject: for the feed, the replay command and the simulated exchange."""

from __future__ import annotations

import asyncio
import logging

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import ServiceUnavailableError

from data_manager.system.acked import Accepted, AckedPublisher, Outcome
from data_manager.system.clock import Clock, SystemClock
from data_manager.system.connection import sleep_unless, within
from data_manager.system.errors import FeedError
from data_manager.system.logs import log
from data_manager.system.settings import Delivery, Settings
from data_manager.system.streams import capturing_stream, ensure_feed, resolve_delivery

WINDOW = 512  # unacknowledged publishes
PROBE_EVERY_S = 1.0  # core: how often one event asks whether anybody listens
ASK_S = 2.0
RETRY_S = 0.5  # after the server did not answer while a publisher was being opened
WAIT_S = 0.05


class FeedPublisher:
    """Events to the feed, in the best way its subject allows.

    Where a stream captures the subject, an event counts as published once the stream has it; it is sent again
    until then, and stored once for as long as the stream remembers ids (120 s in ours). Elsewhere it is a
    core publish: counted when sent, and lost when nobody listens.
    """

    def __init__(self, client: Client, subject: str, clock: Clock | None = None) -> None:
        self._client = client
        self._subject = subject
        self._clock = clock or SystemClock()
        self._acked = AckedPublisher(client, self._clock)
        self._slots = asyncio.Semaphore(WINDOW)
        self._run = client.new_inbox().rsplit(".", 1)[1]  # makes our message ids unique
        self._numbered = 0
        self._next_probe = 0.0
        self._unheard = False
        self._probes: Subscription | None = None
        self._error: Exception | None = None
        self.captured = False
        self.published = 0
        self.refused = 0  # events the stream has no room for

    async def open(self) -> None:
        """Find out whether a stream captures the subject; raises FeedError when the server does not say."""
        try:
            js = self._client.jetstream(timeout=ASK_S)
            self.captured = await capturing_stream(js, self._subject) is not None
        except ServiceUnavailableError:
            self.captured = False
        except (nats.errors.Error, OSError) as error:
            raise FeedError(f"NATS did not say whether a stream captures {self._subject} ({error})") from error
        await self._acked.open()
        self._probes = await self._client.subscribe(self._client.new_inbox(), cb=self._on_probed)

    async def publish(self, payload: bytes) -> None:
        """Publish one event; waits while WINDOW events are unacknowledged, or while NATS is away.

        Raises FeedError when the connection was closed for good, or when the event is larger than the server
        takes.
        """
        if self._error:
            raise self._error
        if self.captured:
            await self._publish_captured(payload)
        else:
            await self._publish_core(payload)

    async def drain(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything is acknowledged (core: sent); False when that takes longer."""
        if not self.captured:
            return await within(timeout_s, self._client.flush()) and self._client.is_connected
        give_up = self._clock.monotonic() + timeout_s
        while len(self._acked) and self._clock.monotonic() < give_up:
            await asyncio.sleep(WAIT_S)
        await asyncio.sleep(0)  # the last outcomes are counted by callbacks, whose turn comes now
        return not len(self._acked)

    async def close(self) -> None:
        """Give up what is not acknowledged."""
        await self._acked.close()
        if self._probes and self._client.is_connected:
            await self._probes.unsubscribe()

    async def _publish_captured(self, payload: bytes) -> None:
        await self._slots.acquire()
        self._numbered += 1
        try:
            outcome = await self._acked.send(self._subject, payload, f"{self._run}:{self._numbered}")
        except (nats.errors.Error, FeedError) as error:
            self._slots.release()
            raise FeedError(f"NATS does not take an event for {self._subject}: {error}") from error
        outcome.add_done_callback(self._on_outcome)

    def _on_outcome(self, outcome: asyncio.Future[Outcome]) -> None:
        self._slots.release()
        if error := outcome.exception():
            self._error = FeedError(str(error))
        elif isinstance(outcome.result(), Accepted):
            self.published += 1
        else:
            self.refused += 1

    async def _publish_core(self, payload: bytes) -> None:
        while not self._client.is_connected:
            if self._client.is_closed:
                raise FeedError(f"NATS closed the connection for good ({self._client.last_error})")
            await asyncio.sleep(WAIT_S)
        now = self._clock.monotonic()
        probe = now >= self._next_probe and self._probes is not None
        reply = self._probes.subject if probe and self._probes else ""
        if probe:
            self._next_probe = now + PROBE_EVERY_S
        try:
            await self._client.publish(self._subject, payload, reply)
        except nats.errors.Error as error:
            raise FeedError(f"NATS does not take an event for {self._subject}: {error}") from error
        self.published += 1

    async def _on_probed(self, answer: Msg) -> None:
        """The server answers when nobody listens, a stream when it captures, a subscriber never."""
        if not answer.headers:
            self.captured = True  # a stream was created since
        elif answer.headers.get("Status") == "503" and not self._unheard:
            self._unheard = True
            log("nobody_listens", logging.WARNING, subject=self._subject)


async def open_feed(publisher: FeedPublisher, client: Client, settings: Settings, stop: asyncio.Event) -> bool:
    """Make sure that the feed is captured where the server can, and open the publisher; False when stopped first."""
    said: str | None = None
    while not stop.is_set():
        try:
            if await resolve_delivery(client, settings) is Delivery.JETSTREAM:
                await ensure_feed(client.jetstream(), settings)  # what is published before the router is up waits there
            await publisher.open()
            return True
        except FeedError as error:
            if said != str(error):
                said = str(error)
                log("publisher_waiting", logging.WARNING, reason=said)
            await sleep_unless(stop, RETRY_S)
    return False

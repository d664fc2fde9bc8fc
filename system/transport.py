"""Where batches of messages come from and go to: JetStream, or core NATS with the same face.

Over JetStream a delivery comes again until it is acknowledged, and a batch is published until the stream has
it. Over core NATS both happen at most once; acknowledging does nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from data_manager.system.acked import SubjectFull
from data_manager.system.clock import Clock
from data_manager.system.connection import FLUSH_S, sleep_unless, within
from data_manager.system.delivery import Buffer, Delivery
from data_manager.system.errors import FeedError
from data_manager.system.logs import log
from data_manager.system.market import CorePublisher, Dropped, JetStreamPublisher, MarketPublisher
from data_manager.system.pull import ConsumerGone, PullConsumer

__all__ = [
    "Bound",
    "CorePublisher",
    "CoreSource",
    "Delivery",
    "Dropped",
    "JetStreamPublisher",
    "JetStreamSource",
    "MarketPublisher",
    "Source",
    "SubjectFull",
]

REBIND_S = (0.2, 5.0)  # first and longest pause between attempts to bind
CORE_PENDING_MESSAGES = 200_000  # beyond either, a core subscription drops and counts
CORE_PENDING_BYTES = 64 * 2**20

_IN_PROGRESS = b"+WPI"


class Source(Protocol):
    """Messages for one taker."""

    @property
    def lag(self) -> int | None:
        """Messages waiting on the server, as far as known, and here; None before the first binding."""
        ...

    @property
    def incarnation(self) -> int:
        """Of the stream the last batch came from; 0 in core mode."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing can come at present; empty when it can."""
        ...

    async def open(self) -> None:
        """Begin; returns when messages can come, or after `stop_pulling`."""
        ...

    async def batch(self, max_messages: int, max_bytes: int, linger_s: float) -> Sequence[Delivery]:
        """Wait for the first message, gather for `linger_s` if there are few, and take one or more that fit.

        Empty only after `stop_pulling`, when nothing is left. Raises FeedError when the connection was closed
        for good: the actor has to start again.
        """
        ...

    async def ack(self, deliveries: Iterable[Delivery]) -> None:
        """These are done with. An acknowledgement that is lost means one more delivery."""
        ...

    async def in_progress(self, deliveries: Iterable[Delivery]) -> None:
        """These take longer: start their ack wait anew."""
        ...

    async def stop_pulling(self) -> None:
        """Ask for nothing more; what was asked for still comes out of `batch`."""
        ...

    async def close(self) -> None:
        """Stop at once; JetStream delivers again what was not acknowledged."""
        ...


class Bound(msgspec.Struct, frozen=True):
    """A consumer that is there, and its stream's incarnation."""

    stream: str
    durable: str
    incarnation: int


Bind = Callable[[], Awaitable[Bound]]
OnRebound = Callable[[str, int, int], None]


class JetStreamSource:
    """A durable consumer that is made again when somebody deletes it or its stream.

    `bind` makes sure that stream and consumer are there; it may raise FeedError and is then called again.
    `on_rebound(reason, old_incarnation, new_incarnation)` tells that it had to be: with the same incarnation
    only the consumer was gone, with another the stream and all it held. What had arrived before is handed out
    first.
    """

    def __init__(
        self, client: Client, bind: Bind, *, window: int, clock: Clock, on_rebound: OnRebound | None = None
    ) -> None:
        self._client = client
        self._bind = bind
        self._window = window
        self._clock = clock
        self._on_rebound = on_rebound
        self._stop = asyncio.Event()
        self._consumer: PullConsumer | None = None
        self._incarnation = 0
        self._trouble = "not bound yet"

    @property
    def lag(self) -> int | None:
        """See Source."""
        return self._consumer.lag if self._consumer else None

    @property
    def incarnation(self) -> int:
        """See Source."""
        return self._incarnation

    @property
    def trouble(self) -> str:
        """See Source."""
        return self._trouble

    async def open(self) -> None:
        """See Source; tries for ever with bounded back-off."""
        await self._bind_until_stopped()

    async def batch(self, max_messages: int, max_bytes: int, linger_s: float) -> Sequence[Delivery]:
        """See Source."""
        while self._consumer is not None:
            try:
                return await self._consumer.batch(max_messages, max_bytes, linger_s)
            except ConsumerGone as gone:
                if not self._stop.is_set():
                    await self._rebind(str(gone))
                else:
                    break
        return ()

    async def ack(self, deliveries: Iterable[Delivery]) -> None:
        """See Source."""
        await self._answer(deliveries, b"")

    async def in_progress(self, deliveries: Iterable[Delivery]) -> None:
        """See Source."""
        await self._answer(deliveries, _IN_PROGRESS)

    async def stop_pulling(self) -> None:
        """See Source; exact: when all it hands out is acknowledged, nothing is delivered again."""
        self._stop.set()
        if self._consumer:
            await self._consumer.stop_pulling()

    async def close(self) -> None:
        """See Source."""
        self._stop.set()
        if self._consumer:
            await self._consumer.close()

    async def _answer(self, deliveries: Iterable[Delivery], answer: bytes) -> None:
        client = self._client
        try:
            if client.is_connected:
                # one command for all: nats-py's publish costs 4 us each, which is most of what a router does
                tail = b" %d\r\n%b\r\n" % (len(answer), answer)
                await client._send_command(b"".join([b"PUB %b%b" % (d.reply.encode(), tail) for d in deliveries]))
                await client._flush_pending()
                return
            for delivery in deliveries:
                await client.publish(delivery.reply, answer)
        except nats.errors.OutboundBufferLimitError:
            return  # disconnected, and enough is waiting for the socket: the rest will be delivered again
        except nats.errors.ConnectionClosedError as error:
            raise FeedError(f"NATS closed the connection for good ({self._client.last_error})") from error

    async def _rebind(self, reason: str) -> None:
        old, self._trouble = self._incarnation, reason
        log("nats_consumer_gone", logging.WARNING, reason=reason)
        if self._consumer:
            await self._consumer.close()
        await self._bind_until_stopped()
        if self._on_rebound and not self._trouble:
            self._on_rebound(reason, old, self._incarnation)

    async def _bind_until_stopped(self) -> None:
        pause, longest = REBIND_S
        while not self._stop.is_set():
            try:
                bound = await self._bind()
                consumer = PullConsumer(
                    self._client, bound.stream, bound.durable, window=self._window, clock=self._clock
                )
                await consumer.open()
            except FeedError as error:
                if self._client.is_closed:
                    raise
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    log("nats_cannot_bind", logging.WARNING, reason=self._trouble)
                await sleep_unless(self._stop, pause)
                pause = min(pause * 2, longest)
                continue
            self._consumer, self._incarnation, self._trouble = consumer, bound.incarnation, ""
            log("nats_bound", stream=bound.stream, consumer=bound.durable, incarnation=bound.incarnation)
            return


class CoreSource:
    """A core subscription, at most once. Members of one `queue` share the messages out among them.

    The sequence is the start in microseconds plus a counter, so that positions of two runs never meet.
    """

    incarnation = 0
    trouble = ""

    def __init__(self, client: Client, subject: str, *, queue: str, clock: Clock) -> None:
        self._client = client
        self._subject, self._queue = subject, queue
        self._clock = clock
        self._buffer = Buffer()
        self._sequence = clock.now_us()
        self._subscription: Subscription | None = None
        self.dropped = 0  # messages that came when the buffer was full

    @property
    def lag(self) -> int:
        """Messages waiting here; the server keeps none."""
        return len(self._buffer)

    async def open(self) -> None:
        """Subscribe; returns when the server knows."""
        self._subscription = await self._client.subscribe(
            self._subject, queue=self._queue, cb=self._on_message, pending_msgs_limit=CORE_PENDING_MESSAGES
        )
        await within(FLUSH_S, self._client.flush())

    async def batch(self, max_messages: int, max_bytes: int, linger_s: float) -> Sequence[Delivery]:
        """See Source."""
        return await self._buffer.batch(max_messages, max_bytes, linger_s)

    async def ack(self, deliveries: Iterable[Delivery]) -> None:
        """Nothing: a core message never comes again."""

    async def in_progress(self, deliveries: Iterable[Delivery]) -> None:
        """Nothing, as `ack`."""

    async def stop_pulling(self) -> None:
        """Unsubscribe; what has reached this process is still handed out."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._client.is_connected:
            await within(FLUSH_S, subscription.drain())  # type: ignore[no-untyped-call]
        self._buffer.end()

    async def close(self) -> None:
        """Unsubscribe."""
        await self.stop_pulling()

    async def _on_message(self, message: Msg) -> None:
        if len(self._buffer) >= CORE_PENDING_MESSAGES or self._buffer.size >= CORE_PENDING_BYTES:
            self.dropped += 1
            return
        self._sequence += 1
        headers = message.headers
        trace = headers.get("traceparent") if headers else None
        self._buffer.put(Delivery(message.data, self._sequence, self._clock.now_us(), trace=trace))

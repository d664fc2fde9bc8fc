"""A durable JetStream consumer whose messages land on one callback subscription.

nats-py's `fetch()` costs about 55 us a message, a callback about 9. So there is one inbox, and requests that
keep up to `window` messages on their way. A request ends by itself after EXPIRES_S, with its messages or with
a status, which serves as heartbeat, and makes a clean stop exact: once no request is open, the server sends
nothing more. (Taking the subscription away instead leaves messages on the server's way to an inbox that is
gone: redeliveries.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import NotFoundError

from data_manager.system.clock import Clock
from data_manager.system.connection import within
from data_manager.system.delivery import Buffer, Delivery, parse_reply
from data_manager.system.errors import FeedError

EXPIRES_S = 0.5  # also the longest a clean stop waits on a healthy network
SILENCE_S = 5.0  # neither message nor status: something is wrong
TICK_S = 0.1  # how often the watchdog looks: a reconnect is seen this late
PROBE_S = 2.0  # a dying server never answers
STOP_SLACK_S = 2.0

_ENDED = ("404", "408")  # statuses of a request that ended well


class ConsumerGone(FeedError):
    """The consumer or its stream was deleted: bind anew, then open a new PullConsumer."""


class _Request(msgspec.Struct):
    batch: int
    expires: int  # ns


class PullConsumer:
    """At-least-once deliveries of the durable `durable` on `stream`.

    At most `window` messages are on their way or waiting here. What
    stops a pull consumer for ever elsewhere (a restarted server, a lost request, JetStream not up yet) is
    noticed and mended; a deleted consumer is not: `batch` raises ConsumerGone.
    """

    def __init__(self, client: Client, stream: str, durable: str, *, window: int, clock: Clock) -> None:
        self._client = client
        self._stream, self._durable = stream, durable
        self._window = window
        self._clock = clock
        self._buffer = Buffer()
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._asked = 0  # messages requested and not yet delivered; 0 when no request is open
        self._seen = clock.monotonic()
        self._doubt = False  # a status that may mean the consumer is gone
        self._stopping = False
        self._reconnects = 0
        self._pending = 0
        self._subscription: Subscription | None = None
        self._watchdog: asyncio.Task[None] | None = None

    @property
    def lag(self) -> int:
        """Messages waiting: on the server, as the last one that came told, and here."""
        return self._pending + len(self._buffer)

    async def open(self) -> None:
        """Check that the consumer is there and begin to pull; raises ConsumerGone or FeedError."""
        try:
            await self._look()
            await self._restart()
        except NotFoundError as error:
            raise self._gone(error.description) from error
        except (nats.errors.Error, OSError) as error:
            raise FeedError(f"NATS gave no answer about consumer {self._durable} ({error})") from error
        self._watchdog = asyncio.create_task(self._watch(), name=f"watch-{self._durable}")
        self._watchdog.add_done_callback(self._watchdog_ended)

    async def batch(self, max_messages: int, max_bytes: int, linger_s: float) -> Sequence[Delivery]:
        """See transport.Source; raises ConsumerGone, or FeedError when the connection is closed for good."""
        taken = await self._buffer.batch(max_messages, max_bytes, linger_s)
        await self._ask()
        return taken

    async def stop_pulling(self) -> None:
        """Ask for nothing more and let what was asked for arrive: `batch` hands it out, then returns empty.

        Takes at most EXPIRES_S + STOP_SLACK_S, plus two round trips.
        """
        self._stopping = True
        give_up = self._clock.monotonic() + EXPIRES_S + STOP_SLACK_S
        while self._asked and self._client.is_connected and self._clock.monotonic() < give_up:
            await asyncio.sleep(TICK_S / 10)
        await self._unsubscribe()
        self._buffer.end()

    async def close(self) -> None:
        """Stop at once; what was not acknowledged is delivered again, here or elsewhere, after ack_wait."""
        self._stopping = True
        if self._watchdog:
            self._watchdog.cancel()
        await self._unsubscribe()
        self._buffer.end()

    async def _on_message(self, message: Msg) -> None:
        self._seen = self._clock.monotonic()
        reply = message.reply
        if not reply:
            await self._on_status(message.headers or {})
            return
        sequence, received_us, redelivered, self._pending = parse_reply(reply)
        headers = message.headers
        trace = headers.get("traceparent") if headers else None
        self._buffer.put(Delivery(message.data, sequence, received_us, redelivered, reply, trace))
        if self._asked:
            self._asked -= 1
        if self._asked * 2 <= self._window:
            await self._ask()

    async def _on_status(self, headers: dict[str, str]) -> None:
        """A request ended early with this many messages undelivered; without the number, assume all."""
        code, text = headers.get("Status", ""), headers.get("Description", "")
        self._asked = max(0, self._asked - int(headers.get("Nats-Pending-Messages", self._asked)))
        if code == "409" and ("Deleted" in text or "push based" in text):
            self._buffer.fail(self._gone(text))
        elif code in _ENDED:
            await self._ask()
        else:
            self._doubt = True

    async def _ask(self) -> None:
        """Ask for what fits in the window, when that is half of it or more: few, large requests."""
        room = self._window - self._asked - len(self._buffer)
        if self._stopping or room * 2 < self._window or not self._client.is_connected:
            return
        if not self._asked:  # nothing was expected until now
            self._seen = self._clock.monotonic()
        self._asked += room
        request = _Request(batch=room, expires=int(EXPIRES_S * 1e9))
        assert self._subscription is not None
        await self._client.publish(self._next, msgspec.json.encode(request), self._subscription.subject)

    async def _restart(self) -> None:
        """Ask anew, on a new inbox: requests of before that are still alive must not fill this window too."""
        self._reconnects = self._client.stats["reconnects"]
        # no limits: what can be on its way is bounded by the window and by the consumer's max_ack_pending
        inbox = await self._client.subscribe(
            self._client.new_inbox(), cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
        )
        old, self._subscription = self._subscription, inbox
        self._asked, self._doubt, self._seen = 0, False, self._clock.monotonic()
        if old is not None:
            await old.unsubscribe()
        await self._ask()

    async def _watch(self) -> None:
        while self._buffer.error is None:
            await asyncio.sleep(TICK_S)
            if self._client.is_closed:
                self._buffer.fail(FeedError(f"NATS closed the connection for good ({self._client.last_error})"))
            elif self._client.is_connected and not self._stopping:
                await self._mend()

    async def _mend(self) -> None:
        silent = self._asked and self._clock.monotonic() - self._seen > SILENCE_S
        try:
            if self._reconnects != self._client.stats["reconnects"]:  # the server forgot our requests
                await self._restart()
            elif self._doubt or silent:
                await self._look()
                await self._restart()
        except NotFoundError as error:
            self._buffer.fail(self._gone(error.description))
        except (nats.errors.Error, OSError):
            self._doubt = True  # still down: the next tick asks again

    async def _look(self) -> None:
        """Ask the server about the consumer; raises what nats-py raises."""
        info = await self._client.jetstream().consumer_info(self._stream, self._durable, timeout=PROBE_S)
        self._pending = info.num_pending or 0

    def _gone(self, reason: str | None) -> ConsumerGone:
        return ConsumerGone(f"consumer {self._durable} of stream {self._stream}: {reason}")

    async def _unsubscribe(self) -> None:
        """Take the subscription away; what has reached this process goes through the callback first."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._client.is_connected:
            await within(STOP_SLACK_S, subscription.drain())  # type: ignore[no-untyped-call]

    def _watchdog_ended(self, task: asyncio.Task[None]) -> None:
        """A watchdog must not die unseen."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._buffer.fail(error)

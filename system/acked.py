"""Publishing to a stream until the stream says that it has the message.

A message without an answer is sent again with the same `Nats-Msg-Id`; the stream drops the copy. (nats-py's
own asynchronous publishes never time out.)
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from data_manager.system.clock import Clock
from data_manager.system.errors import FeedError
from data_manager.system.logs import log

ACK_TIMEOUT_S = 0.5  # then the message is sent again ...
RESEND_CAP_S = 5.0  # ... after twice as long each time, up to this
TICK_S = 0.1

_STORE_FAILED = 10077  # also "maximum messages exceeded" and "maximum bytes exceeded", which may pass
_PER_SUBJECT = "per subject"


class Accepted(msgspec.Struct, frozen=True):
    """The stream has the message under this sequence; `duplicate`: it had it before."""

    sequence: int
    duplicate: bool


class SubjectFull(msgspec.Struct, frozen=True):
    """The stream holds as many messages of this subject as it may; this one was not stored."""

    subject: str


Outcome = Accepted | SubjectFull


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


class _Unanswered:
    """One message in flight."""

    __slots__ = ("due", "headers", "outcome", "payload", "subject", "wait_s")

    def __init__(self, subject: str, payload: bytes, msg_id: str, outcome: asyncio.Future[Outcome]) -> None:
        self.subject, self.payload, self.outcome = subject, payload, outcome
        self.headers = {"Nats-Msg-Id": msg_id}
        self.wait_s = ACK_TIMEOUT_S
        self.due = 0.0


class AckedPublisher:
    """Messages on their way to streams. The caller bounds how many by awaiting their outcomes."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._unanswered: dict[str, _Unanswered] = {}
        self._sent = 0
        self._trouble = ""
        self._prefix = ""
        self._inbox: Subscription | None = None
        self._resender: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._unanswered)

    @property
    def trouble(self) -> str:
        """Why messages are not accepted at present; empty while they are."""
        return self._trouble

    async def open(self) -> None:
        """Listen for answers."""
        self._prefix = self._client.new_inbox()
        # no limits: the caller bounds what can be answered
        self._inbox = await self._client.subscribe(
            f"{self._prefix}.*", cb=self._on_answer, pending_msgs_limit=0, pending_bytes_limit=0
        )
        self._resender = asyncio.create_task(self._resend(), name="resend")
        self._resender.add_done_callback(self._resender_ended)

    async def send(self, subject: str, payload: bytes, msg_id: str) -> asyncio.Future[Outcome]:
        """Publish, and again until there is an outcome; cancelling the future ends that.

        The outcome is a FeedError when the connection is closed first. Raises FeedError when it is closed
        already, or for a payload that is larger than the server takes.
        """
        if self._client.is_closed:
            raise self._closed()
        if len(payload) > self._client.max_payload:
            limit = self._client.max_payload
            raise FeedError(f"a message of {len(payload)} bytes exceeds the server's max_payload of {limit}")
        self._sent += 1
        token = str(self._sent)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        message = self._unanswered[token] = _Unanswered(subject, payload, msg_id, outcome)
        await self._publish(token, message)
        return outcome

    async def close(self) -> None:
        """Give up what has no answer yet: its outcome is a FeedError."""
        if self._resender:
            self._resender.cancel()
        if self._inbox and self._client.is_connected:
            await self._inbox.unsubscribe()
        self._give_up(FeedError("the publisher was closed before the stream answered"))

    async def _publish(self, token: str, message: _Unanswered) -> None:
        message.due = self._clock.monotonic() + message.wait_s
        try:
            await self._client.publish(message.subject, message.payload, f"{self._prefix}.{token}", message.headers)
        except nats.errors.OutboundBufferLimitError:  # disconnected, and enough is waiting for the socket
            self._note("NATS is away")

    async def _on_answer(self, reply: Msg) -> None:
        token = reply.subject.rsplit(".", 1)[1]
        message = self._unanswered.get(token)
        if message is None:  # answered before, or cancelled
            return
        if reply.headers and reply.headers.get("Status") == "503":
            self._note(f"no stream captures {message.subject}")
            return
        answer = msgspec.json.decode(reply.data, type=_Answer)
        error = answer.error
        if error is None:
            self._trouble = ""
            self._settle(token, Accepted(answer.seq, answer.duplicate))
        elif error.err_code == _STORE_FAILED and _PER_SUBJECT in error.description:
            self._settle(token, SubjectFull(message.subject))
        else:
            self._note(f"the stream refuses {message.subject}: {error.description} ({error.err_code})")

    def _settle(self, token: str, outcome: Outcome) -> None:
        future = self._unanswered.pop(token).outcome
        if not future.done():
            future.set_result(outcome)

    async def _resend(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._client.is_closed:
                self._give_up(self._closed())
            now = self._clock.monotonic()
            for token in [token for token, message in self._unanswered.items() if message.due <= now]:
                message = self._unanswered.get(token)
                if message is None:
                    continue
                if message.outcome.cancelled():
                    del self._unanswered[token]
                elif self._client.is_connected:
                    message.wait_s = min(message.wait_s * 2, RESEND_CAP_S)
                    await self._publish(token, message)

    def _closed(self) -> FeedError:
        return FeedError(f"NATS closed the connection for good ({self._client.last_error})")

    def _give_up(self, error: Exception) -> None:
        for message in self._unanswered.values():
            if not message.outcome.done():
                message.outcome.set_exception(error)
                message.outcome.exception()  # nobody has to look
        self._unanswered.clear()

    def _resender_ended(self, task: asyncio.Task[None]) -> None:
        """It must not die unseen."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._give_up(error)

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log("nats_publish_refused", logging.WARNING, reason=trouble)

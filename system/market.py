"""Batches on their way to ingest: into the MARKET stream, or over core NATS with the same face."""

from __future__ import annotations

from typing import Protocol

import msgspec
import nats.errors
from nats.aio.client import Client

from data_manager.system.acked import AckedPublisher, SubjectFull
from data_manager.system.clock import Clock
from data_manager.system.connection import FLUSH_S, within
from data_manager.system.errors import FeedError


class Dropped(msgspec.Struct, frozen=True):
    """A core publish that could not even be buffered: NATS is away."""

    subject: str


class MarketPublisher(Protocol):
    """Batches on their way to ingest."""

    @property
    def trouble(self) -> str:
        """Why nothing is accepted at present; empty while it is."""
        ...

    async def open(self) -> None:
        """Begin."""
        ...

    async def publish(self, subject: str, payload: bytes, msg_id: str) -> SubjectFull | Dropped | None:
        """Publish one batch and return None once it is delivered to the best the transport can promise.

        JetStream: waits, sending again with the same id, until the stream has it. Raises FeedError when the
        connection or this publisher is closed first, or when the payload is larger than the server takes.
        """
        ...

    async def close(self) -> None:
        """Give up what has no answer yet."""
        ...


class JetStreamPublisher:
    """Batches into a stream, each until it is accepted or its subject is full."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._acked = AckedPublisher(client, clock)

    @property
    def trouble(self) -> str:
        """See MarketPublisher; `no stream captures ...` when somebody deleted the stream."""
        return self._acked.trouble

    async def open(self) -> None:
        """See MarketPublisher."""
        await self._acked.open()

    async def publish(self, subject: str, payload: bytes, msg_id: str) -> SubjectFull | Dropped | None:
        """See MarketPublisher; several may run at once, which the caller bounds."""
        outcome = await (await self._acked.send(subject, payload, msg_id))
        return outcome if isinstance(outcome, SubjectFull) else None

    async def close(self) -> None:
        """See MarketPublisher."""
        await self._acked.close()


class CorePublisher:
    """Batches to whoever listens, at most once; nats-py sends what is buffered in each turn of the loop."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.trouble = ""

    async def open(self) -> None:
        """Nothing to do."""

    async def publish(self, subject: str, payload: bytes, msg_id: str) -> SubjectFull | Dropped | None:
        """See MarketPublisher; Dropped when NATS is away and the client's buffer is full."""
        try:
            await self._client.publish(subject, payload)
        except nats.errors.OutboundBufferLimitError:
            self.trouble = "NATS is away"
            return Dropped(subject)
        except nats.errors.Error as error:
            raise FeedError(f"NATS does not take a batch for {subject}: {error}") from error
        self.trouble = ""
        return None

    async def close(self) -> None:
        """Send what is buffered."""
        if self._client.is_connected:
            await within(FLUSH_S, self._client.flush())

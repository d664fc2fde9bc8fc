"""The way back into the feed: single messages, published by a connection that exists only while it is used."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import msgspec
import nats.errors
from nats.aio.client import Client

from data_manager.system.clock import Clock
from data_manager.system.connection import Connection, within
from data_manager.system.errors import DataError, FeedError
from data_manager.system.settings import Delivery, Settings
from data_manager.system.streams import resolve_delivery

CONNECT_S = 3.0  # until NATS is called away
ANSWER_S = 2.0  # ... and until it must have taken a message
IDLE_S = 30.0  # after the last message
MAX_WAITING = 16  # messages under way, which go one by one


class Republished(msgspec.Struct, frozen=True):
    """Where a message went: a stream that has it under `sequence`, or (core) whoever listened, for all we know."""

    delivery: Delivery
    stream: str | None
    sequence: int | None


class FeedDoor:
    """Publishes on NATS_CONSUMER_SUBJECT. Connects at the first message, and disconnects IDLE_S after the last one."""

    def __init__(self, settings: Settings, clock: Clock, rng: random.Random) -> None:
        patience_s = min(CONNECT_S, settings.nats_connect_timeout)
        self._settings = settings.model_copy(update={"nats_connect_timeout": patience_s})
        self._clock = clock
        self._rng = rng
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._connection: Connection | None = None
        self._idling: asyncio.Task[None] | None = None

    async def publish(self, payload: bytes, message_id: str) -> Republished:
        """Publish one message, which a stream takes once for each `message_id`.

        Raises FeedError when NATS is away, takes nothing or is not done with the MAX_WAITING before it: then the
        message is not published, or only its acknowledgement was lost. Raises DataError for one that is larger than
        the server takes.
        """
        if self._waiting >= MAX_WAITING:
            raise FeedError(f"{MAX_WAITING} messages are under way already")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._publish(payload, message_id)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Disconnect; the next message connects again."""
        await self._stay()
        await self._disconnect()

    async def _publish(self, payload: bytes, message_id: str) -> Republished:
        await self._stay()
        try:
            client = (await self._connected()).client
            if len(payload) > client.max_payload:
                sentence = f"It has {len(payload)} bytes, and NATS takes {client.max_payload} in a message."
                raise DataError("too_large", sentence)
            if await resolve_delivery(client, self._settings) is Delivery.CORE:
                return await self._to_listeners(client, payload)
            return await self._to_stream(client, payload, message_id)
        finally:
            self._idling = asyncio.create_task(self._leave(), name="feed door")

    async def _connected(self) -> Connection:
        if self._connection is None:
            connection = Connection(self._settings, "http", self._clock, self._rng)
            await connection.open_in_time()
            self._connection = connection
        elif not self._connection.connected:
            await self._disconnect()
            return await self._connected()
        return self._connection

    async def _to_stream(self, client: Client, payload: bytes, message_id: str) -> Republished:
        subject = self._settings.nats_consumer_subject
        try:
            done = await client.jetstream().publish(
                subject, payload, timeout=ANSWER_S, headers={"Nats-Msg-Id": message_id}
            )
        except (nats.errors.Error, OSError) as error:  # OSError includes time-outs
            raise FeedError(f"no stream has taken the message for {subject} ({error!r})") from error
        return Republished(Delivery.JETSTREAM, done.stream, done.seq)

    async def _to_listeners(self, client: Client, payload: bytes) -> Republished:
        try:
            await client.publish(self._settings.nats_consumer_subject, payload)
        except nats.errors.Error as error:
            raise FeedError(f"NATS does not take the message ({error!r})") from error
        if not await within(ANSWER_S, client.flush()) or not client.is_connected:
            raise FeedError("NATS has not taken the message in time")
        return Republished(Delivery.CORE, None, None)

    async def _leave(self) -> None:
        await asyncio.sleep(IDLE_S)
        await self._disconnect()

    async def _stay(self) -> None:
        """Call off the leave that is to be taken."""
        if self._idling is not None:
            self._idling.cancel()
            with suppress(asyncio.CancelledError):
                await self._idling
            self._idling = None

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

"""How each fault is committed, and how those that last are ended again."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from urllib.parse import quote

from data_manager.system.clock import Clock
from data_manager.system.commands.disorder.garbage import garbage
from data_manager.system.commands.disorder.schedule import Event, Fault
from data_manager.system.commands.disorder.territory import Demo
from data_manager.system.connection import Connection
from data_manager.system.errors import FeedError, ServiceAway
from data_manager.system.publisher import FeedPublisher
from data_manager.system.settings import Settings

LOCK_WAIT_S = 2.0  # for the write lock of a file that its owner writes to many times a second
TAKEN_S = 60.0  # within which FEED takes all garbage, the restart of a broker that is killed meanwhile included
SIGNALS = {
    Fault.KILL: signal.SIGKILL,
    Fault.HANG: signal.SIGSTOP,
    Fault.BROKER_KILL: signal.SIGKILL,
    Fault.BROKER_STOP: signal.SIGTERM,
}


@contextmanager
def inflicted(event: Event, demo: Demo, settings: Settings, symbols: Sequence[str], clock: Clock) -> Iterator[None]:
    """The fault has been committed; where it lasts, it does for the length of the block.

    Raises ServiceAway when the target is not there at the moment: nothing has happened then. FeedError when not all
    garbage was taken.
    """
    match event.fault:
        case Fault.KILL | Fault.HANG:
            with demo.actor(event.target) as process:
                process.signal(SIGNALS[event.fault])
            yield
        case Fault.BROKER_KILL | Fault.BROKER_STOP:
            with demo.broker() as process:
                process.signal(SIGNALS[event.fault])
            yield
        case Fault.STOP:
            demo.service.post(f"/system/actors/{quote(event.target, safe='')}/restart")
            yield
        case Fault.STORE_HELD:
            with store_held(demo, str(event.symbol)):
                yield
        case Fault.WRITES_REFUSED:
            with demo.actor(event.target) as process, process.without_writes():
                yield
        case Fault.GARBAGE:
            asyncio.run(published(garbage(event.seed, event.messages, symbols), demo, settings, clock))
            yield


@contextmanager
def store_held(demo: Demo, symbol: str) -> Iterator[None]:
    """The write lock of the symbol's file is ours, and nothing is written under it; raises ServiceAway."""
    file = f"file:{quote(str(demo.data_dir / 'market' / symbol))}.sqlite3?mode=rw"
    try:
        with closing(sqlite3.connect(file, uri=True, timeout=LOCK_WAIT_S, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield
            holder.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        raise ServiceAway(f"the store of {symbol} cannot be held ({error})") from error


async def published(messages: Sequence[bytes], demo: Demo, settings: Settings, clock: Clock) -> None:
    """Each message is in FEED, once. Raises ServiceAway before any is sent, and FeedError afterwards."""
    connection = Connection(settings.model_copy(update={"nats_url": demo.nats_url}), "chaos", clock)
    try:
        publisher = await opened(connection, settings, clock)
        try:
            for message in messages:
                await publisher.publish(message)
            if not await publisher.drain(TAKEN_S) or publisher.refused or not publisher.captured:
                raise FeedError(f"FEED has taken {publisher.published} of {len(messages)} messages")
        finally:
            await publisher.close()
    finally:
        await connection.close()


async def opened(connection: Connection, settings: Settings, clock: Clock) -> FeedPublisher:
    """A publisher to the feed; raises ServiceAway while the broker does not answer."""
    try:
        await connection.open_in_time()
        publisher = FeedPublisher(connection.client, settings.nats_consumer_subject, clock)
        await publisher.open()
    except FeedError as error:
        raise ServiceAway(str(error)) from error
    return publisher

"""A round trip through the running service that touches no market data: the library part of `data-manager selftest`.

An event of the reserved symbol goes the whole way of the feed: NATS, FEED where there is one, the router, a market
store. The router quarantines it, whatever is configured, and there it is found again over HTTP.
"""

from __future__ import annotations

import orjson

from data_manager.system.clock import Clock
from data_manager.system.connection import Connection
from data_manager.system.errors import FeedError
from data_manager.system.publisher import FeedPublisher
from data_manager.system.settings import RESERVED_SYMBOL, Settings

REASON = "reserved_symbol"  # why the router quarantines it (actors/routing.py)
DRAIN_S = 10.0  # for the acknowledgement


def probe(probe_id: str, event_ms: int) -> bytes:
    """The event, as the feed has them, with an id by which it is told from all others."""
    return orjson.dumps({"e": "selftest", "E": event_ms, "s": RESERVED_SYMBOL, "id": probe_id})


async def publish(event: bytes, settings: Settings, clock: Clock) -> None:
    """Publish one event on NATS_CONSUMER_SUBJECT, acknowledged where a stream captures it.

    Raises FeedError when NATS is not there within NATS_CONNECT_TIMEOUT or does not take it.
    """
    connection = Connection(settings, "selftest", clock)
    try:
        await connection.open_in_time()
        publisher = FeedPublisher(connection.client, settings.nats_consumer_subject, clock)
        try:
            await publisher.open()
            await publisher.publish(event)
            if not await publisher.drain(DRAIN_S):
                raise FeedError(f"NATS has not acknowledged the event within {DRAIN_S:g} s")
            if publisher.refused:
                raise FeedError(f"the stream that captures {settings.nats_consumer_subject} has no room for the event")
        finally:
            await publisher.close()
    finally:
        await connection.close()

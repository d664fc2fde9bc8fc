"""The feed without the service: the library part of `data-manager feed`."""

from __future__ import annotations

import asyncio
import os
import random
import signal

from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.feed.worker import FeedWorker
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.tree import FEED
from data_manager.system.worker import Context

FORCED = 130


async def publish_until_signalled(settings: Settings) -> None:
    """Run the feed in this process until SIGTERM or SIGINT; a second one ends the process with FORCED at once.

    Waits for NATS and for the exchange for as long as they are away. Raises ConfigError, and FeedError when NATS
    closes the connection for good.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    rng = random.Random(int.from_bytes(os.urandom(8)))  # noqa: S311  ids and jitter, no secrets
    context = Context(
        FEED, 1, None, settings, SystemClock(), rng, Metrics(), lambda message: None, Symbols(settings.supported_pairs)
    )
    await FeedWorker(context, exchange_conf().streams).run(stop)


def _stop(stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(FORCED)
    stop.set()

"""One channel, kept open: its connections follow one another, the next one before the last goes if that can be."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import aiohttp

from data_manager.actors.backfill.conf import Streams
from data_manager.actors.feed.channels import Channel
from data_manager.actors.feed.connection import Connection
from data_manager.system.clock import now_ms
from data_manager.system.errors import ExchangeClosed, ExchangeError
from data_manager.system.logs import log
from data_manager.system.worker import Context

PAUSE_S = (0.2, 30.0)  # first and longest between connections, before jitter; doubled each time
HEALTHY_S = 60.0  # a connection that lasted so long resets the pause
OVERLAP_S = 2.0  # both are heard when one replaces the other: what the old one was about to bring
EARLIER = 0.1  # at most this part of its time a connection is replaced before it must be, so that not all are at once
MAX_REASONS = 5  # why we wait is said once each, and not for ever in turns


class Subscription:
    """Hears a channel of the exchange at `url` from `keep` on, each frame at least once while a connection holds."""

    def __init__(
        self,
        context: Context,
        session: aiohttp.ClientSession,
        url: str,
        channel: Channel,
        streams: Streams,
        hear: Callable[[bytes], None],
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._session = session
        self._url = url + channel.target
        self._channel = channel
        self._streams = streams
        self._hear = hear
        self._current: Connection | None = None
        self._connections: list[Connection] = []
        self._failures = 0
        self._said: set[str] = set()

    @property
    def alive(self) -> bool:
        """Whether events come, as far as we know."""
        return self._current is not None and self._current.alive

    async def keep(self) -> None:
        """Stay connected until cancelled; only what is no fault of the exchange's is raised."""
        try:
            while True:
                new = self._connect()
                if not await new.works():
                    self._wait_for(new.reason())
                else:
                    since = self._clock.monotonic()
                    await self._take_over(new)
                    holds = await new.lasts(self._lifetime_s())
                    lasted_s = self._clock.monotonic() - since
                    if lasted_s >= HEALTHY_S:
                        self._failures = 0
                    if holds:
                        continue  # it goes when the next one works
                    self._log("feed_lost", logging.WARNING, reason=str(new.reason()), after_s=round(lasted_s, 3))
                await asyncio.sleep(self._pause_s(new.reason()))
        finally:
            await asyncio.gather(*(connection.close() for connection in self._connections))

    def _connect(self) -> Connection:
        new = Connection(self._session, self._url, self._streams.silence_seconds, self._hear, self._clock)
        self._connections = [*(one for one in self._connections if not one.done), new]
        return new

    async def _take_over(self, new: Connection) -> None:
        old, self._current = self._current, new
        self._said.clear()
        if old is not None:
            self._context.metrics.inc("data_manager_feed_reconnects_total")
        planned = old is not None and not old.done
        self._log("feed_connected", streams=len(self._channel.names), planned=planned)
        if old is not None and planned:
            await asyncio.sleep(OVERLAP_S)
            await old.close()

    def _lifetime_s(self) -> float:
        longest = self._streams.reconnect_hours * 3600
        return longest * self._context.rng.uniform(1 - EARLIER, 1)

    def _wait_for(self, reason: ExchangeError) -> None:
        text = str(reason)
        if text not in self._said and len(self._said) < MAX_REASONS:
            self._said.add(text)
            self._log("feed_waiting", logging.WARNING, reason=text)

    def _pause_s(self, reason: ExchangeError) -> float:
        """How long nothing is asked of the exchange after this failure: by its own word, if that is longer."""
        pause = pause_s(self._failures, self._context.rng)
        self._failures += 1
        if isinstance(reason, ExchangeClosed):
            return max(pause, (reason.until_ms - now_ms(self._clock)) / 1000)
        return pause

    def _log(self, event: str, level: int = logging.INFO, **fields: object) -> None:
        log(event, level, stream_class=self._channel.stream_class, **fields)


def pause_s(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures before this one: doubled each time, bounded, half of it jitter."""
    first, longest = PAUSE_S
    return min(first * 2.0 ** min(failures, 20), longest) * rng.uniform(0.5, 1.5)

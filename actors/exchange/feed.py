"""The feed: the events that are due, as the messages that a socket client would publish."""

from __future__ import annotations

import random
from typing import NamedTuple

from data_manager.actors.exchange import wire
from data_manager.actors.exchange.schedule import Schedule, event_time
from data_manager.actors.feed.envelope import timestamp


class Due(NamedTuple):
    """One message of the feed: when it happened, its type `e`, and its bytes."""

    event_ms: int
    event_type: str
    payload: bytes


class Feed:
    """The messages of a schedule; `rng` makes nothing but their ids."""

    def __init__(self, schedule: Schedule, rng: random.Random) -> None:
        self._schedule = schedule
        self._rng = rng

    def due(self, start_ms: int, end_ms: int, now_us: int) -> list[Due]:
        """What the schedule has for `start_ms <= E < end_ms`, stamped as sent at `now_us`."""
        stamp = timestamp(now_us)
        return [
            Due(event_time(event), str(event["e"]), wire.envelope(event, stamp, self._rng))
            for event in self._schedule.due(start_ms, end_ms)
        ]

"""What the server knows about FEED and the router's place in it, asked once a second."""

from __future__ import annotations

from collections import deque

import msgspec
from nats.js import JetStreamContext

HEADROOM_WINDOW = 10  # states over which the present rate is taken; one a second


class FeedState(msgspec.Struct, frozen=True):
    """FEED and the router's consumer at one moment; sizes in bytes; a limit that is not set is 0."""

    taken: float  # monotonic seconds
    messages: int
    size: int
    first_seq: int
    last_seq: int
    acked_through: int  # every sequence up to here was acknowledged by the router
    delivered_through: int
    max_messages: int
    max_size: int
    max_age_s: float


async def feed_state(js: JetStreamContext, stream: str, durable: str, now: float) -> FeedState:
    """Ask the server; raises nats-py's errors, NotFoundError when stream or consumer is gone.

    The consumer is asked first: what it has delivered was in FEED when FEED is asked.
    """
    consumer = await js.consumer_info(stream, durable)
    info = await js.stream_info(stream)
    state, limits = info.state, info.config
    return FeedState(
        taken=now,
        messages=state.messages,
        size=state.bytes,
        first_seq=state.first_seq,
        last_seq=state.last_seq,
        acked_through=consumer.ack_floor.stream_seq if consumer.ack_floor else 0,
        delivered_through=consumer.delivered.stream_seq if consumer.delivered else 0,
        max_messages=max(limits.max_msgs or 0, 0),
        max_size=max(limits.max_bytes or 0, 0),
        max_age_s=limits.max_age or 0,
    )


def headroom_s(older: FeedState, newer: FeedState) -> float | None:
    """For how long FEED can go on without the router before it discards something unrouted.

    None where that is unknown: nothing comes in, or FEED has no limit.
    """
    rate = (newer.last_seq - older.last_seq) / max(newer.taken - older.taken, 1e-3)
    if rate <= 0 or newer.messages == 0:
        return None
    waiting = newer.last_seq - newer.acked_through
    message_size = newer.size / newer.messages
    room = [  # in messages, by each limit
        newer.max_messages - waiting if newer.max_messages else None,
        newer.max_size / message_size - waiting if newer.max_size else None,
        newer.max_age_s * rate - waiting if newer.max_age_s else None,
    ]
    rooms = [messages for messages in room if messages is not None]
    return max(0.0, min(rooms) / rate) if rooms else None


class Headroom:
    """The headroom at the rate of the last HEADROOM_WINDOW states."""

    def __init__(self) -> None:
        self._states: deque[FeedState] = deque(maxlen=HEADROOM_WINDOW)

    def after(self, state: FeedState) -> float | None:
        """Take one more state; see `headroom_s`. A stream that begins anew is another stream."""
        if self._states and state.last_seq < self._states[-1].last_seq:
            self._states.clear()
        self._states.append(state)
        return headroom_s(self._states[0], state) if len(self._states) > 1 else None

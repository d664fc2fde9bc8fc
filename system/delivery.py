"""A delivered message, and the buffer in which deliveries wait to be taken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as a source hands it out.

    `sequence` is the stream's, or start time plus counter in core mode; `received_us` is when the server
    stored it, or when this process got it in core mode (microseconds UTC). `reply` is where it is
    acknowledged, empty in core mode; `trace` is a W3C traceparent.
    """

    payload: bytes
    sequence: int
    received_us: int
    redelivered: bool = False
    reply: str = ""
    trace: str | None = None


def parse_reply(reply: str) -> tuple[int, int, bool, int]:
    """What an acknowledgement subject tells: sequence, receive time in us, redelivered, messages waiting.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<ns>.<pending>`, or the form with
    domain and account hash before the stream and perhaps a random token at the end. Raises ValueError for
    anything else.
    """
    tokens = reply.split(".")
    if len(tokens) == 9:
        delivered, sequence, stored_ns, pending = tokens[4], tokens[5], tokens[7], tokens[8]
    elif len(tokens) >= 11:
        delivered, sequence, stored_ns, pending = tokens[6], tokens[7], tokens[9], tokens[10]
    else:
        raise ValueError(f"{reply!r} is not the acknowledgement subject of a JetStream message")
    return int(sequence), int(stored_ns) // 1000, delivered != "1", int(pending)


class Buffer:
    """Deliveries between one subscription's callback and one taker.

    It ends once: with `end()`, when nothing more will come, or with `fail(error)`. What is in it is handed
    out first.
    """

    def __init__(self) -> None:
        self._deliveries: deque[Delivery] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._error: Exception | None = None

    def __len__(self) -> int:
        return len(self._deliveries)

    @property
    def size(self) -> int:
        """Bytes of all payloads in it."""
        return self._bytes

    @property
    def error(self) -> Exception | None:
        """Why the buffer failed."""
        return self._error

    def put(self, delivery: Delivery) -> None:
        """Add one; the caller keeps the bound."""
        self._deliveries.append(delivery)
        self._bytes += len(delivery.payload)
        self._wake.set()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._wake.set()

    def fail(self, error: Exception) -> None:
        """Nothing more will come; the taker meets the first such error after what is left."""
        self._error = self._error or error
        self._wake.set()

    async def batch(self, max_messages: int, max_bytes: int, linger_s: float) -> Sequence[Delivery]:
        """Wait for the first, gather for `linger_s` if there are few, and take what fits; at least one.

        Empty only after `end()`; raises the error of `fail()`; both when nothing is left.
        """
        while not self._deliveries:
            if self._ended:
                return ()
            if self._error:
                raise self._error
            self._wake.clear()
            await self._wake.wait()
        if linger_s and not self._ended and len(self) < max_messages and self._bytes < max_bytes:
            await asyncio.sleep(linger_s)
        return self._take(max_messages, max_bytes)

    def _take(self, max_messages: int, max_bytes: int) -> list[Delivery]:
        waiting = self._deliveries
        taken: list[Delivery] = []
        room = max_bytes
        while waiting and len(taken) < max_messages and (not taken or len(waiting[0].payload) <= room):
            taken.append(waiting.popleft())
            room -= len(taken[-1].payload)
        self._bytes -= max_bytes - room
        return taken

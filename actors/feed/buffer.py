"""What waits between the exchange, which waits for nobody, and NATS, which may be away."""

from __future__ import annotations

import asyncio
from collections import deque


class Buffer:
    """Messages in order, for one consumer; at most `max_bytes` of them, so what then comes has no room."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    def put(self, message: bytes) -> bool:
        """Add a message; False, and nothing is added, when it has no room."""
        if self._bytes + len(message) > self._max_bytes:
            return False
        self._messages.append(message)
        self._bytes += len(message)
        self._filled.set()
        self._emptied.clear()
        return True

    async def first(self) -> bytes:
        """The oldest message, which stays until `drop_first`; waits for one."""
        await self._filled.wait()
        return self._messages[0]

    def drop_first(self) -> None:
        """The oldest message is done with."""
        self._bytes -= len(self._messages.popleft())
        if not self._messages:
            self._filled.clear()
            self._emptied.set()

    async def emptied(self) -> None:
        """Wait until every message is done with."""
        await self._emptied.wait()

    def __len__(self) -> int:
        return len(self._messages)

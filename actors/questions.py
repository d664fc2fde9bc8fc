"""Questions that messages carry away and, some time later, answer: which are still waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Generic, TypeVar

from data_manager.system.errors import FeedError

A = TypeVar("A")


class Questions(Generic[A]):
    """At most `most` under way at a time; each is waited for `patience_s` and no longer."""

    def __init__(self, rng: Random, *, most: int, patience_s: float, refusal: str) -> None:
        self._rng = rng
        self._refusal = refusal
        self._most = most
        self._patience_s = patience_s
        self._open: dict[str, asyncio.Future[A]] = {}

    async def ask(self, send: Callable[[str], None]) -> A:
        """Have the question sent under an id of its own, and return its answer.

        Raises FeedError, with the refusal, where too many are under way, TimeoutError where no answer comes in time.
        """
        if len(self._open) >= self._most:
            raise FeedError(self._refusal)
        request_id = f"{self._rng.getrandbits(64):016x}"
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._open[request_id] = answer
        try:
            send(request_id)
            async with asyncio.timeout(self._patience_s):
                return await answer
        finally:
            del self._open[request_id]

    def answered(self, request_id: str, answer: A) -> None:
        """An answer; one that comes too late, or again, is dropped."""
        waiting = self._open.get(request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

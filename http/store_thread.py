"""A store on a thread of its own, for calls that may take long: bounded in number and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from data_manager.system.errors import StoreError, StoreUnavailable

MAX_WAITING = 64  # callers at a time; one more is refused at once
ANSWER_S = 6.0  # a little over the stores' own time-out of 5 s
CLOSE_S = 1.0


class Closable(Protocol):
    """What any store offers, whatever it stores."""

    def check(self) -> None:
        """Return when the store works now; raise StoreError otherwise."""
        ...

    def close(self) -> None:
        """Release files and connections; harmless when repeated."""
        ...


S = TypeVar("S", bound=Closable)
T = TypeVar("T")


class StoreThread(Generic[S]):
    """Runs calls one after the other; the first one opens the store, or the next if that failed."""

    def __init__(self, name: str, open_store: Callable[[], S]) -> None:
        self.name = name
        self._open = open_store
        self._store: S | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._turn = asyncio.Lock()  # held until the thread is done, even when the caller has given up
        self._waiting = 0

    async def call(self, work: Callable[[S], T]) -> T:
        """The result of `work(store)`.

        Raises what the store raises (StoreError), and StoreUnavailable when there is no answer within
        ANSWER_S or MAX_WAITING callers wait already.
        """
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailable(f"the {self.name} is busy: {MAX_WAITING} calls wait for it")
        self._waiting += 1
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._turn.acquire()
                running = asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)
                running.add_done_callback(self._done)
                return await asyncio.shield(running)
        except TimeoutError:
            raise StoreUnavailable(f"the {self.name} did not answer within {ANSWER_S:g} s") from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Close the store if it was opened; one that hangs is left behind, for the process ends anyway."""
        if self._store is not None:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.call(lambda store: store.close())
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _run(self, work: Callable[[S], T]) -> T:
        if self._store is None:
            self._store = self._open()
        return work(self._store)

    def _done(self, running: asyncio.Future[T]) -> None:
        self._turn.release()
        if not running.cancelled():
            running.exception()  # looked at, so that an abandoned call's error is not reported as forgotten

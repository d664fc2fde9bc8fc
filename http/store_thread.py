"""Ways to a store from the event loop: on threads, bounded in number and in time, or right here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Generic, Protocol, TypeVar

from data_manager.system.circuit import Circuit
from data_manager.system.errors import StoreError, StoreUnavailable

MAX_WAITING = 64  # callers at a time; one more is refused at once
ANSWER_S = 6.0  # a little over the stores' own time-out of 5 s
CLOSE_S = 1.0


class Crowded(StoreUnavailable):
    """Too many callers wait for the store, which itself was not asked."""


class Closable(Protocol):
    """What any store offers, whatever it stores."""

    def check(self) -> None:
        """Return when the store works now; raise StoreError otherwise."""
        ...

    def close(self) -> None:
        """Release files and connections; harmless when repeated."""
        ...


S = TypeVar("S", bound=Closable)
S_co = TypeVar("S_co", bound=Closable, covariant=True)
T = TypeVar("T")


class Access(Protocol[S_co]):
    """A way to a store."""

    async def call(self, work: Callable[[S_co], T]) -> T:
        """The result of `work(store)`; raises what the store raises (StoreError)."""
        ...

    async def close(self) -> None:
        """Close the store."""
        ...


class Inline(Generic[S]):
    """Calls on the event loop itself: for SQLite, where a page costs a third of a hop to a thread."""

    def __init__(self, store: S) -> None:
        self._store = store

    async def call(self, work: Callable[[S], T]) -> T:
        """See Access."""
        return work(self._store)

    async def close(self) -> None:
        """See Access."""
        self._store.close()


class StoreThread(Generic[S]):
    """Runs calls one after the other; the first one opens the store, or the next if that failed.

    With more `threads` as many calls run at a time, on a store that several threads may use at once. A call may take
    `answer_s` seconds, waiting included. While `circuit` is open every call is refused at once.
    """

    def __init__(
        self,
        name: str,
        open_store: Callable[[], S],
        *,
        threads: int = 1,
        answer_s: float | None = None,
        circuit: Circuit | None = None,
    ) -> None:
        self.name = name
        self._open = open_store
        self._opening = threading.Lock()
        self._store: S | None = None
        self._thread = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._turns = asyncio.Semaphore(threads)  # held until a thread is done, even when the caller has given up
        self._answer_s = ANSWER_S if answer_s is None else answer_s
        self._circuit = circuit
        self._waiting = 0

    async def call(self, work: Callable[[S], T]) -> T:
        """The result of `work(store)`.

        Raises what the store raises (StoreError), and StoreUnavailable when there is no answer in time, the circuit
        is open or MAX_WAITING callers wait already.
        """
        if self._circuit is None:
            return await self._answer(work)
        attempt = self._circuit.begin()
        try:
            result = await self._answer(work)
        except StoreUnavailable as error:
            if isinstance(error, Crowded):
                attempt.abandoned()
            else:
                attempt.failed(str(error))
            raise
        except StoreError:
            attempt.answered()
            raise
        except BaseException:
            attempt.abandoned()
            raise
        attempt.answered()
        return result

    async def close(self) -> None:
        """Close the store if it was opened; one that hangs is left behind, for the process ends anyway."""
        if self._store is not None:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.call(lambda store: store.close())
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, work: Callable[[S], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Crowded(f"the {self.name} is busy: {MAX_WAITING} calls wait for it")
        self._waiting += 1
        asked = False
        try:
            async with asyncio.timeout(self._answer_s):
                await self._turns.acquire()
                asked = True
                running = asyncio.get_running_loop().run_in_executor(self._thread, copy_context().run, self._run, work)
                running.add_done_callback(self._done)
                return await asyncio.shield(running)
        except TimeoutError:
            kind = StoreUnavailable if asked else Crowded
            raise kind(f"the {self.name} did not answer within {self._answer_s:g} s") from None
        finally:
            self._waiting -= 1

    def _run(self, work: Callable[[S], T]) -> T:
        with self._opening:
            if self._store is None:
                self._store = self._open()
        return work(self._store)

    def _done(self, running: asyncio.Future[T]) -> None:
        self._turns.release()
        if not running.cancelled():
            running.exception()  # looked at, so that an abandoned call's error is not reported as forgotten

"""Actors whose work is asyncio: one event loop on one thread beside the actor's own.

Thespian may be used from the actor's thread only, and it lends that thread out for the length of one handler. So
the loop posts into a bounded deque and writes one byte to a socketpair, which Thespian watches for the actor
(80 µs from loop to actor); the actor reaches the loop by `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from contextlib import suppress
from typing import Any

from thespian.actors import ThespianWatch

from data_manager.system.actor import BaseActor
from data_manager.system.errors import DataManagerError
from data_manager.system.messages import Init, Message
from data_manager.system.telemetry.beginning import NO_TELEMETRY, Telemetry, begin_telemetry
from data_manager.system.worker import Context, Status, Worker

TICK_S = 0.25  # how often the loop proves that it turns
OUTBOX_MAX = 10_000  # messages waiting for the actor's thread; more means that thread is stuck


class WorkerEndedError(DataManagerError):
    """A worker returned although nobody had asked it to stop."""


class AsyncActor(BaseActor):
    """Hosts a Worker; subclasses say which in `make_worker`."""

    _telemetry: Telemetry = NO_TELEMETRY  # until `begin`

    def make_worker(self, context: Context) -> Worker:
        """Build the worker; called on the actor's thread, before the loop starts."""
        raise NotImplementedError

    def begin(self, init: Init) -> None:
        """Start the loop's thread."""
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._posts: deque[Message | BaseException | None] = deque()
        self._armed = False
        self._draining = False
        self._telemetry = begin_telemetry(self.settings, self.name, self.generation, self.metrics, self.clock)
        self._worker = self.make_worker(
            Context(
                name=self.name,
                generation=self.generation,
                symbol=self.symbol,
                settings=self.settings,
                clock=self.clock,
                rng=self.rng,
                metrics=self.metrics,
                send=self._send,
                symbols=self.symbols,
                token=init.token,
                telemetry=self._telemetry,
            )
        )
        self._ticked = self.clock.monotonic()  # from here: what the worker imports may take seconds
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        threading.Thread(target=self._run_loop, name="loop", daemon=True).start()

    def crash(self, error: BaseException) -> None:
        """See BaseActor; meanwhile what was logged of it is exported, if that is quick."""
        super().crash(error)
        threading.Thread(target=self._telemetry.close, name="telemetry-last", daemon=True).start()

    def drain(self) -> None:
        """Ask the worker to finish; `drained` follows when it has."""
        if not self._draining:
            self._draining = True
            self._loop.call_soon_threadsafe(self._stop.set)

    def on_message(self, message: Message) -> None:
        """Pass it to the worker, on the loop."""
        self._loop.call_soon_threadsafe(self._receive, message)

    def on_symbols(self, symbols: tuple[str, ...]) -> None:
        """Change them on the loop."""
        self._loop.call_soon_threadsafe(self._follow, symbols)

    def status(self) -> Status:
        """The worker's own word."""
        return self._worker.status()

    def stalled_s(self) -> float:
        """The age of the loop's last tick or of the unit of work in hand, whichever is older."""
        now = self.clock.monotonic()
        busy_since = self._worker.busy_since()
        return max(now - self._ticked, now - busy_since if busy_since is not None else 0.0)

    def watch(self) -> Any:
        """A watch holds for one return of receiveMessage only, so each of them gives it again."""
        return ThespianWatch([self._reader.fileno()]) if hasattr(self, "_reader") else None

    def _send(self, message: Message) -> None:
        """From any thread: a worker's message to the supervisor."""
        if len(self._posts) >= OUTBOX_MAX:
            raise RuntimeError(f"{self.name}: {OUTBOX_MAX} messages wait for the actor's thread")
        self._post(message)

    def _post(self, item: Message | BaseException | None) -> None:
        """From any thread: hand an item to the actor's thread. None: the worker has finished."""
        self._posts.append(item)
        if not self._armed:
            self._armed = True
            with suppress(BlockingIOError):  # unread bytes are in the buffer: a wake-up is on its way
                self._writer.send(b"x")

    def on_watch(self) -> None:
        """Take what the loop has posted."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)
        self._armed = False  # before the deque is emptied: a post from now on wakes us again
        while self._posts:
            item = self._posts.popleft()
            if item is None:
                self.drained()
            elif isinstance(item, BaseException):
                self.crash(item)
            else:
                self.tell(item)

    def _receive(self, message: Message) -> None:
        try:
            self._worker.receive(message)
        except Exception as error:  # noqa: BLE001  asyncio would log it and go on as if nothing had been
            self._post(error)

    def _follow(self, symbols: tuple[str, ...]) -> None:
        try:
            self.symbols.become(symbols)
        except Exception as error:  # noqa: BLE001  as in _receive: who is told may fail
            self._post(error)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())

    async def _main(self) -> None:
        ticker = asyncio.create_task(self._tick())
        try:
            await self._worker.run(self._stop)
            if not self._stop.is_set():
                raise WorkerEndedError(f"{self.name}'s work ended by itself")
        except Exception as error:  # noqa: BLE001  the loop's boundary: the actor's thread reports and crashes
            self._post(error)
            return
        finally:
            ticker.cancel()
        self._telemetry.close()  # the loop has no more to do; and what it holds up is bounded
        self._post(None)

    async def _tick(self) -> None:
        while True:
            self._ticked = self.clock.monotonic()
            await asyncio.sleep(TICK_S)

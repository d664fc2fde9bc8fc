"""Actors for tests of the tree: they work at nothing, and die in every way an actor can."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from pathlib import Path

from data_manager.system.aio import AsyncActor
from data_manager.system.messages import Message
from data_manager.system.worker import Context, Status


class Obedient:
    """A worker that looks into `<data_dir>/<name with dashes>.order` and does what it says, once."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.order = Path(context.settings.data_dir) / f"{context.name.replace('/', '-')}.order"
        self._busy: float | None = None
        self.noted = self.order.with_suffix(".symbols")
        context.symbols.on_change(self.note_symbols)
        self.note_symbols()

    def note_symbols(self) -> None:
        """Leave the symbols that it knows for the test to see, with its generation."""
        draft = self.noted.with_suffix(".draft")
        draft.write_text(" ".join([str(self.context.generation), *self.context.symbols.now]))
        draft.rename(self.noted)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if self.order.exists():
                order = self.order.read_text()
                self.order.unlink()
                self.obey(order)
            self.context.metrics.inc("data_manager_published_total", event_type="turns")
            await asyncio.sleep(0.02)

    def obey(self, order: str) -> None:
        if order == "segfault":
            ctypes.string_at(0)
        elif order == "exit":
            os._exit(3)
        elif order == "raise":
            raise RuntimeError("told to")
        elif order == "spin":
            while True:
                pass
        elif order == "hold":
            self._busy = time.monotonic()
        elif order == "memory":
            self.hoard = bytearray(2**30)

    def status(self) -> Status:
        return Status("running")

    def busy_since(self) -> float | None:
        return self._busy

    def receive(self, message: Message) -> None:
        raise AssertionError(f"nobody writes to {self.context.name}, but {message} came")


class Dummy(AsyncActor):
    def make_worker(self, context: Context) -> Obedient:
        return Obedient(context)


class Listening(Obedient):
    """Writes down what it hears, one message a line."""

    def receive(self, message: Message) -> None:
        with self.order.with_suffix(".heard").open("a") as heard:
            heard.write(f"{message}\n")


class Listener(AsyncActor):
    def make_worker(self, context: Context) -> Listening:
        return Listening(context)

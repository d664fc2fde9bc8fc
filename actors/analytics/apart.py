"""The models in a process of their own, which is there only while somebody uses it.

What they are made of takes seconds and well over 100 MiB to import (models.py). An actor that imported it would
hold that all day for the two seconds in fifteen minutes in which it computes with it.

The two ends speak through pipes: a frame is its length in eight bytes, and a msgpack body. The process ends when
its input does, or with the thread that started it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import IO

import msgspec
import numpy as np

from data_manager.actors.analytics.bars import Floats
from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.analytics.models import MODELS, Model, Scores, load
from data_manager.system import hardening
from data_manager.system.errors import ProcessDied
from data_manager.system.logs import log

IDLE_S = 30.0  # without a user, after which it ends
END_S = 2.0  # from the end of its pipes to its own
LENGTH = 8  # bytes
MAX_FRAME = 1 << 28  # bytes; a year of hours is 1 MiB


class Asked(msgspec.Struct, frozen=True):
    """Rows of float64, one after the other, for one of MODELS."""

    model: str
    columns: int
    training: bytes
    judged: bytes


class Answered(msgspec.Struct, frozen=True):
    """Its scores, as float64."""

    training: bytes = b""
    judged: bytes = b""


class ModelsApart:
    """MODELS, computed elsewhere. The calculator's threads wait for it, one call at a time."""

    def __init__(self, calculator: Calculator, idle_s: float = IDLE_S) -> None:
        self._calculator = calculator
        self._idle_s = idle_s
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._hands = threading.Lock()  # on these two: who gave up waiting for a start may end what it has started
        self._turn = asyncio.Lock()  # to start or end it
        self._users = 0
        self._ending: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[Mapping[str, Model]]:
        """The models, for the calculator to call; each raises ProcessDied where their process is gone."""
        self._users += 1
        try:
            async with self._turn:
                if self._process is None or self._process.poll() is not None:
                    await self._calculator.load(self._start)
            yield {name: partial(self._score, name) for name in MODELS}
        finally:
            self._users -= 1
            if self._users == 0:
                self._end_after(self._idle_s)

    @property
    def pid(self) -> int | None:
        """Of the process; None without one."""
        return None if self._process is None else self._process.pid

    async def close(self) -> None:
        """End the process, if there is one, and start none any more."""
        self._closed = True
        if self._ending is not None:
            self._ending.cancel()
        self._end()

    # -- on the calculator's threads ----------------------------------------------------------------------

    def _start(self) -> None:
        """Start one, and wait until it has imported what it needs."""
        self._end()
        command = [sys.executable, "-m", __name__]
        with self._hands:
            if self._closed:
                raise self._died()
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._hear()
        log("models_loaded", pid=self.pid)

    def _score(self, name: str, training: Floats, judged: Floats) -> Scores:
        asked = Asked(name, training.shape[1], training.tobytes(), judged.tobytes())
        process = self._running()
        assert process.stdin is not None
        try:
            send(process.stdin, msgspec.msgpack.encode(asked))
        except BrokenPipeError:
            raise self._died() from None
        answer = msgspec.msgpack.decode(self._hear(), type=Answered)
        return Scores(np.frombuffer(answer.training), np.frombuffer(answer.judged))

    def _hear(self) -> bytes:
        process = self._running()
        assert process.stdout is not None
        frame = receive(process.stdout)
        if frame is None:
            raise self._died()
        return frame

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise self._died()
        return self._process

    def _died(self) -> ProcessDied:
        """Its pipes are closed, so its end has come or is near."""
        status = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(END_S)
        return ProcessDied(f"The models' process ended (exit status {status}) before it had answered.")

    # -- its end ------------------------------------------------------------------------------------------

    def _end_after(self, seconds: float) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.create_task(self._end_if_unused(seconds))

    async def _end_if_unused(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._turn:
            if self._users == 0:
                self._end()

    def _end(self) -> None:
        """It keeps nothing, so it is killed."""
        with self._hands:
            process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # of what it had not read
                pipe.close()


def send(pipe: IO[bytes], body: bytes) -> None:
    """One frame."""
    pipe.write(len(body).to_bytes(LENGTH) + body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """The next frame; None at the end, or where a frame is cut off or no frame of ours."""
    length = int.from_bytes(pipe.read(LENGTH))
    if not 0 < length <= MAX_FRAME:
        return None
    body = pipe.read(length)
    return body if len(body) == length else None


def serve(asks: IO[bytes], answers: IO[bytes]) -> None:
    """Import, say so, and answer one frame after the other until the end of the input."""
    load()
    send(answers, msgspec.msgpack.encode(Answered()))
    while (frame := receive(asks)) is not None:
        asked = msgspec.msgpack.decode(frame, type=Asked)
        training, judged = (np.frombuffer(rows).reshape(-1, asked.columns) for rows in (asked.training, asked.judged))
        scores = MODELS[asked.model](training, judged)
        send(answers, msgspec.msgpack.encode(Answered(scores.training.tobytes(), scores.judged.tobytes())))


if __name__ == "__main__":
    hardening.die_with_parent()
    serve(sys.stdin.buffer, sys.stdout.buffer)

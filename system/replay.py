"""Replaying a recording of the feed: the library part of `data-manager replay`.

A recording is NDJSON, one message of the feed a line, plain or gzip-compressed (`.gz`). Lines are published
as the bytes they are, without the newline; blank lines are skipped.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import zlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import msgspec
import orjson

from data_manager.system.clock import Clock
from data_manager.system.connection import Connection
from data_manager.system.errors import ConfigError, DataError, FeedError
from data_manager.system.publisher import FeedPublisher
from data_manager.system.settings import Settings

MAX_LINE_BYTES = 2**20  # what NATS takes in one message unless told otherwise
MAX_PAUSE_S = 3600.0  # one event with a time far in the future must not end the replay
DRAIN_S = 30.0  # for the last acknowledgements
PROGRESS_EVERY = 100  # events


class Line(msgspec.Struct, frozen=True):
    """One message of a recording: its line's number (from 1), its bytes, and its event time if it has one."""

    number: int
    raw: bytes
    event_ms: int | None


class Replayed(msgspec.Struct, frozen=True):
    """Events published, whether a stream captured them (else maybe nobody listened), and the time it took."""

    published: int
    captured: bool
    seconds: float


class Pace(Protocol):
    """When the events of a replay are due."""

    def due_s(self, line: Line) -> float:
        """Seconds after the first event; asked once per event, in order."""
        ...


class ByRate:
    """So many events a second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._events = 0

    def due_s(self, line: Line) -> float:
        """Evenly spaced."""
        due_s = self._events / self._rate
        self._events += 1
        return due_s


class ByEventTime:
    """As the events happened, `speed` times as fast. What has no event time goes with the event before it."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first_ms: int | None = None

    def due_s(self, line: Line) -> float:
        """At its distance from the first event time; what is out of order is due at once."""
        if line.event_ms is None:
            return 0.0
        if self._first_ms is None:
            self._first_ms = line.event_ms
        return (line.event_ms - self._first_ms) / 1000 / self._speed


class AtOnce:
    """As fast as NATS takes them."""

    def due_s(self, line: Line) -> float:
        """Now."""
        return 0.0


def pace_of(rate: float | None, speed: float | None) -> Pace:
    """The pace the options ask for; raises ConfigError when both are given, or one is not positive."""
    if rate is not None and speed is not None:
        raise ConfigError("--rate and --speed exclude each other: give one of them")
    for name, value in (("--rate", rate), ("--speed", speed)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"{name} must be a number above 0, not {value:g}")
    if rate is not None:
        return ByRate(rate)
    return AtOnce() if speed is None else ByEventTime(speed)


async def replay(
    path: Path,
    settings: Settings,
    clock: Clock,
    *,
    rate: float | None = None,
    speed: float | None = None,
    progress: Callable[[int, float | None], None] = lambda events, share: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Replayed:
    """Publish the recording on NATS_CONSUMER_SUBJECT.

    `rate` paces by events a second, `speed` by event time with the first event due now; with neither, events
    go as fast as NATS takes them. `progress` hears now and then, and at the end, how many were handed over, and which
    part of the file that is (see `part_read`).

    Raises ConfigError for options that do not fit and a file that cannot be read, DataError (naming the line)
    for a file that is no NDJSON, and FeedError when NATS is not there within NATS_CONNECT_TIMEOUT or does not
    take the events. The lines before the one at fault have been published.
    """
    pace = pace_of(rate, speed)
    with open_recording(path) as file:
        connection = Connection(settings, "replay", clock)
        try:
            await connection.open_in_time()
            publisher = FeedPublisher(connection.client, settings.nats_consumer_subject, clock)
            began = clock.monotonic()
            try:
                await publisher.open()
                tell = partial(_tell, progress, file)
                await _publish_all(read_lines(file, path), publisher, pace, clock, tell, sleep)
                await _drain(publisher)
            finally:
                await publisher.close()
        finally:
            await connection.close()
    return Replayed(publisher.published, publisher.captured, clock.monotonic() - began)


def open_recording(path: Path) -> BinaryIO:
    """The file, unpacked if its name ends in `.gz`; raises ConfigError when it cannot be opened."""
    try:
        return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise ConfigError(f"the recording {path} cannot be read: {error.strerror or error}") from error


def part_read(file: BinaryIO) -> float | None:
    """Which part of a recording is read, by its bytes on the disk; None where those say nothing, as of a pipe."""
    on_disk = file.fileobj if isinstance(file, gzip.GzipFile) else file
    size = os.fstat(on_disk.fileno()).st_size
    return min(on_disk.tell() / size, 1.0) if size else None


def read_lines(file: BinaryIO, path: Path) -> Iterator[Line]:
    """The messages of a recording called `path`, one line in memory at a time.

    Raises DataError for a line that is longer than MAX_LINE_BYTES or neither a JSON object nor an array, and
    for a damaged file.
    """
    number = 0
    while raw := _next_line(file, path, number):
        number += 1
        if len(raw.rstrip(b"\r\n")) > MAX_LINE_BYTES:
            raise DataError("too_long", f"line {number} of {path} is longer than {MAX_LINE_BYTES} bytes")
        if raw.strip():
            raw = raw.rstrip(b"\r\n")
            yield Line(number, raw, _event_ms(raw, number, path))


def _next_line(file: BinaryIO, path: Path, number: int) -> bytes:
    try:
        return file.readline(MAX_LINE_BYTES + 2)  # room for the newline, so that one byte too many shows
    except (OSError, EOFError, zlib.error) as error:
        raise DataError("damaged", f"{path} is damaged after line {number}: {error}") from error


def _event_ms(raw: bytes, number: int, path: Path) -> int | None:
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise DataError("not_json", f"line {number} of {path} is not JSON: {error}") from error
    if not isinstance(message, dict | list):
        raise DataError("not_json", f"line {number} of {path} is neither a JSON object nor an array")
    event = message.get("data", message) if isinstance(message, dict) else message
    event = next(iter(event), None) if isinstance(event, list) else event
    if not isinstance(event, dict):
        return None
    return next((ms for key in ("E", "T") if isinstance(ms := event.get(key), int) and ms > 0), None)


def _tell(progress: Callable[[int, float | None], None], file: BinaryIO, events: int) -> None:
    progress(events, part_read(file))


async def _publish_all(
    lines: Iterator[Line],
    publisher: FeedPublisher,
    pace: Pace,
    clock: Clock,
    progress: Callable[[int], None],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    began, handed = clock.monotonic(), 0
    try:
        for line in lines:
            pause = began + pace.due_s(line) - clock.monotonic()
            if pause > 0:
                await sleep(min(pause, MAX_PAUSE_S))
            await _publish(line, publisher)
            handed += 1
            if handed % PROGRESS_EVERY == 0:
                progress(handed)
    except DataError:
        await publisher.drain(DRAIN_S)
        raise
    progress(handed)


async def _publish(line: Line, publisher: FeedPublisher) -> None:
    try:
        await publisher.publish(line.raw)
    except FeedError as error:
        raise FeedError(f"the replay ended at line {line.number}: {error}") from error


async def _drain(publisher: FeedPublisher) -> None:
    if not await publisher.drain(DRAIN_S):
        raise FeedError(f"NATS has acknowledged {publisher.published} events; the rest had no answer in {DRAIN_S:g} s")
    if publisher.refused:
        raise FeedError(f"the stream had no room for {publisher.refused} of the events")

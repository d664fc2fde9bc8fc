"""Work that comes round: on an absolute schedule, and with back-off while a store is away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from data_manager.storage.records import Symbol
from data_manager.system.clock import Clock
from data_manager.system.errors import StoreError, StoreUnavailable
from data_manager.system.logs import log

FIRST_S = 10.0  # the first round begins within this time, so that a start is not slowed by all of them at once
JITTER = 0.1  # of the interval: so much later, at most, does a round begin
RETRY_FIRST_S = 5.0
RETRY_MAX_S = 60.0


class Chore(NamedTuple):
    """Something to do every `every_s` seconds. A StoreError means: not now, but soon again."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[None]]


async def keep(chore: Chore, clock: Clock, rng: random.Random) -> None:
    """Do it until cancelled; a round that takes longer than the interval leaves out those it missed."""
    start = clock.monotonic() + rng.uniform(0, FIRST_S)
    due, failures = start, 0
    while True:
        await asyncio.sleep(max(0.0, due - clock.monotonic()))
        try:
            await chore.work()
        except StoreError as error:
            if not failures:
                log("housekeeping_failed", logging.WARNING, chore=chore.name, cause=str(error))
            failures += 1
            due = clock.monotonic() + retry_s(failures, rng)
        else:
            if failures:
                log("housekeeping_works_again", chore=chore.name, failures=failures)
            failures = 0
            due = next_slot(start, chore.every_s, clock.monotonic()) + rng.uniform(0, JITTER * chore.every_s)


def next_slot(start: float, every_s: float, now: float) -> float:
    """The first time after `now` that is a whole number of intervals after `start`."""
    return start + (max(0.0, now - start) // every_s + 1) * every_s


def retry_s(failures: int, rng: random.Random) -> float:
    """How long to wait after so many failures in a row, 1 or more."""
    longest = min(RETRY_MAX_S, RETRY_FIRST_S * 2.0 ** min(failures - 1, 10))
    return longest * rng.uniform(0.5, 1.0)


async def for_each(symbols: Iterable[Symbol], work: Callable[[Symbol], Awaitable[None]]) -> StoreError | None:
    """Do it for one symbol after the other; returns what kept it from being done for one of them.

    A damaged file concerns its own symbol only. Raises StoreUnavailable, which concerns them all.
    """
    refused: StoreError | None = None
    for symbol in symbols:
        try:
            await work(symbol)
        except StoreUnavailable:
            raise
        except StoreError as error:
            refused = refused or error
    return refused


@asynccontextmanager
async def rested(clock: Clock) -> AsyncIterator[None]:
    """Wait afterwards for as long as the block took.

    SQLite has one writer at a time: one that deletes without a rest takes ingest's p99 from 1 ms to 1 s.
    """
    began = clock.monotonic()
    yield
    await asyncio.sleep(clock.monotonic() - began)

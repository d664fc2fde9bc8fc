"""Chores come round in their time, back off when a store is away, and leave writers half of the time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.housekeeping import chores
from data_manager.actors.housekeeping.chores import RETRY_MAX_S, Chore, for_each, keep, next_slot, rested, retry_s
from data_manager.storage.records import Symbol
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreCorrupt, StoreError, StoreUnavailable
from tests.actors.housekeeping.stores import captured
from tests.eventually import eventually

SYMBOLS = [Symbol(name) for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT")]
seconds = st.floats(0.1, 1e6)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_S", "RETRY_FIRST_S", "RETRY_MAX_S"):
        monkeypatch.setattr(chores, name, 0.001)


async def kept_until(work: Callable[[], Awaitable[None]], done: Callable[[], bool], every_s: float = 0.001) -> None:
    running = asyncio.create_task(keep(Chore("test", every_s, work), SystemClock(), random.Random(1)))
    await eventually(lambda: done() or running.done())
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert done(), running


def test_a_chore_comes_round() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1

    asyncio.run(kept_until(work, lambda: rounds >= 3))


def test_a_store_that_is_away_is_tried_again_soon_and_logged_once() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 4:
            raise StoreUnavailable("away")

    with captured() as lines:
        asyncio.run(kept_until(work, lambda: rounds >= 4, every_s=3600))
    told = [(line["event"], line["chore"]) for line in lines]
    assert told == [("housekeeping_failed", "test"), ("housekeeping_works_again", "test")]


def test_every_failure_after_a_success_is_logged_anew() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds % 2:
            raise StoreUnavailable("away")

    with captured() as lines:
        asyncio.run(kept_until(work, lambda: rounds >= 4))
    told = [line["event"] for line in lines[:4]]
    assert told == ["housekeeping_failed", "housekeeping_works_again"] * 2


def test_any_other_error_ends_it() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(keep(Chore("test", 1, work), SystemClock(), random.Random(1)))


@settings(derandomize=True, deadline=None)
@given(seconds, seconds, st.floats(0, 1e6))
def test_a_slot_is_a_whole_number_of_intervals_after_the_start(start: float, every_s: float, passed: float) -> None:
    slot = next_slot(start, every_s, start + passed)
    assert slot > start + passed - 1e-6
    assert slot <= start + passed + every_s + 1e-6
    assert (slot - start) / every_s == pytest.approx(round((slot - start) / every_s))


def test_slots_that_were_missed_are_left_out() -> None:
    assert next_slot(100, 10, 100) == 110
    assert next_slot(100, 10, 109) == 110
    assert next_slot(100, 10, 110) == 120
    assert next_slot(100, 10, 147) == 150


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 10_000), st.randoms(use_true_random=False))
def test_a_retry_waits_a_bounded_time(failures: int, rng: random.Random) -> None:
    assert 0 < retry_s(failures, rng) <= RETRY_MAX_S


def test_retries_come_more_and_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "RETRY_FIRST_S", 5)
    monkeypatch.setattr(chores, "RETRY_MAX_S", 60)

    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    assert [retry_s(failures, Longest()) for failures in (1, 2, 3, 4, 5, 6)] == [5, 10, 20, 40, 60, 60]


def test_what_is_wrong_with_one_symbol_does_not_keep_the_others() -> None:
    done: list[Symbol] = []

    async def work(symbol: Symbol) -> None:
        if symbol == "ETHUSDT":
            raise StoreCorrupt("damaged")
        done.append(symbol)

    refused: StoreError | None = asyncio.run(for_each(SYMBOLS, work))
    assert done == ["BTCUSDT", "SOLUSDT"]
    assert isinstance(refused, StoreCorrupt)


def test_a_store_that_is_away_is_away_for_all() -> None:
    done: list[Symbol] = []

    async def work(symbol: Symbol) -> None:
        done.append(symbol)
        raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        asyncio.run(for_each(SYMBOLS, work))
    assert done == ["BTCUSDT"]


class Steps:
    """A clock that goes on by so much with every look, and the sleeps that are asked for."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step
        self.slept: list[float] = []

    def now_us(self) -> int:
        raise AssertionError("how long it takes is not told by the wall clock")

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_the_rest_is_as_long_as_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Steps(3.0)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)

    async def work() -> None:
        async with rested(clock):
            pass

    asyncio.run(work())
    assert clock.slept == [3.0]

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies

from data_manager.actors.backfill.budget import (
    BANNED,
    DEFAULT_BANNED_S,
    DEFAULT_CLOSED_S,
    MAX_CLOSED_S,
    TOO_MANY,
    Budget,
    BudgetState,
    Window,
)
from data_manager.actors.backfill.conf import exchange_conf
from data_manager.system.errors import ExchangeClosed
from tests.actors.backfill.clocks import SleptClock

pure = settings(derandomize=True, deadline=None, max_examples=60)

CONF = exchange_conf()
KLINES, AGG_TRADES, FUNDING, TIME = (
    CONF.routes.klines,
    CONF.routes.agg_trades,
    CONF.routes.funding_rates,
    CONF.routes.time,
)


def budget(clock: SleptClock, weight: int = 1200, state: BudgetState | None = None) -> Budget:
    return Budget(CONF, weight, clock, state, clock.sleep)


def most_in_any(times: list[tuple[float, int]], length_s: float) -> int:
    """The greatest sum in a window of that length, the end of which does not belong to it."""
    return max(sum(amount for at, amount in times if start <= at < start + length_s) for start, _ in times)


# What a job does next: a request (its route and rows), or a pause of so many seconds.
requests = strategies.sampled_from([(KLINES, 499), (KLINES, 1), (KLINES, 1500), (AGG_TRADES, 1000), (TIME, 0)])
jobs = strategies.lists(strategies.one_of(requests, strategies.floats(0, 70)), max_size=25)


@pure
@given(jobs, strategies.integers(20, 60))
def test_no_minute_has_more_weight_than_the_budget_and_all_is_taken_in_the_end(steps: list[Any], limit: int):
    clock, taken = SleptClock(), list[tuple[float, int]]()

    async def run() -> None:
        shared = budget(clock, limit)
        for step in steps:
            if isinstance(step, float):
                await clock.sleep(step)
                continue
            await shared.take(*step)
            taken.append((clock.monotonic(), step[0].weight(step[1])))

    asyncio.run(run())
    assert len(taken) == sum(not isinstance(step, float) for step in steps)
    assert not taken or most_in_any(taken, 60) <= limit


@pure
@given(strategies.lists(strategies.tuples(strategies.integers(1, 10), strategies.integers(0, 40)), max_size=30))
def test_a_window_waits_no_longer_than_it_must(steps: list[tuple[int, int]]):
    window, now, taken = Window(10, 60), 0.0, list[tuple[float, int]]()
    for amount, pause in steps:
        now += pause
        wait = window.wait_s(amount, now)
        if wait:  # a second sooner would be too much
            early = now + wait - 1
            assert sum(spent for at, spent in taken if at > early - 60) + amount > 10
        now += wait
        assert window.wait_s(amount, now) == 0
        window.spend(amount, now)
        taken.append((now, amount))


def test_what_was_spent_counts_for_the_whole_length_and_no_longer():
    window = Window(10, 60)
    window.spend(10, 0)
    assert [window.wait_s(1, now) for now in (0, 59.5, 60)] == [60, 0.5, 0]


def test_a_heavy_request_is_not_overtaken_for_ever_by_light_ones_that_come_after_it():
    clock, done = SleptClock(), list[int]()

    async def take(shared: Budget, route: Any, rows: int) -> None:
        await shared.take(route, rows)
        done.append(route.weight(rows))

    async def run() -> None:
        shared = budget(clock, 20)
        await shared.take(TIME)
        await asyncio.gather(take(shared, AGG_TRADES, 1000), *(take(shared, TIME, 0) for _ in range(3)))

    asyncio.run(run())
    assert done == [20, 1, 1, 1]


def test_jobs_that_share_a_budget_never_overspend_it_together():
    clock, taken = SleptClock(), list[tuple[float, int]]()

    async def job(shared: Budget) -> None:
        for _ in range(6):
            await shared.take(KLINES, 499)
            taken.append((clock.monotonic(), 2))

    async def run() -> None:
        shared = budget(clock, 20)
        await asyncio.gather(*(job(shared) for _ in range(5)))

    asyncio.run(run())
    assert len(taken) == 30
    assert most_in_any(taken, 60) == 20


def of(clock: SleptClock, work: Callable[[Budget], Coroutine[Any, Any, None]], **given_: Any) -> None:
    async def run() -> None:
        await work(budget(clock, **given_))

    asyncio.run(run())


async def spend(shared: Budget, weight: int) -> None:
    for _ in range(weight // 20):
        await shared.take(AGG_TRADES, 1000)


def test_what_others_use_within_the_reserve_costs_us_nothing():
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        await shared.take(TIME)
        shared.told(1)
        shared.told(1180)
        await spend(shared, 1180)
        assert not clock.slept

    of(clock, work)


def test_what_others_use_beyond_the_reserve_is_taken_from_ours_until_the_exchange_counts_anew():
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        await shared.take(TIME)
        shared.told(1)
        await clock.sleep(5)
        shared.told(2300)
        await spend(shared, 100)
        assert clock.slept == [5]
        await spend(shared, 20)
        assert clock.slept == [5, 60]

    of(clock, work)


def test_what_was_counted_before_the_first_answer_is_taken_for_our_own_of_before_a_restart():
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        await shared.take(TIME)
        shared.told(1181)
        assert shared.used == 1181
        await shared.take(TIME)
        assert not clock.slept
        await spend(shared, 20)
        assert clock.slept == [60]

    of(clock, work)


def test_funding_has_a_limit_of_its_own_of_which_the_same_share_is_taken():
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        for _ in range(250):
            await shared.take(FUNDING, 1000)
        assert shared.used == 0
        assert not clock.slept
        await shared.take(FUNDING, 1000)
        assert clock.slept == [300]

    of(clock, work)


@pytest.mark.parametrize("status", [TOO_MANY, BANNED])
@pytest.mark.parametrize("route", [KLINES, FUNDING])
def test_a_closed_budget_refuses_everything_until_its_time_has_come(status: int, route: Any):
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        error = shared.close(status, 30)
        assert error.until_ms == clock.now_ms() + 30_000
        assert str(status) in str(error)
        await clock.sleep(29.9)
        with pytest.raises(ExchangeClosed) as refused:
            await shared.take(route, 99)
        assert refused.value.until_ms == error.until_ms
        await clock.sleep(0.1)
        await shared.take(route, 99)

    of(clock, work)


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, DEFAULT_CLOSED_S[TOO_MANY]), (418, DEFAULT_BANNED_S), (403, DEFAULT_BANNED_S)]
)
def test_without_a_time_it_is_closed_as_long_as_the_status_usually_means(status: int, seconds: int):
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        assert shared.close(status, None).until_ms == clock.now_ms() + seconds * 1000

    of(clock, work)


def test_a_ban_is_not_shortened_by_a_smaller_answer_that_comes_late():
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        shared.close(418, 120)
        assert shared.close(429, 30).until_ms == clock.now_ms() + 120_000
        assert shared.state == BudgetState(clock.now_ms() + 120_000, 418)
        assert shared.close(418, 0).until_ms == clock.now_ms() + 120_000

    of(clock, work)


def test_who_waits_for_weight_is_refused_when_the_exchange_closes_meanwhile():
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        await spend(shared, 1200)
        waiting = asyncio.create_task(shared.take(KLINES, 499))
        await asyncio.sleep(0)
        shared.close(429, 90)
        with pytest.raises(ExchangeClosed):
            await waiting

    of(clock, work)


def test_a_restored_budget_is_closed_for_what_is_left():
    clock = SleptClock()
    text = msgspec.json.encode(BudgetState(clock.now_ms() + 30_000, 429))

    async def work(shared: Budget) -> None:
        with pytest.raises(ExchangeClosed, match="429"):
            await shared.take(TIME)
        await clock.sleep(30)
        await shared.take(TIME)

    of(clock, work, state=msgspec.json.decode(text, type=BudgetState))


def test_a_clock_that_was_set_back_closes_it_no_longer_than_the_longest_ban():
    clock = SleptClock()

    async def work(shared: Budget) -> None:
        assert shared.state.closed_until_ms == clock.now_ms() + MAX_CLOSED_S * 1000
        await clock.sleep(MAX_CLOSED_S)
        await shared.take(TIME)

    of(clock, work, state=BudgetState(clock.now_ms() * 2, 418))


def test_a_request_that_can_never_fit_is_refused_at_once():
    async def work(shared: Budget) -> None:
        with pytest.raises(ValueError, match="weighs 20, more than the budget of 10"):
            await shared.take(AGG_TRADES, 1000)

    of(SleptClock(), work, weight=10)

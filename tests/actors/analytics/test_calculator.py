"""What calculates is beside the loop, one thing at a time, and tells since when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from data_manager.actors.analytics.calculator import Calculator
from data_manager.system.clock import SystemClock
from tests.eventually import eventually


def with_calculator(check: Callable[[Calculator], Awaitable[None]]) -> None:
    async def run() -> None:
        calculator = Calculator(SystemClock())
        try:
            await check(calculator)
        finally:
            calculator.close()

    asyncio.run(run())


def test_it_tells_since_when_it_calculates_and_nothing_while_it_imports() -> None:
    async def check(calculator: Calculator) -> None:
        assert calculator.busy_since() is None
        go = threading.Event()
        before = SystemClock().monotonic()
        loading = asyncio.create_task(calculator.load(go.wait))
        assert await calculator.call(lambda: 7) == 7
        assert calculator.busy_since() is None
        calculating = asyncio.create_task(calculator.call(go.wait))
        await eventually(lambda: calculator.busy_since() is not None)
        since = calculator.busy_since()
        assert since is not None
        assert before <= since <= SystemClock().monotonic()
        go.set()
        assert await calculating
        assert await loading
        assert calculator.busy_since() is None

    with_calculator(check)


def test_one_calculation_follows_the_other() -> None:
    async def check(calculator: Calculator) -> None:
        at_once, most = 0, 0

        def work() -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            at_once -= 1

        await asyncio.gather(*(calculator.call(work) for _ in range(50)))
        assert most == 1

    with_calculator(check)


def test_what_goes_wrong_is_raised_and_ends_nothing() -> None:
    async def check(calculator: Calculator) -> None:
        with pytest.raises(ZeroDivisionError):
            await calculator.call(lambda: 1 / 0)
        assert calculator.busy_since() is None
        assert await calculator.call(lambda: 1) == 1

    with_calculator(check)

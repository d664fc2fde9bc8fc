"""The models in a process of their own: the same scores, and a life that is over when nobody uses it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from data_manager.actors.analytics.apart import LENGTH, MAX_FRAME, ModelsApart, receive, send
from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.analytics.models import MODELS
from data_manager.system.clock import SystemClock
from data_manager.system.errors import ProcessDied
from tests.eventually import eventually

RANDOM = np.random.default_rng(1)
TRAINING, JUDGED = RANDOM.normal(size=(300, 4)), RANDOM.normal(size=(20, 4))


def with_models(check: Callable[[ModelsApart, Calculator], Awaitable[None]], idle_s: float = 60.0) -> None:
    async def run() -> None:
        calculator = Calculator(SystemClock())
        models = ModelsApart(calculator, idle_s)
        try:
            await check(models, calculator)
        finally:
            await models.close()
            calculator.close()
        assert models.pid is None

    asyncio.run(run())


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_the_scores_are_those_that_the_models_give_here() -> None:
    async def check(models: ModelsApart, calculator: Calculator) -> None:
        async with models.in_use() as apart:
            assert apart.keys() == MODELS.keys()
            for name, model in MODELS.items():
                scores = await calculator.call(partial(apart[name], TRAINING, JUDGED))
                expected = model(TRAINING, JUDGED)
                np.testing.assert_array_equal(scores.training, expected.training)
                np.testing.assert_array_equal(scores.judged, expected.judged)

    with_models(check)


def test_one_process_serves_all_users_and_ends_some_time_after_the_last() -> None:
    async def check(models: ModelsApart, calculator: Calculator) -> None:
        async with models.in_use() as first:
            pid = models.pid
            assert pid is not None
            async with models.in_use():
                pass
            await asyncio.sleep(0)
            await calculator.call(partial(first["hbos"], TRAINING, JUDGED))
            assert models.pid == pid
        await eventually(lambda: models.pid is None)
        assert not is_alive(pid)

    with_models(check, idle_s=0.01)


def test_the_next_user_starts_another_where_it_was_killed() -> None:
    async def check(models: ModelsApart, calculator: Calculator) -> None:
        async with models.in_use() as apart:
            pid = models.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(ProcessDied, match="exit status -9"):
                await calculator.call(partial(apart["ecod"], TRAINING, JUDGED))
        async with models.in_use() as apart:
            assert models.pid not in (None, pid)
            scores = await calculator.call(partial(apart["ecod"], TRAINING, JUDGED))
            assert (len(scores.training), len(scores.judged)) == (300, 20)

    with_models(check)


def test_who_gives_up_waiting_for_a_start_leaves_no_process_behind() -> None:
    async def check(models: ModelsApart, calculator: Calculator) -> None:
        async def use() -> None:
            async with models.in_use():
                pass

        using = asyncio.create_task(use())
        await asyncio.sleep(0.01)  # anywhere in the start
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)
        await models.close()
        with pytest.raises(ProcessDied):
            await use()
        assert models.pid is None

    with_models(check)


def test_it_ends_with_the_thread_that_started_it() -> None:
    async def run() -> int:
        calculator = Calculator(SystemClock())
        models = ModelsApart(calculator)
        async with models.in_use():
            pid = models.pid
        assert pid is not None
        calculator.close()  # nobody says a word to it
        await eventually(lambda: state(pid) in ("Z", ""))
        await models.close()
        return pid

    assert not is_alive(asyncio.run(run()))


def state(pid: int) -> str:
    """As /proc tells it; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_frames_keep_their_bounds_and_what_is_none_ends_the_talk() -> None:
    pipe = io.BytesIO()
    send(pipe, b"one")
    send(pipe, b"two")
    pipe.seek(0)
    assert [receive(pipe), receive(pipe), receive(pipe)] == [b"one", b"two", None]
    for cut in (b"\x00" * 7, (3).to_bytes(LENGTH) + b"on", (MAX_FRAME + 1).to_bytes(LENGTH) + b"x", b"GET / HT"):
        assert receive(io.BytesIO(cut)) is None

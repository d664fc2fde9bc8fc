from __future__ import annotations

import asyncio
import threading

import pytest

from data_manager.http import store_thread
from data_manager.http.store_thread import MAX_WAITING, Inline, StoreThread
from data_manager.system.circuit import FAILURES, OPEN_S, Circuit, State
from data_manager.system.errors import StoreError, StoreUnavailable
from tests.eventually import eventually


class Shelf:
    """The smallest thing that is a store."""

    def __init__(self) -> None:
        self.closed = False
        self.thread = threading.current_thread()

    def check(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def test_calls_run_in_order_on_one_thread_that_also_opens_the_store() -> None:
    async def run() -> None:
        shelf = StoreThread("shelf", Shelf)
        order: list[int] = []

        def work(number: int) -> bool:
            order.append(number)
            return True

        await asyncio.gather(*(shelf.call(lambda store, n=number: work(n)) for number in range(20)))
        assert order == list(range(20))
        threads = {await shelf.call(lambda store: threading.current_thread()) for _ in range(3)}
        assert threads == {await shelf.call(lambda store: store.thread)}
        assert threading.current_thread() not in threads
        await shelf.close()

    asyncio.run(run())


def test_a_store_that_cannot_be_opened_is_tried_again_by_the_next_call() -> None:
    async def run() -> None:
        attempts = 0

        def open_shelf() -> Shelf:
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                raise StoreUnavailable("away")
            return Shelf()

        shelf = StoreThread("shelf", open_shelf)
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await shelf.call(lambda store: store.check())
        await shelf.call(lambda store: store.check())
        await shelf.call(lambda store: store.check())
        assert attempts == 3
        await shelf.close()

    asyncio.run(run())


def test_errors_reach_the_caller_and_leave_the_thread_working() -> None:
    async def run() -> None:
        shelf = StoreThread("shelf", Shelf)
        with pytest.raises(ZeroDivisionError):
            await shelf.call(lambda store: 1 // 0)
        assert await shelf.call(lambda store: 7) == 7
        await shelf.close()

    asyncio.run(run())


def test_with_more_threads_as_many_calls_run_at_a_time_on_one_store() -> None:
    async def run() -> None:
        opened: list[Shelf] = []

        def open_shelf() -> Shelf:
            opened.append(Shelf())
            return opened[-1]

        shelf = StoreThread("shelf", open_shelf, threads=3)
        together = threading.Barrier(3, timeout=10)  # passed by three calls at once, or by none
        await asyncio.gather(*(shelf.call(lambda store: together.wait()) for _ in range(3)))
        assert len(opened) == 1
        await shelf.close()
        assert opened[0].closed

    asyncio.run(run())


def test_a_call_may_be_given_a_limit_of_its_own() -> None:
    async def run() -> None:
        shelf = StoreThread("shelf", Shelf, answer_s=0.05)
        go_on = threading.Event()
        with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
            await shelf.call(lambda store: go_on.wait(10))
        go_on.set()
        await shelf.close()

    asyncio.run(run())


def test_inline_calls_run_where_they_are_made() -> None:
    async def run() -> None:
        shelf = Inline(Shelf())
        assert await shelf.call(lambda store: threading.current_thread()) is threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            await shelf.call(lambda store: 1 // 0)
        store = await shelf.call(lambda store: store)
        await shelf.close()
        assert store.closed

    asyncio.run(run())


def test_a_call_that_hangs_times_out_and_those_behind_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_thread, "ANSWER_S", 0.1)

    async def run() -> None:
        shelf = StoreThread("shelf", Shelf)
        go_on = threading.Event()
        ran: list[int] = []
        hanging = [
            shelf.call(lambda store: go_on.wait(10)),
            *(shelf.call(lambda store: ran.append(1)) for _ in "ab"),
        ]
        results = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(result, StoreUnavailable) for result in results)
        go_on.set()

        async def answers() -> bool:
            try:
                return await shelf.call(lambda store: True)
            except StoreUnavailable:
                return False

        await eventually(answers)
        assert ran == [], "nobody waits for these any more"
        await shelf.close()

    asyncio.run(run())


class Patient:
    """A time that stands still, and a circuit that goes by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.states: list[State] = []
        self.circuit = Circuit(lambda: self.now, self.states.append)


def away(store: Shelf) -> None:
    raise StoreUnavailable("it is away")


def test_with_a_circuit_a_store_that_is_away_is_not_asked_until_its_probe_succeeds() -> None:
    async def run() -> None:
        patient = Patient()
        shelf = StoreThread("shelf", Shelf, circuit=patient.circuit)
        asked: list[int] = []
        for _ in range(FAILURES):
            with pytest.raises(StoreUnavailable):
                await shelf.call(away)
        for _ in range(5):
            with pytest.raises(StoreUnavailable, match="it is away"):
                await shelf.call(lambda store: asked.append(1))
        assert asked == []
        patient.now += OPEN_S
        go_on = threading.Event()
        probe = asyncio.create_task(shelf.call(lambda store: go_on.wait(10)))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await shelf.call(lambda store: asked.append(1))
        go_on.set()
        assert await probe
        await shelf.call(lambda store: asked.append(1))
        assert asked == [1]
        assert patient.states == [State.CLOSED, State.OPEN, State.HALF_OPEN, State.CLOSED]
        await shelf.close()

    asyncio.run(run())


def refuse(store: Shelf) -> None:
    raise StoreError("there is no such column")


def test_a_store_that_answers_with_a_refusal_is_not_away() -> None:
    async def run() -> None:
        patient = Patient()
        shelf = StoreThread("shelf", Shelf, circuit=patient.circuit)
        for _ in range(3 * FAILURES):
            with pytest.raises(StoreError, match="no such column"):
                await shelf.call(refuse)
        with pytest.raises(ZeroDivisionError):
            await shelf.call(lambda store: 1 // 0)
        assert patient.states == [State.CLOSED]
        await shelf.close()

    asyncio.run(run())


def test_a_crowd_of_callers_opens_no_circuit() -> None:
    async def run() -> None:
        patient = Patient()
        shelf = StoreThread("shelf", Shelf, circuit=patient.circuit)
        go_on = threading.Event()
        waiting = [asyncio.create_task(shelf.call(lambda store: go_on.wait(10))) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        for _ in range(3 * FAILURES):
            with pytest.raises(StoreUnavailable, match="busy"):
                await shelf.call(lambda store: True)
        assert patient.states == [State.CLOSED]
        go_on.set()
        assert all(await asyncio.gather(*waiting))
        await shelf.close()

    asyncio.run(run())


def test_callers_beyond_the_limit_are_refused_at_once() -> None:
    async def run() -> None:
        shelf = StoreThread("shelf", Shelf)
        go_on = threading.Event()
        waiting = [asyncio.create_task(shelf.call(lambda store: go_on.wait(10))) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable, match="busy"):
            await shelf.call(lambda store: True)
        go_on.set()
        assert all(await asyncio.gather(*waiting))
        await shelf.close()

    asyncio.run(run())


def test_closing_closes_the_store_if_it_was_opened() -> None:
    async def run() -> None:
        opened: list[Shelf] = []

        def open_shelf() -> Shelf:
            opened.append(Shelf())
            return opened[-1]

        unused = StoreThread("shelf", open_shelf)
        await unused.close()
        assert opened == []
        used = StoreThread("shelf", open_shelf)
        await used.call(lambda store: store.check())
        await used.close()
        assert opened[0].closed

    asyncio.run(run())

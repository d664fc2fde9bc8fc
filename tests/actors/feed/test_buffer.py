"""Messages between the exchange and NATS."""

from __future__ import annotations

import asyncio
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.feed.buffer import Buffer


@settings(derandomize=True, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=20), st.none())), st.integers(1, 60))
def test_it_is_a_queue_of_bounded_size(steps: list[bytes | None], limit: int) -> None:
    """None takes the oldest out."""

    async def play() -> None:
        buffer, model = Buffer(limit), deque[bytes]()
        for step in steps:
            if step is not None:
                fits = sum(map(len, model)) + len(step) <= limit
                assert buffer.put(step) is fits
                model.extend([step] if fits else [])
            elif model:
                assert await buffer.first() == model.popleft()
                buffer.drop_first()
            assert len(buffer) == len(model)

    asyncio.run(play())


def test_the_consumer_waits_for_the_first_message_and_the_end_for_the_last() -> None:
    async def play() -> None:
        buffer = Buffer(10)
        await asyncio.wait_for(buffer.emptied(), 1)
        taking = asyncio.create_task(buffer.first())
        await asyncio.sleep(0)
        assert not taking.done()
        buffer.put(b"one")
        assert await asyncio.wait_for(taking, 1) == b"one"
        emptying = asyncio.create_task(buffer.emptied())
        await asyncio.sleep(0)
        assert not emptying.done()
        buffer.drop_first()
        await asyncio.wait_for(emptying, 1)

    asyncio.run(play())


def test_a_message_that_is_being_published_still_takes_its_room() -> None:
    async def play() -> None:
        buffer = Buffer(4)
        assert buffer.put(b"four")
        await buffer.first()
        assert not buffer.put(b"x")
        buffer.drop_first()
        assert buffer.put(b"x")

    asyncio.run(play())

"""The acknowledgement subject and the buffer between callback and taker."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.delivery import Buffer, Delivery, parse_reply
from data_manager.system.errors import FeedError

numbers = st.integers(0, 2**63 - 1)
names = st.text("abcXYZ019_-", min_size=1)


def delivery(sequence: int, size: int = 1) -> Delivery:
    return Delivery(b"x" * size, sequence, 0)


@settings(derandomize=True, deadline=None)
@given(names, names, st.integers(1, 10**6), numbers, numbers, numbers, numbers)
def test_both_forms_of_an_acknowledgement_subject_tell_the_same(
    stream: str, consumer: str, delivered: int, sequence: int, consumer_seq: int, stored_ns: int, pending: int
) -> None:
    tail = f"{stream}.{consumer}.{delivered}.{sequence}.{consumer_seq}.{stored_ns}.{pending}"
    told = (sequence, stored_ns // 1000, delivered > 1, pending)
    assert parse_reply(f"$JS.ACK.{tail}") == told
    assert parse_reply(f"$JS.ACK.hub.ACCHASH.{tail}") == told
    assert parse_reply(f"$JS.ACK._.ACCHASH.{tail}.r4nd0m") == told


@pytest.mark.parametrize("reply", ["", "_INBOX.abc.1", "$JS.ACK.s.c.1.2.3", "$JS.ACK.s.c.1.two.3.4.5"])
def test_any_other_subject_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_reply(reply)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 10), st.integers(1, 60), st.integers(0, 40))
def test_batches_keep_order_lose_nothing_and_stay_within_both_limits(
    sizes: list[int], max_messages: int, max_bytes: int, before_end: int
) -> None:
    async def run() -> list[list[Delivery]]:
        buffer = Buffer()
        for sequence, size in enumerate(sizes):
            buffer.put(delivery(sequence, size))
        buffer.end()
        batches = []
        while batch := await buffer.batch(max_messages, max_bytes, 0):
            batches.append(list(batch))
            assert buffer.size == sum(sizes[sum(map(len, batches)) :])
        return batches

    batches = asyncio.run(run())
    assert [d.sequence for batch in batches for d in batch] == list(range(len(sizes)))
    for number, batch in enumerate(batches):
        taken = sum(len(d.payload) for d in batch)
        assert len(batch) <= max_messages
        assert taken <= max_bytes or len(batch) == 1
        if number + 1 < len(batches) and len(batch) < max_messages:  # a batch is not cut for nothing
            assert taken + len(batches[number + 1][0].payload) > max_bytes


def test_a_taker_waits_for_the_first_and_gathers_what_comes_while_it_lingers() -> None:
    async def run() -> list[int]:
        buffer = Buffer()
        taking = asyncio.create_task(buffer.batch(10, 100, 0.05))
        await asyncio.sleep(0.01)
        assert not taking.done()
        buffer.put(delivery(1))
        await asyncio.sleep(0.01)
        buffer.put(delivery(2))
        return [d.sequence for d in await taking]

    assert asyncio.run(run()) == [1, 2]


def test_a_full_batch_does_not_linger() -> None:
    async def run() -> None:
        by_count, by_bytes = Buffer(), Buffer()
        by_count.put(delivery(1))
        by_bytes.put(delivery(1, size=10))
        async with asyncio.timeout(5):
            assert len(await by_count.batch(1, 100, 60)) == 1
            assert len(await by_bytes.batch(10, 10, 60)) == 1

    asyncio.run(run())


def test_what_is_left_comes_before_the_end() -> None:
    async def run() -> None:
        buffer = Buffer()
        buffer.put(delivery(1))
        buffer.end()
        assert len(await buffer.batch(10, 100, 60)) == 1
        assert not await buffer.batch(10, 100, 60)

    asyncio.run(run())


def test_what_is_left_comes_before_the_first_error() -> None:
    async def run() -> None:
        buffer = Buffer()
        buffer.put(delivery(1))
        buffer.fail(FeedError("first"))
        buffer.fail(FeedError("second"))
        assert len(await buffer.batch(10, 100, 0)) == 1
        with pytest.raises(FeedError, match="first"):
            await buffer.batch(10, 100, 0)

    asyncio.run(run())


def test_an_end_wakes_a_waiting_taker() -> None:
    async def run() -> None:
        buffer = Buffer()
        taking = asyncio.create_task(buffer.batch(1, 1, 0))
        await asyncio.sleep(0)
        buffer.end()
        assert not await asyncio.wait_for(taking, 5)

    asyncio.run(run())

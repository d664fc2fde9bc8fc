from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.ingest.depth import (
    GRACE_MS,
    MAX_WAITING,
    Break,
    Chain,
    SnapshotTest,
    Update,
    check_levels,
)
from data_manager.system.errors import DataError

pure = settings(derandomize=True, deadline=None, max_examples=300)

START = 1_760_918_400_000


# -- what the levels tell -----------------------------------------------------------------------------------

PRICES = st.builds(
    lambda digits, scale: f"{Decimal(digits).scaleb(-scale):f}", st.integers(0, 100_000), st.integers(0, 4)
)
SIDES = st.lists(st.tuples(PRICES, st.sampled_from(["1", "0.5", "12.000", "0.001", "10"])), max_size=22)


def is_best_first(prices: list[str], descending: bool) -> bool:
    numbers = [Decimal(price) for price in prices]
    return all(a >= b if descending else a <= b for a, b in pairwise(numbers))


@pure
@given(SIDES, SIDES, st.booleans(), st.booleans())
def test_levels_look_like_a_diff_when_too_long_or_not_best_first(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], sort_bids: bool, sort_asks: bool
) -> None:
    if sort_bids:
        bids.sort(key=lambda level: Decimal(level[0]), reverse=True)
    if sort_asks:
        asks.sort(key=lambda level: Decimal(level[0]))
    expected = (
        len(bids) > 20
        or len(asks) > 20
        or not is_best_first([price for price, _ in bids], descending=True)
        or not is_best_first([price for price, _ in asks], descending=False)
    )
    assert check_levels(tuple(bids), tuple(asks)) == expected


@pytest.mark.parametrize("zero", ["0", "0.0", "0.00000000", "00"])
def test_a_quantity_of_zero_looks_like_a_diff_wherever_it_stands(zero: str) -> None:
    for place in range(6):
        quantities = ["1.0"] * 6
        quantities[place] = zero
        bids = tuple(zip(("3", "2", "1"), quantities[:3], strict=True))
        asks = tuple(zip(("4", "5", "6"), quantities[3:], strict=True))
        assert check_levels(bids, asks)
    assert not check_levels((("3", "0.1"), ("2", "10"), ("1", "0.001")), (("4", "100.0"),))


def test_more_than_twenty_levels_on_a_side_look_like_a_diff() -> None:
    levels = tuple((str(price), "1") for price in range(100, 121))
    assert check_levels((), levels)
    assert check_levels(levels[::-1], ())
    assert not check_levels(levels[:0:-1], levels[1:])


def test_prices_cross_a_power_of_ten_in_the_order_of_numbers() -> None:
    down = tuple((price, "1") for price in ("100000.0", "99999.9", "99999.8"))
    assert not check_levels(down, down[::-1])
    assert check_levels(down[::-1], ())
    assert check_levels((), down)


def test_texts_of_one_length_but_several_scales_are_compared_as_numbers() -> None:
    assert check_levels((("11.50", "1"), ("105.0", "1")), ())
    assert not check_levels((("105.0", "1"), ("11.50", "1")), ())


@pytest.mark.parametrize("bad", ["1e5", "", "-1", "1 2", "nan"])
def test_a_level_that_is_no_number_is_refused(bad: str) -> None:
    for level in ((bad, "1"), ("1", bad)):
        for bids, asks in (((level,), ()), ((), (level,))):
            with pytest.raises(DataError) as caught:
                check_levels(bids, asks)
            assert caught.value.reason == "bad_number"


# -- snapshot or diff ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["btcusdt@depth", "btcusdt@depth@100ms", "btcusdt@depth@500ms", "X@DEPTH@100ms"])
def test_a_stream_named_without_a_level_count_is_a_diff(stream: str) -> None:
    assert not SnapshotTest("auto").is_snapshot((20, 20), False, stream)


@pytest.mark.parametrize("stream", ["btcusdt@depth5", "btcusdt@depth10@500ms", "btcusdt@depth20@100ms"])
@pytest.mark.parametrize("sizes", [(3, 3), (20, 19), (0, 0)])
def test_a_stream_named_with_a_level_count_is_a_snapshot(stream: str, sizes: tuple[int, int]) -> None:
    assert SnapshotTest("auto").is_snapshot(sizes, False, stream)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((5, 5), True),
        ((10, 10), True),
        ((20, 20), True),
        ((5, 10), False),
        ((19, 19), False),
        ((0, 0), False),
    ],
)
@pytest.mark.parametrize("stream", ["", "btcusdt", "btcusdt@depth50@100ms", "btcusdt@depthish"])
def test_without_a_telling_name_only_exact_sizes_are_a_snapshot(
    stream: str, sizes: tuple[int, int], expected: bool
) -> None:
    assert SnapshotTest("auto").is_snapshot(sizes, False, stream) == expected


def test_one_proof_makes_the_stream_a_diff_for_good() -> None:
    test = SnapshotTest("auto")
    assert test.is_snapshot((20, 20), False, "btcusdt@depth20@100ms")
    assert not test.is_snapshot((20, 20), True, "btcusdt@depth20@100ms")
    assert not test.is_snapshot((20, 20), False, "btcusdt@depth20@100ms")
    assert not test.is_snapshot((20, 20), False, "")


def test_a_diff_stream_that_says_so_is_no_proof_against_a_partial_one() -> None:
    test = SnapshotTest("auto")
    assert not test.is_snapshot((3, 3), True, "btcusdt@depth@100ms")
    assert test.is_snapshot((20, 20), False, "btcusdt@depth20@100ms")


@pytest.mark.parametrize("looks_diff", [True, False])
@pytest.mark.parametrize("stream", ["", "btcusdt@depth@100ms", "btcusdt@depth20@100ms"])
def test_the_setting_overrides_all(looks_diff: bool, stream: str) -> None:
    assert SnapshotTest("partial").is_snapshot((3, 1), looks_diff, stream)
    assert not SnapshotTest("diff").is_snapshot((20, 20), looks_diff, stream)


# -- the chain ----------------------------------------------------------------------------------------------


def updates(count: int, start: int = 1000) -> list[Update]:
    """An unbroken chain; ids grow in uneven steps, as on the exchange."""
    ids = [start + 7 * i + i % 3 for i in range(count + 1)]
    return [Update(before, after) for before, after in pairwise(ids)]


def counts(chain: Chain) -> tuple[int, int, int, int]:
    return chain.unbroken, chain.broken, chain.late, chain.pending


def test_updates_in_order_are_unbroken() -> None:
    chain = Chain()
    for i, update in enumerate(updates(100)):
        assert chain.observe(update, START + 100 * i) == []
    assert counts(chain) == (100, 0, 0, 0)


def test_a_skipped_update_is_a_break_with_both_ids_after_the_grace_time() -> None:
    chain, (first, skipped, third, fourth) = Chain(), updates(4)
    chain.observe(first, START)
    assert chain.observe(third, START + 100) == []
    assert chain.observe(fourth, START + 100 + GRACE_MS - 1) == []
    assert counts(chain) == (1, 0, 0, 2)
    assert chain.expire(START + 100 + GRACE_MS) == [Break(first.final_id, skipped.final_id, START + 100 + GRACE_MS)]
    assert counts(chain) == (2, 1, 0, 0)


def test_a_link_that_comes_within_the_grace_time_mends_the_chain() -> None:
    chain, (first, second, third) = Chain(), updates(3)
    chain.observe(first, START)
    chain.observe(third, START)
    assert chain.pending == 1
    assert chain.observe(second, START + GRACE_MS - 1) == []
    assert chain.expire(START + 10 * GRACE_MS) == []
    assert counts(chain) == (3, 0, 0, 0)


def test_a_link_that_comes_after_its_break_is_late() -> None:
    chain, (first, second, third, fourth) = Chain(), updates(4)
    for update in (first, third):
        chain.observe(update, START)
    assert len(chain.observe(fourth, START + GRACE_MS)) == 1
    assert chain.observe(second, START + GRACE_MS + 1) == []
    assert counts(chain) == (2, 1, 1, 0)


def test_copies_are_late_and_break_nothing() -> None:
    chain = Chain()
    for update in updates(50):
        for _ in range(3):
            assert chain.observe(update, START) == []
    assert counts(chain) == (50, 0, 100, 0)


def test_copies_of_waiting_updates_wait_once() -> None:
    chain, (first, second, third) = Chain(), updates(3)
    for update in (first, third, third, second):
        chain.observe(update, START)
    assert counts(chain) == (3, 0, 1, 0)


def test_a_wrong_link_breaks_the_chain_though_no_id_is_missing() -> None:
    chain = Chain()
    chain.observe(Update(1, 10), START)
    chain.observe(Update(9, 20), START)
    assert chain.expire(START + GRACE_MS) == [Break(10, 9, START + GRACE_MS)]


def test_updates_that_were_overtaken_do_not_wait() -> None:
    chain = Chain()
    for update in (Update(1, 10), Update(12, 15), Update(10, 20)):
        chain.observe(update, START)
    assert counts(chain) == (2, 0, 1, 0)


def test_what_waits_is_bounded() -> None:
    chain, chained = Chain(), updates(3 * MAX_WAITING)
    chain.observe(chained[0], START)
    breaks: list[Break] = []
    for update in chained[2:]:
        breaks += chain.observe(update, START)
        assert chain.pending <= MAX_WAITING
    assert breaks == [Break(chained[0].final_id, chained[1].final_id, START)]
    assert counts(chain) == (3 * MAX_WAITING - 2, 1, 0, 0)


def test_a_silent_chain_has_nothing_to_expire() -> None:
    assert Chain().expire(START) == []


@pure
@given(
    st.integers(2, 60),
    st.sets(st.integers(1, 59)),
    st.lists(st.integers(0, GRACE_MS - 1), min_size=60, max_size=60),
    st.sets(st.integers(0, 59)),
)
def test_every_run_of_missing_updates_is_one_break_however_the_others_are_reordered(
    count: int, dropped: set[int], delays: list[int], copied: set[int]
) -> None:
    """Against the definition: sort what came after the first arrival, and look where a link is missing."""
    sent = [(i, update) for i, update in enumerate(updates(count)) if i not in dropped]
    arrivals = sorted(
        (100 * i + delay, i, update)
        for i, update in sent
        for delay in ([delays[i], delays[i] // 2] if i in copied else [delays[i]])
    )
    chain, breaks = Chain(), []
    for at, _, update in arrivals:
        breaks += chain.observe(update, START + at)
    breaks += chain.expire(START + 10**6)

    first = arrivals[0][2]
    followers = [update for _, update in sent if update.final_id > first.final_id]
    links = list(pairwise([first, *followers]))
    expected = [(a.final_id, b.previous_id) for a, b in links if a.final_id != b.previous_id]
    assert [(broken.last_id, broken.next_previous_id) for broken in breaks] == expected
    assert chain.broken == len(expected)
    assert chain.unbroken == 1 + len(followers) - len(expected)
    assert chain.late == len(arrivals) - chain.unbroken - chain.broken
    assert chain.pending == 0

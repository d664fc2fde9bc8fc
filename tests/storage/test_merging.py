"""How rows meet, without a store: what is new, what is better, what contradicts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.differing import differ
from data_manager.storage.merging import Meeting, meet, mergeable
from data_manager.storage.protocols import MERGE_ROWS, Difference
from data_manager.storage.records import Candle
from data_manager.system.errors import StoreError
from tests.storage.examples import agg_trade, candle, depth, derived, trade


def meeting(offered: list[Candle], *there: Candle) -> Meeting:
    return meet([row.open_time for row in offered], offered, {row.open_time: row for row in there})


def test_rows_under_free_keys_are_new_and_equal_ones_are_nothing() -> None:
    assert meeting([candle(0), candle(1)], candle(1)) == Meeting([0], [], [])


def test_the_greater_rank_is_better_and_told_where_it_contradicts() -> None:
    rest = [candle(0, source="rest"), candle(1, source="rest", close="9")]
    assert meeting(rest, candle(0), candle(1)) == Meeting([], [0, 1], [Difference(candle(1), rest[1])])


def test_a_lesser_rank_is_told_and_dropped() -> None:
    there, late = candle(0, source="rest"), candle(0, close="9")
    assert meeting([late], there) == Meeting([], [], [Difference(there, late)])


def test_an_incomplete_derived_bar_gives_way_without_a_word() -> None:
    assert meeting([candle(0, close="9")], derived(0, 3, complete=False)) == Meeting([], [0], [])


def test_of_rows_under_one_key_the_best_is_written_and_each_is_held_against_the_best_so_far() -> None:
    first, best, last = candle(0), candle(0, source="rest", close="9"), candle(0, source="rest", close="8")
    told = [Difference(first, best), Difference(best, last)]
    assert meeting([first, best, last]) == Meeting([1], [], told)
    assert meeting([first, best, last], derived(0, 3, complete=False)) == Meeting([], [1], told)


def test_the_same_contradiction_is_told_once() -> None:
    there, offered = candle(0, source="rest"), candle(0, source="rest", close="9")
    assert meeting([offered, offered], there).differences == [Difference(there, offered)]


bars = st.builds(
    lambda minute, source, count, close: candle(minute, source=source, trades_count=count, close=close),
    st.integers(0, 2),
    st.sampled_from(["kline", "rest"]),
    st.integers(1, 2),
    st.sampled_from(["1", "1.0", "2"]),
)


@given(st.lists(bars, max_size=8), st.lists(bars, max_size=3, unique_by=lambda row: row.open_time))
@settings(derandomize=True, deadline=None)
def test_what_stays_is_what_stays_row_by_row(offered: list[Candle], there: list[Candle]) -> None:
    rows = {row.open_time: row for row in there}
    told: dict[Difference, None] = {}
    for row in offered:
        stood = rows.setdefault(row.open_time, row)
        if differ(stood, row):
            told[Difference(stood, row)] = None
        if row.rank > stood.rank:
            rows[row.open_time] = row
    new, better, differences = meeting(offered, *there)
    held = {row.open_time for row in there}
    assert differences == list(told)
    assert {offered[number].open_time for number in better} <= held
    assert {offered[number].open_time for number in new} == rows.keys() - held
    written = {offered[number].open_time: offered[number] for number in (*new, *better)}
    assert {**{row.open_time: row for row in there}, **written} == rows
    assert len(written) == len(new) + len(better)


@pytest.mark.parametrize(("rows", "said"), [
    ([trade(1)] * (MERGE_ROWS + 1), f"not {MERGE_ROWS + 1} of Trade$"),
    ([trade(1), candle(1)], "not 2 of Candle, Trade$"),
    ([depth(1)], "not 1 of Depth$"),
], ids=["too many", "two types", "another type"])  # fmt: skip
def test_what_no_merge_takes_is_named(rows: list[Any], said: str) -> None:
    with pytest.raises(StoreError, match=said):
        mergeable(rows)


def test_a_full_page_can_be_merged_and_an_empty_one_need_not() -> None:
    assert mergeable([agg_trade(number) for number in range(MERGE_ROWS)])
    assert not mergeable([])

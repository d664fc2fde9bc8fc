"""Coverage against brute force: the set of all ids."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.audit import coverage
from data_manager.actors.audit.coverage import Coverage, Hole
from data_manager.storage.records import Trade
from tests.storage.examples import agg_trade, trade

pure = settings(derandomize=True, deadline=None, max_examples=300)


def traded(*ids: int) -> list[Trade]:
    """Raw trades, each at the time of its id."""
    return [trade(number, time_ms=number) for number in ids]


def aggregate(number: int, first: int, last: int) -> Trade:
    return agg_trade(number, first_id=first, last_id=last, time_ms=first)


def after(*rows: Trade) -> list[tuple[int, int]]:
    known = Coverage()
    known.add(rows)
    return [(hole.first, hole.last) for hole in known.holes]


def brute_force(rows: Sequence[Trade]) -> tuple[list[tuple[int, int]], int]:
    """The runs of ids that nothing covers, and how many are covered."""
    covered = {number for row in rows for number in range(row.first_id, row.last_id + 1)}
    aggregates = {row.trade_id: row for row in rows if row.kind == "aggTrade"}
    for number, row in aggregates.items():
        if number + 1 in aggregates:
            covered.update(range(row.last_id + 1, aggregates[number + 1].first_id))
    runs: list[tuple[int, int]] = []
    for number in range(min(covered), max(covered)):
        if number in covered:
            continue
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs, len(covered)


@st.composite
def any_rows(draw: st.DrawFn) -> list[Trade]:
    """Some of the raw trades and aggTrades of one market, mixed and out of order, some of them twice."""
    rows: list[Trade] = []
    first = 100
    for number in range(draw(st.integers(1, 12))):
        first += draw(st.integers(0, 2))  # the exchange's own
        last = first + draw(st.integers(0, 3))
        rows += [aggregate(number, first, last), *traded(*range(first, last + 1))]
        first = last + 1
    return draw(st.lists(st.sampled_from(rows), min_size=1, max_size=2 * len(rows)))


@pure
@given(any_rows(), st.integers(1, 5))
def test_it_is_what_the_set_of_all_ids_says_whatever_the_order(rows: list[Trade], page: int) -> None:
    known = Coverage()
    covered = sum(known.add(rows[start : start + page]) for start in range(0, len(rows), page))
    runs, ids = brute_force(rows)
    assert [(hole.first, hole.last) for hole in known.holes] == runs
    assert covered == ids
    assert known.span == (min(row.first_id for row in rows), max(row.last_id for row in rows))
    assert all(left.last + 1 < right.first for left, right in zip(known.holes, known.holes[1:], strict=False))


def test_raw_trades_cover_their_own_id() -> None:
    assert after(*traded(1, 2, 5, 6, 9)) == [(3, 4), (7, 8)]


def test_an_aggregate_covers_all_its_ids() -> None:
    assert after(*traded(1), aggregate(7, 2, 8), *traded(9)) == []


def test_ids_between_consecutive_aggregates_are_the_exchanges_own() -> None:
    assert after(aggregate(7, 1, 3), aggregate(8, 6, 9)) == []
    assert after(aggregate(7, 1, 3), aggregate(9, 6, 9)) == [(4, 5)]


def test_a_late_aggregate_proves_its_neighbours_ids() -> None:
    assert after(aggregate(7, 1, 3), aggregate(9, 10, 12), aggregate(8, 5, 7)) == []


def test_a_hole_has_the_times_of_the_trades_beside_it() -> None:
    known = Coverage()
    known.add(traded(1, 9))
    assert known.holes == [Hole(2, 8, before_ms=1, after_ms=9)]
    known.add([trade(5, time_ms=6)])
    assert known.holes == [Hole(2, 4, 1, 6), Hole(6, 8, 6, 9)]


def test_later_rows_fill_earlier_holes() -> None:
    known = Coverage()
    assert known.add(traded(1, 10)) == 2
    assert known.add([aggregate(3, 2, 9)]) == 8
    assert known.holes == []


def test_rows_from_before_the_first_one_open_a_hole_below_it() -> None:
    assert after(*traded(10, 3)) == [(4, 9)]


def test_it_holds_no_more_holes_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MAX_HOLES", 3)
    known = Coverage()
    known.add(traded(0, 10, 12, 20, 40))
    assert [(hole.first, hole.last) for hole in known.holes] == [(1, 11), (13, 19), (21, 39)]


def test_it_remembers_no_more_ends_of_aggregates_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MAX_ENDS", 2)
    known = Coverage()
    known.add(aggregate(number * 2, number * 10, number * 10 + 3) for number in range(1, 6))
    assert len(known.holes) == 4
    known.add([aggregate(9, 45, 46)])  # between 8 and 10, which are remembered
    assert len(known.holes) == 3
    known.add([aggregate(3, 15, 16)])  # between 2 and 4, which are not
    assert len(known.holes) == 4

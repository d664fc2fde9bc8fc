"""Every row of a range comes exactly once, in order, whatever the blocks and however many rows share a time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import Trade
from data_manager.storage.walking import following
from tests.storage.examples import BTC, agg_trade, received, trade

times = st.lists(st.integers(0, 9), max_size=30)


def matching(trades: list[Trade], query: Query) -> list[Trade]:
    """What a store answers."""
    first, end = query.start_ms or 0, 10 if query.end_ms is None else query.end_ms
    found = sorted(
        (each for each in trades if first <= each.time_ms < end),
        key=lambda each: (each.time_ms, each.trade_id),
        reverse=query.descending,
    )
    return found[query.offset : query.offset + query.limit]


def walked(trades: list[Trade], query: Query) -> list[Trade]:
    seen: list[Trade] = []
    while found := matching(trades, query):
        seen += found
        query = following(query, found)
    return seen


@settings(derandomize=True, deadline=None, max_examples=400)
@given(
    times,
    st.integers(1, 7),
    st.integers(0, 5),
    st.booleans(),
    st.none() | st.integers(0, 4),
    st.none() | st.integers(5, 10),
)
def test_a_walk_meets_every_row_once_and_in_order(
    at: list[int], limit: int, offset: int, descending: bool, start: int | None, end: int | None
) -> None:
    trades = [trade(number, time_ms=time_ms) for number, time_ms in enumerate(at)]
    query = Query(start, end, limit=limit, offset=offset, descending=descending)
    whole = Query(start, end, limit=100, offset=offset, descending=descending)
    assert walked(trades, query) == matching(trades, whole)


def test_no_offset_grows_with_the_walk() -> None:
    trades = [trade(number, time_ms=number // 3) for number in range(30)]
    query = Query(limit=4)
    while found := matching(trades, query):
        query = following(query, found)
        assert query.offset <= 4


@pytest.mark.parametrize("descending", [False, True])
def test_a_real_store_is_walked_through_across_kinds(store: MarketStore, descending: bool) -> None:
    rows = [trade(n, time_ms=n // 5) for n in range(40)] + [agg_trade(n, time_ms=n // 4) for n in range(20)]
    store.write(BTC, received(*rows))
    seen: list[Trade] = []
    query = Query(start_ms=0, end_ms=100, limit=7, descending=descending)
    while found := store.rows(BTC, Trade, query):
        seen += found
        query = following(query, found)
    assert len(seen) == len(rows)
    assert {(each.kind, each.trade_id) for each in seen} == {(each.kind, each.trade_id) for each in rows}

"""When two rows under one key contradict each other."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.differing import differ
from data_manager.storage.records import Candle, Funding, Record, Trade
from tests.storage.examples import T0, candle, derived, trade


def funding(**fields: Any) -> Funding:
    values: dict[str, Any] = {"funding_rate": "0.0001", "mark_price": "43000.1", "settled": True, **fields}
    return Funding(T0, **{"event_time": T0, "feed_seq": 0, "market_seq": 0, "stored_ms": T0, **values})


def changed(row: Record, **fields: Any) -> Record:
    return msgspec.structs.replace(row, **fields)


WHOLE = candle(0, taker_buy_quote_volume="90.5", last_id=7)
ROWS: tuple[Record, ...] = (trade(1), WHOLE, funding())

CONTRADICTIONS: list[tuple[Record, dict[str, Any]]] = [
    (trade(1), {"price": "43123.11"}),
    (trade(1), {"quantity": "0.0151"}),
    (trade(1), {"time_ms": T0}),
    (trade(1), {"is_buyer_maker": True}),
    (trade(1), {"first_id": 0}),
    (trade(1), {"last_id": 2}),
    (WHOLE, {"open": "1.00000001"}),
    (WHOLE, {"high": "4.1"}),
    (WHOLE, {"low": "0.4"}),
    (WHOLE, {"close": "2.1"}),
    (WHOLE, {"volume": "100.001"}),
    (WHOLE, {"quote_volume": "150"}),
    (WHOLE, {"trades_count": 8}),
    (WHOLE, {"taker_buy_volume": "61"}),
    (WHOLE, {"taker_buy_quote_volume": "90.4"}),
    (WHOLE, {"source": "rest", "close": "2.1"}),
    (WHOLE, {"source": "trades", "close": "2.1"}),
    (funding(), {"funding_rate": "-0.0001"}),
    (funding(), {"mark_price": "43000.2"}),
]

AGREEMENTS: list[tuple[Record, dict[str, Any]]] = [
    (trade(1), {"price": "43123.1", "quantity": "0.015"}),
    (trade(1), {"order_type": "NA"}),  # which REST does not tell
    (WHOLE, {"open": "1", "volume": "100", "quote_volume": "150.10000000"}),
    (WHOLE, {"source": "rest"}),
    (WHOLE, {"first_id": None, "last_id": None}),
    (WHOLE, {"first_id": 100, "last_id": 200}),
    (WHOLE, dict.fromkeys(("quote_volume", "trades_count", "taker_buy_volume", "taker_buy_quote_volume"))),
    (WHOLE, {"source": "trades", "complete": False, "volume": "1", "trades_count": 1}),
    (funding(), {"mark_price": None}),
    (funding(), {"event_time": T0 + 7}),
    (funding(), {"settled": False, "funding_rate": "0.0002"}),
]


@pytest.mark.parametrize(("row", "fields"), CONTRADICTIONS, ids=str)
def test_rows_that_say_different_things_differ(row: Record, fields: dict[str, Any]) -> None:
    assert differ(row, changed(row, **fields))
    assert differ(changed(row, **fields), row)


@pytest.mark.parametrize(("row", "fields"), AGREEMENTS, ids=str)
def test_rows_that_say_the_same_or_nothing_do_not(row: Record, fields: dict[str, Any]) -> None:
    assert not differ(row, changed(row, **fields))
    assert not differ(changed(row, **fields), row)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_where_a_row_came_from_is_no_contradiction(row: Record) -> None:
    assert not differ(row, changed(row, feed_seq=1 << 40, market_seq=77, stored_ms=T0 + 99))


def test_two_predictions_do_not_contradict_each_other() -> None:
    early = funding(settled=False)
    assert not differ(early, changed(early, funding_rate="0.0003", event_time=T0 + 9))


def test_an_incomplete_derived_bar_contradicts_not_even_another_one() -> None:
    assert not differ(derived(0, 5, complete=False), derived(0, 6, complete=False, close="9"))


def test_a_complete_derived_bar_contradicts_the_exchanges() -> None:
    assert differ(derived(0, 7, close="2.1"), candle(0, source="rest"))


def test_text_that_is_no_number_is_like_itself_only() -> None:
    assert not differ(trade(1, price="abc"), trade(1, price="abc"))
    assert differ(trade(1, price="abc"), trade(1, price="1"))
    assert differ(trade(1, price="sNaN"), trade(1, price="1"))


decimals = st.decimals(min_value=0, max_value=10**9, places=8)


@given(decimals, decimals, st.integers(0, 12))
@settings(derandomize=True, deadline=None)
def test_numbers_differ_as_numbers_and_exactly(one: Decimal, other: Decimal, zeros: int) -> None:
    longer = format(one, "f") + "0" * zeros
    assert not differ(trade(1, price=format(one.normalize(), "f")), trade(1, price=longer))
    assert differ(trade(1, price=longer), trade(1, price=format(other, "f"))) == (one != other)
    tick = "0." + "0" * 40 + "1"
    assert differ(trade(1, price="0"), trade(1, price=tick))


FIELDS = sorted(set(Candle.__struct_fields__) - {"timeframe", "open_time"})


@given(st.lists(st.tuples(st.sampled_from(FIELDS), st.none() | st.sampled_from(["1", "1.0", "2"])), max_size=4))
@settings(derandomize=True, deadline=None)
def test_it_does_not_matter_which_row_came_first(changes: list[tuple[str, str | None]]) -> None:
    values = {name: value for name, value in changes if name not in ("source", "complete")}
    other = changed(WHOLE, **values)
    assert differ(WHOLE, other) == differ(other, WHOLE)
    assert not differ(other, other)


def test_every_field_is_either_said_or_ours() -> None:
    """A field that is added to a record must be put on one of the sides."""
    said = {(type(row), name) for row, fields in CONTRADICTIONS for name in fields if name != "source"}
    ours = {"feed_seq", "market_seq", "stored_ms"}
    not_said = {Trade: {"order_type"}, Candle: {"source", "complete", "first_id", "last_id"}, Funding: {"settled"}}
    times = {Trade: set(), Candle: set(), Funding: {"event_time"}}  # of the message, not of the rate
    for kind in (Trade, Candle, Funding):
        fields = set(kind.__struct_fields__) - set(kind.key) - ours - not_said[kind] - times[kind]
        assert {name for each, name in said if each is kind} == fields

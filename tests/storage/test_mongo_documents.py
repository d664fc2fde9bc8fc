"""Documents: every record comes back from BSON as it was, under the field names that the original's readers know."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, get_type_hints

import bson
import msgspec
import pytest
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidDocument
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.computed import body_of
from data_manager.storage.mongo.documents import (
    CODEC,
    DOCUMENTS,
    MAX_BYTES,
    ROW_ERRORS,
    collection_of,
    require_encodable,
)
from data_manager.storage.records import (
    ALL_SYMBOLS,
    CATEGORIES,
    MARKET_RECORDS,
    TIMEFRAMES,
    Analytics,
    Candle,
    Depth,
    Funding,
    Levels,
    OpenCandle,
    Quarantined,
    Record,
    Series,
    Symbol,
    Ticker,
    Trade,
)
from tests.storage.examples import BTC, ONE_OF_EACH, T0, agg_trade, candle, depth, document, quarantined, trade

integers = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]))
decimals = st.decimals(0, 10**12, places=8).map(lambda number: format(number, "f"))
VALUES: dict[object, st.SearchStrategy[Any]] = {
    int: integers,
    int | None: st.none() | integers,
    str: text,
    str | None: st.none() | text,
    bool: st.booleans(),
    bytes: st.binary(),
    Levels: st.lists(st.tuples(text, text), max_size=4).map(tuple),
}
names = st.text("abcxyz_.5ü", min_size=1)
json_values = st.recursive(
    st.none() | text | integers | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
NARROW: dict[tuple[type[Record], str], st.SearchStrategy[Any]] = {
    (Trade, "kind"): st.sampled_from(["trade", "aggTrade"]),
    (Trade, "price"): decimals,
    (Trade, "quantity"): decimals,
    (Candle, "timeframe"): st.sampled_from(sorted(TIMEFRAMES)),
    (Analytics, "timeframe"): st.sampled_from(sorted(TIMEFRAMES)),
    (Analytics, "category"): st.sampled_from(CATEGORIES),
    (Analytics, "body"): st.builds(body_of, *[st.dictionaries(names, json_values, max_size=3)] * 2),
}


def any_of(record: type[Record]) -> st.SearchStrategy[Record]:
    hints = get_type_hints(record)
    return st.builds(record, *(NARROW.get((record, name), VALUES[hints[name]]) for name in record.__struct_fields__))


def through_bson(record: Record) -> dict[str, Any]:
    return bson.decode(bson.encode(DOCUMENTS[type(record)].row(BTC, 0, record).document), CODEC)


@pytest.mark.parametrize("record", MARKET_RECORDS)
def test_any_record_comes_back_equal(record: type[Record]) -> None:
    @given(any_of(record))
    @settings(derandomize=True, deadline=None, max_examples=50)
    def check(value: Record) -> None:
        back = DOCUMENTS[record].record_of(through_bson(value))
        assert back == value
        assert list(map(type, msgspec.structs.astuple(back))) == list(map(type, msgspec.structs.astuple(value)))

    check()


@given(any_of(Trade))
@settings(derandomize=True, deadline=None, max_examples=50)
def test_a_trade_says_its_exact_worth_and_its_side(value: Trade) -> None:  # type: ignore[misc]
    document = through_bson(value)
    with_room = Decimal(value.price) * Decimal(value.quantity)  # at most 20 + 20 digits
    assert abs(Decimal(document["quote_quantity"]) - with_room) <= abs(with_room) * Decimal("1e-27")
    assert "E" not in document["quote_quantity"]
    assert document["side"] == value.side


def test_the_worth_of_a_trade_has_no_rounding() -> None:
    document = through_bson(trade(1, price="123456789012345.12345678", quantity="987654321098765.87654321"))
    assert document["quote_quantity"].replace(".", "") == str(12345678901234512345678 * 98765432109876587654321)


@pytest.mark.parametrize(("record", "names"), [
    (trade(1), "trade_id timestamp price quantity quote_quantity is_buyer_maker side"),
    (candle(0), "timestamp open high low close volume quote_volume trades_count timeframe"),
    (depth(1), "timestamp bids asks last_update_id"),
    (ONE_OF_EACH[4], "timestamp open_price high_price low_price close_price volume quote_volume price_change "
                     "price_change_percent trades_count"),
    (Funding(T0, T0, "0.1", None, True, 1, 1, T0), "timestamp funding_rate mark_price"),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_fields_have_the_names_of_the_original(record: Record, names: str) -> None:
    document = through_bson(record)
    assert {"symbol", *names.split()} <= document.keys()
    assert document["symbol"] == BTC
    assert document["timestamp"] == DatetimeMS(getattr(record, record.time_field))


def test_every_row_dates_its_storage_for_retention() -> None:
    assert all(through_bson(record)["stored_at"] == DatetimeMS(T0) for record in ONE_OF_EACH)


def test_the_levels_of_a_book_are_documents() -> None:
    document = through_bson(depth(1))
    assert document["bids"] == [{"price": "43123.10", "quantity": "1.5"}, {"price": "43123.00", "quantity": "0"}]
    assert document["asks"] == []


@pytest.mark.parametrize(("record", "identity"), [
    (trade(7), "BTCUSDT_t7"),
    (agg_trade(7), "BTCUSDT_a7"),
    (candle(0), f"BTCUSDT_{T0}"),
    (depth(5), "BTCUSDT_5"),
    (ONE_OF_EACH[2], "BTCUSDT_1m"),
    (ONE_OF_EACH[4], f"BTCUSDT_24hrMiniTicker_{T0}"),
    (ONE_OF_EACH[5], f"BTCUSDT_markPriceUpdate_{T0}"),
    (ONE_OF_EACH[6], f"BTCUSDT_{T0}"),
    (ONE_OF_EACH[7], f"BTCUSDT_{T0}_SELL_43000_0.5"),
    (ONE_OF_EACH[8], f"BTCUSDT_{T0}"),
    (document(0), f"BTCUSDT_1h_{T0}"),
    (quarantined(9), "BTCUSDT_5_9"),
], ids=lambda value: type(value).__name__)  # fmt: skip
def test_the_id_is_the_natural_key(record: Record, identity: str) -> None:
    assert through_bson(record)["_id"] == identity


def test_collections_have_the_names_of_the_original_or_are_shared() -> None:
    assert collection_of(Series(BTC, Trade)) == "trades_BTCUSDT"
    assert collection_of(Series(BTC, Candle, "4h")) == "candles_BTCUSDT_4h"
    assert collection_of(Series(Symbol("1000PEPEUSDT"), Ticker)) == "tickers_1000PEPEUSDT"
    assert collection_of(Series(BTC, OpenCandle)) == "open_candles"
    assert collection_of(Series(ALL_SYMBOLS, Quarantined)) == "quarantine"
    assert collection_of(Series(BTC, Analytics, category="trend")) == "analytics_BTCUSDT_trend"
    for category in ("correlation_matrix", "market_overview"):
        assert collection_of(Series(ALL_SYMBOLS, Analytics, category=category)) == f"analytics_{category}"


def test_the_body_of_a_document_is_spread_out_under_the_names_of_the_original() -> None:
    said = {"imbalance": {"5": 0.5, "10": None}, "hourly_pattern": {"0": 0.25}}
    body = body_of(said, {"method": "m", "completeness": 12.5, "reasons": {"imbalance.10": "too thin"}})
    found = through_bson(document(category="spread", body=body))
    assert {name: found[name] for name in found if name not in ("stored_at", "computed_at", "state", "category")} == {
        "_id": f"BTCUSDT_1h_{T0}",
        "symbol": "BTCUSDT",
        "timeframe": "1h",
        "timestamp": DatetimeMS(T0),
        "imbalance": {"5": "0.5", "10": None},
        "hourly_pattern": {"0": "0.25"},
        "metadata": {
            "method": "m",
            "completeness": 12.5,
            "reasons": {"imbalance/10": "too thin"},  # a dot in a name is a path
            "computed_at": DatetimeMS(T0 + 7),
        },
    }


@pytest.mark.parametrize("bad", [
    trade(7, price=None),
    trade(7, price="12,5"),
    trade(7, price="1e99", quantity="1e99"),
    trade(7, price="1" * 40, quantity="3" * 40),
    trade(7, time_ms=2**63),
    trade(7, feed_seq=2**63),
    trade(7, is_buyer_maker="yes"),
    trade(7, order_type="\ud800"),
    candle(7, timeframe="3m"),
    Depth(7, T0, 7, [["1", "2"]], (), 1, 1, T0),  # type: ignore[arg-type]
    quarantined(7, raw="text"),
    document(7, timeframe="3m"),
    document(7, category="market_overview"),
    document(7, body="{"),
    document(7, body="[]"),
    document(7, body='{"a":1}'),
    document(7, body='{"state":"empty","metadata":{}}'),
], ids=lambda record: type(record).__name__)  # fmt: skip
def test_what_is_no_such_record_is_refused(bad: Record) -> None:
    with pytest.raises(ROW_ERRORS):
        require_encodable(DOCUMENTS[type(bad)].row(BTC, 0, bad).document)


def test_a_document_beyond_the_servers_limit_is_refused() -> None:
    with pytest.raises(InvalidDocument, match="bytes"):
        require_encodable(DOCUMENTS[Quarantined].row(BTC, 0, quarantined(1, raw=b"x" * MAX_BYTES)).document)

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import answers
from data_manager.storage.records import Candle, Depth, Funding, Source, Trade
from data_manager.system.errors import DataError
from tests.actors.backfill.rows import agg_trade, funding_rate, kline

T0 = 1_800_000_000_000
HOUR = Range(T0, T0 + 3_600_000)
NOW = T0 + 7_200_000
MINUTE = 60_000


def body(*rows: object) -> bytes:
    return json.dumps(rows).encode()


def bars(*rows: object, closed_before_ms: int = NOW) -> list[Candle]:
    return answers.klines(body(*rows), "1m", HOUR, closed_before_ms, NOW)


def test_a_kline_becomes_a_complete_candle_of_rest_with_the_exchanges_own_text():
    assert bars(kline(T0)) == [
        Candle(
            timeframe="1m",
            open_time=T0,
            open="10.10",
            high="10.30",
            low="9.90",
            close="10.20",
            volume="5.500",
            quote_volume="55.66",
            trades_count=7,
            taker_buy_volume="2.500",
            taker_buy_quote_volume="25.30",
            source=Source.REST.value,
            complete=True,
            first_id=None,
            last_id=None,
            feed_seq=0,
            market_seq=0,
            stored_ms=NOW,
        )
    ]


@pytest.mark.parametrize(("as_of", "kept"), [(T0 + MINUTE - 1, 0), (T0 + MINUTE, 1), (T0 + 2 * MINUTE, 2)])
def test_a_bar_that_is_still_open_is_dropped(as_of: int, kept: int):
    assert len(bars(kline(T0), kline(T0 + MINUTE), closed_before_ms=as_of)) == kept


def test_an_aggregate_trade_covers_its_raw_ids():
    assert answers.agg_trades(body(agg_trade(5, T0), agg_trade(6, T0)), NOW)[0] == Trade(
        kind="aggTrade",
        trade_id=5,
        time_ms=T0,
        price="10.10",
        quantity="0.010",
        is_buyer_maker=False,
        first_id=15,
        last_id=17,
        order_type="MARKET",
        feed_seq=0,
        market_seq=0,
        stored_ms=NOW,
    )


def test_a_funding_rate_is_settled_and_its_time_is_to_the_minute():
    assert answers.funding_rates(body(funding_rate(T0 + 3)), "BTCUSDT", HOUR, NOW) == [
        Funding(
            funding_time=T0,
            event_time=T0 + 3,
            funding_rate="-0.00012000",
            mark_price="110850.40000000",
            settled=True,
            feed_seq=0,
            market_seq=0,
            stored_ms=NOW,
        )
    ]


def test_an_old_funding_rate_has_no_mark_price():
    old = funding_rate(T0) | {"markPrice": ""}
    (rate,) = answers.funding_rates(body(old), "BTCUSDT", HOUR, NOW)
    assert rate.mark_price is None


def test_the_book_has_its_levels_best_first():
    text = b'{"lastUpdateId":7,"E":1800000000005,"T":1800000000003,"bids":[["10.1","2"],["10.0","1"]],"asks":[]}'
    assert answers.depth(text, NOW) == Depth(7, T0 + 3, 7, (("10.1", "2"), ("10.0", "1")), (), 0, 0, NOW)


def test_what_is_traded_and_what_time_it_is():
    listed = {"symbol": "BTCUSDT", "status": "TRADING", "contractType": "PERPETUAL", "onboardDate": 5, "pair": "x"}
    (symbol,) = answers.exchange_info(json.dumps({"timezone": "UTC", "symbols": [listed]}).encode()).symbols
    assert (symbol.symbol, symbol.status, symbol.contract_type, symbol.onboard_date) == (
        "BTCUSDT",
        "TRADING",
        "PERPETUAL",
        5,
    )
    assert answers.server_time(b'{"serverTime":1800000000000}') == T0


def test_no_rows_are_an_answer_too():
    assert bars() == []
    assert answers.agg_trades(b"[]", NOW) == []
    assert answers.funding_rates(b"[]", "BTCUSDT", HOUR, NOW) == []


def with_cell(place: int, value: object) -> list[object]:
    row = kline(T0)
    row[place] = value
    return row


@pytest.mark.parametrize(
    "row",
    [
        with_cell(1, "0"),
        with_cell(3, "1e5"),
        with_cell(4, "NaN"),
        with_cell(5, "-1"),
        with_cell(7, "1,0"),
        with_cell(9, ""),
        with_cell(0, T0 + 1),
        with_cell(0, T0 - MINUTE),
        with_cell(0, HOUR.end_ms),
    ],
)
def test_a_bar_that_cannot_be_true_or_was_not_asked_for_is_an_error(row: list[object]):
    with pytest.raises(DataError):
        bars(row)


@pytest.mark.parametrize("row", [with_cell(1, 10.1), with_cell(8, "7"), with_cell(0, 1_800_000_000), [T0], {"t": T0}])
def test_a_row_of_another_shape_is_an_error(row: object):
    with pytest.raises(msgspec.ValidationError):
        bars(row)


@pytest.mark.parametrize(
    "read",
    [
        lambda: bars(kline(T0 + MINUTE), kline(T0)),
        lambda: bars(kline(T0), kline(T0)),
        lambda: answers.agg_trades(body(agg_trade(6, T0), agg_trade(5, T0)), NOW),
        lambda: answers.agg_trades(body(agg_trade(5, T0) | {"f": 18}), NOW),
        lambda: answers.agg_trades(body(agg_trade(5, T0) | {"q": "0"}), NOW),
        lambda: answers.funding_rates(body(funding_rate(T0, "ETHUSDT")), "BTCUSDT", HOUR, NOW),
        lambda: answers.funding_rates(body(funding_rate(T0) | {"fundingRate": "x"}), "BTCUSDT", HOUR, NOW),
        lambda: answers.funding_rates(body(funding_rate(HOUR.end_ms)), "BTCUSDT", HOUR, NOW),
        lambda: answers.depth(b'{"lastUpdateId":7,"T":1800000000003,"bids":[["x","2"]],"asks":[]}', NOW),
    ],
)
def test_rows_out_of_order_of_another_symbol_or_with_bad_numbers_are_errors(read: Callable[[], Any]):
    with pytest.raises(DataError):
        read()

"""The bytes of every kind of event, spelled out for one made-up market state."""

from __future__ import annotations

import random

import orjson
import pytest

from data_manager.actors.exchange import wire
from data_manager.actors.exchange.bars import Order, SimBar, SimTrade
from data_manager.actors.exchange.instruments import instrument
from data_manager.actors.exchange.market import Ticker
from data_manager.actors.exchange.quotes import Book, Mark

BTC = instrument(7, "BTCUSDT")
NOW = 1_760_918_400_123
BAR = SimBar(
    open=1_108_510,
    high=1_111_800,
    low=1_107_023,
    close=1_110_201,
    volume=6_120_443,
    quote=6_793_152_040_000,
    taker_buy_volume=3_188_102,
    taker_buy_quote=3_538_810_020_000,
    first_id=6_765_432_001,
    last_id=6_765_618_440,
)


def text(event: wire.Event) -> str:
    return orjson.dumps(event).decode()


def test_a_trade() -> None:
    trade = SimTrade(6_765_432_101, NOW - 3, 1_108_504, 12, sell=False)
    assert text(wire.trade_event(BTC, NOW, trade)) == (
        '{"e":"trade","E":1760918400123,"T":1760918400120,"s":"BTCUSDT","t":6765432101,'
        '"p":"110850.40","q":"0.012","X":"MARKET","m":false}'
    )


def test_an_agg_trade() -> None:
    order = Order(2_893_746_512, 6_765_432_100, 6_765_432_101, NOW - 3, 1_108_504, 350, 12, sell=True)
    assert text(wire.agg_trade_event(BTC, NOW, order)) == (
        '{"e":"aggTrade","E":1760918400123,"s":"BTCUSDT","a":2893746512,"p":"110850.40","q":"0.350",'
        '"f":6765432100,"l":6765432101,"T":1760918400120,"m":true}'
    )


def test_a_ticker() -> None:
    assert text(wire.ticker_event(BTC, NOW, Ticker(1_760_832_000_000, BAR, 12))) == (
        '{"e":"24hrTicker","E":1760918400123,"s":"BTCUSDT","p":"169.10","P":"0.153","w":"110991.18",'
        '"c":"111020.10","Q":"0.012","o":"110851.00","h":"111180.00","l":"110702.30","v":"6120.443",'
        '"q":"679315204.00","O":1760832000000,"C":1760918400123,"F":6765432001,"L":6765618440,"n":186440}'
    )


def test_a_falling_ticker_has_a_negative_change() -> None:
    falling = BAR._replace(open=BAR.close, close=BAR.open)
    event = wire.ticker_event(BTC, NOW, Ticker(0, falling, 1))
    assert (event["p"], event["P"]) == ("-169.10", "-0.152")


def test_a_partial_book() -> None:
    book = Book(8_812_345_679_044, [(1_108_503, 4512), (1_108_502, 120)], [(1_108_504, 3377), (1_108_505, 650)])
    assert text(wire.depth_event(BTC, NOW, NOW - 3, book, 8_812_345_678_890)) == (
        '{"e":"depthUpdate","E":1760918400123,"T":1760918400120,"s":"BTCUSDT",'
        '"U":8812345678891,"u":8812345679044,"pu":8812345678890,'
        '"b":[["110850.30","4.512"],["110850.20","0.120"]],"a":[["110850.40","3.377"],["110850.50","0.650"]]}'
    )


def test_a_book_ticker() -> None:
    book = Book(8_812_345_679_100, [(1_108_503, 4498)], [(1_108_504, 3377)])
    assert text(wire.book_ticker_event(BTC, NOW, NOW - 3, book)) == (
        '{"e":"bookTicker","u":8812345679100,"E":1760918400123,"T":1760918400120,"s":"BTCUSDT",'
        '"b":"110850.30","B":"4.498","a":"110850.40","A":"3.377"}'
    )


def test_a_mark_price() -> None:
    mark = Mark(11_084_671_500_000, 11_089_802_333_333, -10_000, 1_760_947_200_000)
    assert text(wire.mark_price_event(BTC, NOW, mark)) == (
        '{"e":"markPriceUpdate","E":1760918400123,"s":"BTCUSDT","p":"110846.71500000","i":"110898.02333333",'
        '"P":"110898.02333333","r":"-0.00010000","T":1760947200000}'
    )


@pytest.mark.parametrize("closed", [True, False])
def test_a_kline(closed: bool) -> None:
    assert text(wire.kline_event(BTC, NOW, 1_760_918_340_000, BAR, closed)) == (
        '{"e":"kline","E":1760918400123,"s":"BTCUSDT","k":{"t":1760918340000,"T":1760918399999,"s":"BTCUSDT",'
        '"i":"1m","f":6765432001,"L":6765618440,"o":"110851.00","c":"111020.10","h":"111180.00",'
        f'"l":"110702.30","v":"6120.443","n":186440,"x":{str(closed).lower()},"q":"679315204.00000",'
        '"V":"3188.102","Q":"353881002.00000","B":"0"}}'
    )


def test_the_envelope() -> None:
    event = wire.trade_event(BTC, NOW, SimTrade(1, NOW, 1_108_504, 12, sell=True))
    stamp, message = "2025-10-20T00:00:00.131245Z", random.Random(1)
    written = wire.envelope(event, stamp, message).decode()
    head, _, tail = written.partition(text(event))
    assert head == '{"stream":"btcusdt@trade","data":'
    assert tail.startswith(f',"timestamp":"{stamp}","message_id":"')
    assert tail.endswith('","source":"binance-websocket","version":"1.0"}')


def test_message_ids_come_from_the_given_randomness() -> None:
    event = wire.trade_event(BTC, NOW, SimTrade(1, NOW, 1_108_504, 12, sell=True))
    one, same, other = (wire.envelope(event, "", random.Random(seed)) for seed in (1, 1, 2))
    assert one == same != other

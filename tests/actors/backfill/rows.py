"""What the exchange has, in its own words, with every number told by its time or id."""

from __future__ import annotations

from data_manager.storage.records import TIMEFRAMES

Row = dict[str, object]


def kline(open_time: int, timeframe: str = "1m") -> list[object]:
    close_time = open_time + TIMEFRAMES[timeframe] - 1
    return [open_time, "10.10", "10.30", "9.90", "10.20", "5.500", close_time, "55.66", 7, "2.500", "25.30", "0"]


def agg_trade(agg_id: int, time_ms: int) -> Row:
    first = 3 * agg_id
    return {
        "a": agg_id,
        "p": "10.10",
        "q": "0.010",
        "f": first,
        "l": first + 2,
        "T": time_ms,
        "m": agg_id % 2 == 0,
        "nq": "0.010",  # a field that newer answers have
    }


def funding_rate(funding_time: int, symbol: str = "BTCUSDT") -> Row:
    return {
        "symbol": symbol,
        "fundingTime": funding_time,
        "fundingRate": "-0.00012000",
        "markPrice": "110850.40000000",
        "indexPrice": "110850.4",
    }

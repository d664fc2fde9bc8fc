from __future__ import annotations

from typing import Any

import pytest

from data_manager.actors.audit.contradictions import contradicts
from data_manager.actors.audit.measured import HOUR_MS, Hourly
from data_manager.storage.records import BookTicker, Candle, Depth, Funding, Liquidation, MarkPrice, Record, Ticker
from tests.storage.examples import T0, candle, trade


def depth(bid: str, ask: str) -> Depth:
    return Depth(1, T0, 1, ((bid, "1"),), ((ask, "1"),), 0, 0, T0)


def ticker(high: str = "4", low: str = "1", close: str = "3") -> Ticker:
    return Ticker("24hrTicker", 1, T0, "2", high, low, close, "1", "1", None, None, None, 0, 0, T0)


TRUE: list[Record] = [
    candle(0),
    candle(0, open="10", high="10.0", low="9.5", close="9.50"),  # numbers, not texts
    candle(0, taker_buy_volume=None, quote_volume=None),
    trade(1),
    depth("99.9", "100.0"),
    Depth(1, T0, 1, (), (("1", "1"),), 0, 0, T0),
    BookTicker(1, T0, 1, "9", "1", "9", "1", 0, 0, T0),
    ticker(),
    MarkPrice(1, T0, "43000.1", None, None, None, None, 0, 0, T0),
    Funding(T0, T0, "-0.0075", None, True, 0, 0, T0),
    Liquidation(T0, "SELL", "1", "1", None, None, None, None, 0, 0, T0),
]


@pytest.mark.parametrize("row", TRUE, ids=lambda row: type(row).__name__)
def test_what_can_be_true_does_not_contradict_itself(row: Record) -> None:
    assert not contradicts(row)


@pytest.mark.parametrize(
    "fields",
    [
        {"low": "5"},
        {"open": "4.1"},
        {"close": "0.4"},
        {"volume": "-1", "taker_buy_volume": None},
        {"taker_buy_volume": "100.001"},
        {"taker_buy_quote_volume": "151"},
        {"open_time": T0 + 1},
        {"timeframe": "1h"},  # T0 is no whole hour
        {"high": "no number"},
    ],
)
def test_a_bar_whose_numbers_cannot_all_be_true_does(fields: dict[str, Any]) -> None:
    assert contradicts(candle(0, **fields))


@pytest.mark.parametrize(
    "row",
    [
        trade(1, last_id=0),
        trade(1, price="0"),
        trade(1, quantity="-1"),
        depth("100.0", "100.00"),
        BookTicker(1, T0, 1, "10", "1", "9", "1", 0, 0, T0),
        ticker(close="5"),
        ticker(low="3.5"),
        MarkPrice(1, T0, "0.0", None, None, None, None, 0, 0, T0),
        Funding(T0, T0, "1.5", None, True, 0, 0, T0),
    ],
    ids=lambda row: type(row).__name__,
)
def test_so_does_any_other_row(row: Record) -> None:
    assert contradicts(row)


def test_counts_are_kept_by_the_hour_and_no_longer_than_they_are_asked_for() -> None:
    counts = Hourly()
    hour = T0 // HOUR_MS * HOUR_MS
    bars = [candle(0, open_time=hour + minute * 60_000) for minute in range(0, 180, 30)]
    broken = candle(0, open_time=hour, low="9")
    counts.read([*bars, broken], Candle.time_field, hour)
    counts.read([candle(0, open_time=hour - 1)], Candle.time_field, hour)  # of no interest any more
    counts.at(hour).repeats += 1
    everything = counts.since(hour)
    assert (everything.rows, everything.contradictions, everything.repeats) == (7, 1, 1)
    assert everything.consistency == pytest.approx(100 * 5 / 7)
    assert counts.since(hour + HOUR_MS).rows == 4
    assert counts.since(hour).rows == 4


def test_without_rows_nothing_is_known_of_their_consistency() -> None:
    assert Hourly().since(0).consistency is None

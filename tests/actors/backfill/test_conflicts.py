"""Two rows that contradict each other are one conflict, however often they are met."""

from __future__ import annotations

import json

from msgspec.structs import replace

from data_manager.actors.backfill.conflicts import MAX_CONFLICTS, conflicts
from data_manager.storage.protocols import Difference
from data_manager.storage.records import Candle, Series, Trade
from tests.actors.backfill.working import BTC, NOW
from tests.storage.examples import agg_trade, candle

BARS = Series(BTC, Candle, "1m")
STORED, OFFERED = candle(0, source="kline", feed_seq=5), candle(0, source="rest", close="1.00")


def test_both_rows_are_kept_whole_under_their_key() -> None:
    (conflict,) = conflicts(BARS, [Difference(STORED, OFFERED)], NOW)
    assert json.loads(conflict.stored_row)["feed_seq"] == 5
    assert json.loads(conflict.offered_row)["close"] == "1.00"
    assert (conflict.row_key, conflict.dataset_id) == (f"1m/{STORED.open_time}", "candles_BTCUSDT_1m")
    assert (conflict.symbol, conflict.source, conflict.at_ms) == (BTC, "rest", NOW)


def test_the_same_contradiction_is_the_same_conflict() -> None:
    (first,) = conflicts(BARS, [Difference(STORED, OFFERED)], NOW)
    (again,) = conflicts(BARS, [Difference(replace(STORED, feed_seq=9), replace(OFFERED, stored_ms=9))], NOW + 1)
    assert again.conflict_id == first.conflict_id


def test_another_value_is_another_conflict() -> None:
    (first,) = conflicts(BARS, [Difference(STORED, OFFERED)], NOW)
    (other,) = conflicts(BARS, [Difference(STORED, replace(OFFERED, close="2.00"))], NOW)
    assert other.conflict_id != first.conflict_id


def test_a_trade_is_found_by_its_kind_and_id() -> None:
    (conflict,) = conflicts(Series(BTC, Trade), [Difference(agg_trade(7), agg_trade(7, price="1.00"))], NOW)
    assert conflict.row_key == "aggTrade/7"


def test_more_than_can_be_read_are_not_kept() -> None:
    many = [Difference(STORED, replace(OFFERED, open_time=number)) for number in range(MAX_CONFLICTS + 5)]
    assert len(conflicts(BARS, many, NOW)) == MAX_CONFLICTS

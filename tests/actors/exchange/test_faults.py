"""Faults on demand: answers in the order they were set, and rows that are not there."""

from __future__ import annotations

import pytest

from data_manager.actors.exchange.faults import (
    MAX_FAULTS,
    Banned,
    Empty,
    Faults,
    MissingIds,
    ServerError,
    TooMany,
)

KLINES, TRADES = "/fapi/v1/klines", "/fapi/v1/aggTrades"


def test_answers_come_in_order_and_count_down() -> None:
    faults = Faults([TooMany(route=KLINES, count=2), Banned(count=1)])
    assert isinstance(faults.take(TRADES), Banned)
    assert [type(faults.take(KLINES)) for _ in range(3)] == [TooMany, TooMany, type(None)]
    assert faults.active() == []


def test_without_a_count_an_answer_stays_until_it_is_cleared() -> None:
    faults = Faults([ServerError(status=502)])
    assert [faults.take(KLINES) for _ in range(3)] == [ServerError(status=502)] * 3
    faults.clear()
    assert faults.take(KLINES) is None


def test_an_empty_interval_hides_moments_in_it_and_bars_inside_it() -> None:
    faults = Faults([Empty("BTCUSDT", 1000, 2000)])
    assert [faults.has_rows("BTCUSDT", at) for at in (999, 1000, 1999, 2000)] == [True, False, False, True]
    assert not faults.has_rows("BTCUSDT", 1000, 2000)
    assert faults.has_rows("BTCUSDT", 1000, 2001)
    assert faults.has_rows("BTCUSDT", 999, 2000)
    assert faults.has_rows("ETHUSDT", 1000, 2000)


def test_missing_ids_are_those_of_one_symbol_both_ends_included() -> None:
    faults = Faults([MissingIds("BTCUSDT", 5, 6)])
    assert [faults.has_id("BTCUSDT", agg_id) for agg_id in (4, 5, 6, 7)] == [True, False, False, True]
    assert faults.has_id("ETHUSDT", 5)
    faults.clear()
    assert faults.has_id("BTCUSDT", 5)


def test_faults_are_bounded() -> None:
    faults = Faults([TooMany()] * MAX_FAULTS)
    with pytest.raises(ValueError, match="clear them first"):
        faults.add(TooMany())

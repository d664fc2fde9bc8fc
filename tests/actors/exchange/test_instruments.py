"""Exact decimal text, and what is traded."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.exchange.instruments import decimal_text, instrument

PURE = settings(derandomize=True, deadline=None, max_examples=100)
NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=2, max_size=12)


@PURE
@given(st.integers(-(10**20), 10**20), st.integers(0, 12))
def test_decimal_text_is_exact_and_shows_every_decimal(units: int, scale: int) -> None:
    text = decimal_text(units, scale)
    assert Decimal(text) == Decimal(units).scaleb(-scale)
    assert len(text.partition(".")[2]) == scale
    assert "e" not in text.lower()


def test_small_negative_amounts_keep_their_sign() -> None:
    assert decimal_text(-5, 3) == "-0.005"
    assert decimal_text(-1520, 2) == "-15.20"


@pytest.mark.parametrize(
    ("symbol", "ticks", "price", "quantity"),
    [
        ("BTCUSDT", 1_108_504, "110850.40", "0.012"),
        ("ETHUSDT", 398_520, "3985.20", "0.012"),
        ("ADAUSDT", 6512, "0.65120", "12"),
        ("SOLUSDT", 18_932, "189.3200", "0.12"),
    ],
)
def test_listed_symbols_are_written_as_binance_writes_them(symbol: str, ticks: int, price: str, quantity: str) -> None:
    listed = instrument(7, symbol)
    assert listed.price(ticks) == price
    assert listed.quantity(12) == quantity
    assert round(listed.base_ticks) == ticks


@PURE
@given(NAMES, st.integers(0, 1000))
def test_an_unlisted_symbol_is_made_up_from_the_seed(name: str, seed: int) -> None:
    listed = instrument(seed, name)
    assert listed == instrument(seed, name)
    assert 2_000 < listed.base_ticks < 2_000_000
    assert 0 <= listed.price_scale <= 8
    assert listed.lots_per_minute > 100


def test_symbols_of_any_script_are_instruments() -> None:
    assert instrument(7, "币安人生USDT").base_price != instrument(8, "币安人生USDT").base_price


@PURE
@given(NAMES, st.integers(1, 10**7), st.integers(1, 10**7))
def test_a_quote_amount_is_price_times_quantity(name: str, ticks: int, lots: int) -> None:
    listed = instrument(7, name)
    product = Decimal(listed.price(ticks)) * Decimal(listed.quantity(lots))
    assert Decimal(listed.quote(ticks * lots)) == product

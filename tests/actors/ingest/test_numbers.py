from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.ingest.numbers import (
    check_column,
    check_plain,
    check_positive,
    check_signed,
    check_trade,
)
from data_manager.system.errors import DataError

pure = settings(derandomize=True, deadline=None, max_examples=300)

NEAR_NUMBERS = st.text("0123456789.- e+_\n\u0663", max_size=40) | st.from_regex(r"[0-9]{0,22}(\.[0-9]{0,20})?")

PLAIN = re.compile(r"\A[0-9]{1,20}(\.[0-9]{1,18})?\Z")
SHORT = re.compile(r"\A[0-9]{1,15}(\.[0-9]{1,12})?\Z")


def is_taken(check: Callable[..., object], *texts: str) -> bool:
    try:
        check(*texts)
    except DataError:
        return False
    return True


def is_positive(text: str) -> bool:
    return bool(SHORT.match(text)) and any(digit in text for digit in "123456789")


@pytest.mark.parametrize("text", ["0", "1", "0.5", "110850.40", "007", "9" * 20 + "." + "9" * 18])
def test_plain_decimals_are_taken(text: str) -> None:
    assert is_taken(check_plain, text)
    assert is_taken(check_signed, text, f"-{text}")


@pytest.mark.parametrize(
    "text",
    ["", ".", ".5", "5.", "1e5", "1E-8", "+1", "nan", "inf", " 1", "1 ", "1\n", "1 2", "1,5", "0x10", "1_000",
     "\u0661", "--1", "9" * 21, "0." + "9" * 19, "1.2.3"],
)  # fmt: skip
def test_other_texts_are_refused_alone_and_among_good_ones(text: str) -> None:
    for check in (check_plain, check_signed, check_positive):
        assert not is_taken(check, text)
        assert not is_taken(check, "1", text)
        assert not is_taken(check, text, "1")
    assert not is_taken(check_trade, text, "1")
    assert not is_taken(check_trade, "1", text)


def test_the_sentence_names_the_first_number_that_breaks_the_rule() -> None:
    with pytest.raises(DataError, match="'1e5' is not a plain decimal") as caught:
        check_plain("1", "1e5", "nan")
    assert caught.value.reason == "bad_number"


@pytest.mark.parametrize("text", ["0", "0.0", "00.000", "-1", "9" * 16, "0." + "0" * 12 + "1"])
def test_a_trade_needs_numbers_above_zero_that_sum_exactly(text: str) -> None:
    assert not is_taken(check_positive, text)
    assert not is_taken(check_trade, text, "1")
    assert not is_taken(check_trade, "1", text)


def test_numbers_that_were_not_sent_are_no_matter() -> None:
    check_plain(None, "1", None)
    check_signed(None)
    check_plain()
    assert check_column([]) == ""


@pure
@given(st.lists(NEAR_NUMBERS, min_size=1, max_size=5))
def test_a_list_is_taken_when_each_of_its_numbers_is(texts: list[str]) -> None:
    plain = [bool(PLAIN.match(text)) for text in texts]
    assert is_taken(check_plain, *texts) == all(plain)
    signed = [bool(PLAIN.match(text.removeprefix("-"))) for text in texts]
    assert is_taken(check_signed, *texts) == all(signed)
    assert is_taken(check_positive, *texts) == all(map(is_positive, texts))


@pure
@given(NEAR_NUMBERS, NEAR_NUMBERS)
def test_a_trade_is_taken_when_both_its_numbers_are_positive(price: str, quantity: str) -> None:
    assert is_taken(check_trade, price, quantity) == (is_positive(price) and is_positive(quantity))


@pure
@given(st.lists(st.from_regex(PLAIN), max_size=5))
def test_a_column_is_its_numbers_each_with_a_blank(texts: list[str]) -> None:
    assert check_column(texts) == "".join(f"{text} " for text in texts)

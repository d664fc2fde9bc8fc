"""Decimal text: what of it is taken.

Numbers stay the exchange's own text, so they are checked as text: digits, at most one point with digits on
both sides, no exponent, no white space, no `nan`. The checks raise DataError `bad_number`. Several numbers
are checked as one text: a call of the pattern costs more than its digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from data_manager.actors.ingest.quarantine import BAD_NUMBER
from data_manager.system.errors import DataError

# Candles add up price x quantity exactly in 60 digits: with 15 digits before and 12 after the point a product
# has at most 30 and 24, which leaves room for a million of them.
TRADE_WHOLE, TRADE_FRACTION = 15, 12
PLAIN_WHOLE, PLAIN_FRACTION = 20, 18  # for everything else; the widest seen have 14 and 8

_PLAIN = rf"[0-9]{{1,{PLAIN_WHOLE}}}+(?:\.[0-9]{{1,{PLAIN_FRACTION}}}+)?+"
_POSITIVE = rf"(?=[0.]*+[1-9])[0-9]{{1,{TRADE_WHOLE}}}+(?:\.[0-9]{{1,{TRADE_FRACTION}}}+)?+"

_Pattern = Callable[[str], re.Match[str] | None]

_two_positive = re.compile(f"{_POSITIVE} {_POSITIVE}").fullmatch
_all_positive = re.compile(f"(?:{_POSITIVE} )*+").fullmatch
_all_plain = re.compile(f"(?:{_PLAIN} )*+").fullmatch
_all_signed = re.compile(f"(?:-?+{_PLAIN} )*+").fullmatch


_POSITIVE_RULE = (
    f"a decimal above zero with at most {TRADE_WHOLE} digits before the point and {TRADE_FRACTION} after it"
)
_PLAIN_RULE = f"a plain decimal with at most {PLAIN_WHOLE} digits before the point and {PLAIN_FRACTION} after it"
_SIGNED_RULE = f"{_PLAIN_RULE} (a minus sign is allowed)"


def check_trade(price: str, quantity: str) -> None:
    """Both are positive and short enough for exact sums; the hot path of `check_positive`."""
    if not _two_positive(f"{price} {quantity}"):
        raise _bad((price, quantity), _all_positive, _POSITIVE_RULE)


def check_positive(*texts: str) -> None:
    """Each is a plain decimal greater than zero, with at most 15 digits before and 12 after the point."""
    _check(texts, _all_positive, _POSITIVE_RULE)


def check_plain(*texts: str | None) -> None:
    """Each is a plain decimal without a sign; None is a number that was not sent."""
    _check([text for text in texts if text is not None], _all_plain, _PLAIN_RULE)


def check_signed(*texts: str | None) -> None:
    """Each is a plain decimal, possibly negative; None is a number that was not sent."""
    _check([text for text in texts if text is not None], _all_signed, _SIGNED_RULE)


def check_column(texts: Sequence[str]) -> str:
    """Each is a plain decimal without a sign. Returns them as one text, each followed by a blank."""
    return _check(texts, _all_plain, _PLAIN_RULE)


def _check(texts: Sequence[str], pattern: _Pattern, rule: str) -> str:
    """A blank inside a number would make it two: hence the count."""
    joined = " ".join(texts) + " " if texts else ""
    if not pattern(joined) or joined.count(" ") != len(texts):
        raise _bad(texts, pattern, rule)
    return joined


def _bad(texts: Sequence[str], pattern: _Pattern, rule: str) -> DataError:
    """The sentence names the first number that breaks the rule."""
    bad = next(text for text in texts if " " in text or not pattern(f"{text} "))
    return DataError(BAD_NUMBER, f"{repr(bad)[:60]} is not {rule}.")

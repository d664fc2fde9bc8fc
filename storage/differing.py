"""Whether two rows under one key contradict each other. Pure.

They are compared in what the exchange says, as exact numbers: "7.6120" is "7.612". Where a row came from and when it
was stored is ours; what one side does not tell (None) cannot contradict the other.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from operator import attrgetter
from typing import Any

from data_manager.storage.records import Candle, Funding, Record, Source, Trade

# What the exchange says under a key. `order_type` is not in it: REST does not tell it, its rows have an assumed one.
_SAID: dict[type[Record], Callable[[Record], tuple[Any, ...]]] = {
    Trade: attrgetter("price", "quantity", "time_ms", "is_buyer_maker", "first_id", "last_id"),
    Candle: attrgetter(
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "trades_count",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    ),
    Funding: attrgetter("funding_rate", "mark_price"),
}


def differ(stored: Record, offered: Record) -> bool:
    """Whether two trades, candles or funding rates under one key say different things; the order does not matter.

    A derived bar that is known to be incomplete says nothing of the whole bar, and a predicted funding rate nothing
    of the settled one: neither contradicts anything.
    """
    if not (_is_final(stored) and _is_final(offered)):
        return False
    said = _SAID[type(stored)]
    one, other = said(stored), said(offered)
    return one != other and any(map(_contradict, one, other))


def _is_final(row: Record) -> bool:
    if isinstance(row, Candle):
        return row.complete or row.source != Source.TRADES
    return row.settled if isinstance(row, Funding) else True


def _contradict(one: str | int | None, other: str | int | None) -> bool:
    if one == other or one is None or other is None:
        return False
    if not (isinstance(one, str) and isinstance(other, str)):
        return True
    try:
        return Decimal(one) != Decimal(other)
    except InvalidOperation:
        return True  # what is no number is only like itself

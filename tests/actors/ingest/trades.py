"""Trades as the exchange makes them, for the tests of bars."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from data_manager.storage.records import MINUTE_MS, Trade

DAY = 1_760_918_400_000  # 2025-10-20 00:00 UTC
FIRST_ID = 6_765_432_101
FIRST_AGGREGATE = 2_893_746_512


def raw(
    trade_id: int,
    time_ms: int,
    price: str = "100.0",
    quantity: str = "1.00",
    sold: bool = False,
    order_type: str = "MARKET",
) -> Trade:
    return Trade("trade", trade_id, time_ms, price, quantity, sold, trade_id, trade_id, order_type, 0, 0, 0)


def aggregate(
    number: int,
    first_id: int,
    last_id: int,
    time_ms: int,
    price: str = "100.0",
    quantity: str = "1.00",
    sold: bool = False,
) -> Trade:
    return Trade("aggTrade", number, time_ms, price, quantity, sold, first_id, last_id, "MARKET", 0, 0, 0)


def text(units: int, scale: int) -> str:
    return format(Decimal(units).scaleb(-scale), "f")


@st.composite
def histories(
    draw: st.DrawFn, start: int = DAY, orders: int = 30, longest_pause_ms: int = 90_000
) -> tuple[list[Trade], list[Trade]]:
    """The raw trades and the aggTrades of one stretch of time, complete, each in order.

    An order fills in one to four trades of one price and instant, which are one aggTrade. Some trades are not
    MARKET: they take an id and no aggTrade shows them.
    """
    trades: list[Trade] = []
    aggregates: list[Trade] = []
    time_ms = start
    for _ in range(draw(st.integers(1, orders))):
        time_ms += draw(st.one_of(st.integers(0, 50), st.integers(0, longest_pause_ms)))
        first_id = FIRST_ID + len(trades)
        price = text(draw(st.integers(9_990, 10_010)), draw(st.sampled_from((2, 2, 2, 3))))
        sold = draw(st.booleans())
        if draw(st.integers(0, 7)) == 0:
            trades.append(raw(first_id, time_ms, price, "0.500", sold, "INSURANCE_FUND"))
            continue
        fills = draw(st.lists(st.integers(1, 5_000), min_size=1, max_size=4))
        trades += [raw(first_id + i, time_ms, price, text(units, 3), sold) for i, units in enumerate(fills)]
        aggregates.append(
            aggregate(
                FIRST_AGGREGATE + len(aggregates),
                first_id,
                first_id + len(fills) - 1,
                time_ms,
                price,
                text(sum(fills), 3),
                sold,
            )
        )
    return trades, aggregates


def minute_of(time_ms: int) -> int:
    return time_ms - time_ms % MINUTE_MS


def neighbours(
    stored: list[Trade], start: int, end: int
) -> tuple[Trade | None, Trade | None, Trade | None, Trade | None]:
    """What MarketStore.neighbours returns for these rows."""

    def order(trade: Trade) -> tuple[int, int]:
        return trade.time_ms, trade.trade_id

    def before(kind: str) -> Trade | None:
        return max((t for t in stored if t.kind == kind and t.time_ms < start), key=order, default=None)

    def after(kind: str) -> Trade | None:
        return min((t for t in stored if t.kind == kind and t.time_ms >= end), key=order, default=None)

    return before("trade"), before("aggTrade"), after("trade"), after("aggTrade")

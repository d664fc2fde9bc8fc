"""Orders, trades and the bars they add up to, in integer ticks and lots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

FILLS = (1, 2)  # raw trades of an order, by the parity of its place in the run


class Order(NamedTuple):
    """A taker order: one aggTrade, filled as the raw trades `first_id..last_id` at one price and time."""

    agg_id: int
    first_id: int
    last_id: int
    time_ms: int
    ticks: int
    lots: int
    first_lots: int  # of the first fill
    sell: bool  # the aggressor sold: the buyer was the maker


class SimTrade(NamedTuple):
    """A raw trade."""

    trade_id: int
    time_ms: int
    ticks: int
    lots: int
    sell: bool


class SimBar(NamedTuple):
    """A bar; `quote` and `taker_buy_quote` count lots times ticks."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    taker_buy_volume: int
    taker_buy_quote: int
    first_id: int
    last_id: int

    @property
    def trades(self) -> int:
        """Raw trades."""
        return self.last_id - self.first_id + 1


def fills(order: Order) -> Iterator[SimTrade]:
    """The raw trades of an order."""
    _, first_id, last_id, time_ms, ticks, lots, first_lots, sell = order
    yield SimTrade(first_id, time_ms, ticks, first_lots, sell)
    if last_id > first_id:
        yield SimTrade(last_id, time_ms, ticks, lots - first_lots, sell)


def bar_of(trades: Iterable[SimTrade]) -> SimBar:
    """The bar of trades (at least one) in the order of their ids."""
    return merge([_bar_of_one(trade) for trade in trades])


def merge(bars: Sequence[SimBar]) -> SimBar:
    """The bar of consecutive bars (at least one), oldest first."""
    opens, highs, lows, closes, volumes, quotes, buys, buy_quotes, firsts, lasts = zip(*bars, strict=True)
    return SimBar(
        open=opens[0],
        high=max(highs),
        low=min(lows),
        close=closes[-1],
        volume=sum(volumes),
        quote=sum(quotes),
        taker_buy_volume=sum(buys),
        taker_buy_quote=sum(buy_quotes),
        first_id=firsts[0],
        last_id=lasts[-1],
    )


def _bar_of_one(trade: SimTrade) -> SimBar:
    trade_id, _, ticks, lots, sell = trade
    quote = ticks * lots
    return SimBar(
        ticks, ticks, ticks, ticks, lots, quote, 0 if sell else lots, 0 if sell else quote, trade_id, trade_id
    )

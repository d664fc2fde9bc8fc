"""The events as Binance writes them, one struct per type.

Unknown keys are ignored; numbers are still unchecked text.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from data_manager.storage.records import Levels

MIN_TIME_MS = 1_483_228_800_000  # 2017, the year Binance opened; a time in seconds lies far below
MAX_TIME_MS = 4_102_444_799_999  # the end of 2099; a time in microseconds lies far above
MAX_INT = 2**63 - 1  # what the stores hold

Ms = Annotated[int, Meta(ge=MIN_TIME_MS, le=MAX_TIME_MS)]
Id = Annotated[int, Meta(ge=0, le=MAX_INT)]
Word = Annotated[str, Meta(max_length=32)]


class Event(msgspec.Struct, tag_field="e", frozen=True, gc=False):
    """Base of all events that name their type in `e`."""


class Trade(Event, tag="trade", frozen=True, gc=False):
    """A trade. USD-M futures tag its kind in `X`; spot does not."""

    symbol: str = field(name="s")
    trade_id: Id = field(name="t")
    price: str = field(name="p")
    quantity: str = field(name="q")
    time_ms: Ms = field(name="T")
    is_buyer_maker: bool = field(name="m")
    order_type: Word = field(name="X", default="MARKET")


class AggTrade(Event, tag="aggTrade", frozen=True, gc=False):
    """Fills of one taker order at one price: the raw trades `first_id..last_id`."""

    symbol: str = field(name="s")
    trade_id: Id = field(name="a")
    price: str = field(name="p")
    quantity: str = field(name="q")
    first_id: Id = field(name="f")
    last_id: Id = field(name="l")
    time_ms: Ms = field(name="T")
    is_buyer_maker: bool = field(name="m")


class Ticker(Event, tag="24hrTicker", frozen=True, gc=False):
    """The rolling statistics of 24 hours."""

    symbol: str = field(name="s")
    event_time: Ms = field(name="E")
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    close: str = field(name="c")
    volume: str = field(name="v")
    quote_volume: str = field(name="q")
    price_change: str = field(name="p")
    price_change_percent: str = field(name="P")
    trades_count: Id = field(name="n")


class MiniTicker(Event, tag="24hrMiniTicker", frozen=True, gc=False):
    """A ticker without the change and the count."""

    symbol: str = field(name="s")
    event_time: Ms = field(name="E")
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    close: str = field(name="c")
    volume: str = field(name="v")
    quote_volume: str = field(name="q")


class DepthUpdate(Event, tag="depthUpdate", frozen=True, gc=False):
    """A partial book or a change of the book: the event does not say which (depth.py). Spot has no `pu`."""

    symbol: str = field(name="s")
    time_ms: Ms = field(name="T")
    first_id: Id = field(name="U")
    final_id: Id = field(name="u")
    bids: Levels = field(name="b")
    asks: Levels = field(name="a")
    previous_id: Id | None = field(name="pu", default=None)


class BookTicker(Event, tag="bookTicker", frozen=True, gc=False):
    """Best bid and ask."""

    symbol: str = field(name="s")
    time_ms: Ms = field(name="T")
    update_id: Id = field(name="u")
    bid_price: str = field(name="b")
    bid_quantity: str = field(name="B")
    ask_price: str = field(name="a")
    ask_quantity: str = field(name="A")


class MarkPrice(Event, tag="markPriceUpdate", frozen=True, gc=False):
    """Mark price with the funding that comes next; delivery contracts send `r` empty and `T` 0."""

    symbol: str = field(name="s")
    event_time: Ms = field(name="E")
    mark_price: str = field(name="p")
    index_price: str | None = field(name="i", default=None)
    estimated_settle_price: str | None = field(name="P", default=None)
    funding_rate: str = field(name="r", default="")
    next_funding_time: Id = field(name="T", default=0)


class Bar(msgspec.Struct, frozen=True, gc=False):
    """The `k` of a kline; the ids are -1 while the bar has no trade."""

    open_time: Ms = field(name="t")
    interval: Word = field(name="i")
    first_id: Annotated[int, Meta(ge=-1, le=MAX_INT)] = field(name="f")
    last_id: Annotated[int, Meta(ge=-1, le=MAX_INT)] = field(name="L")
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    close: str = field(name="c")
    volume: str = field(name="v")
    trades_count: Id = field(name="n")
    is_closed: bool = field(name="x")
    quote_volume: str = field(name="q")
    taker_buy_volume: str = field(name="V")
    taker_buy_quote_volume: str = field(name="Q")


class Kline(Event, tag="kline", frozen=True, gc=False):
    """The state of a bar."""

    symbol: str = field(name="s")
    event_time: Ms = field(name="E")
    bar: Bar = field(name="k")


class FundingRate(Event, tag="fundingRate", frozen=True, gc=False):
    """A funding rate as some publishers send it; without `T` it is the rate of its event time."""

    symbol: str = field(name="s")
    event_time: Ms = field(name="E")
    funding_rate: str = field(name="r")
    mark_price: str | None = field(name="p", default=None)
    funding_time: Ms | None = field(name="T", default=None)


class Order(msgspec.Struct, frozen=True, gc=False):
    """The `o` of a forceOrder."""

    symbol: str = field(name="s")
    side: Word = field(name="S")
    quantity: str = field(name="q")
    price: str = field(name="p")
    time_ms: Ms = field(name="T")
    average_price: str | None = field(name="ap", default=None)
    status: Word | None = field(name="X", default=None)
    last_filled: str | None = field(name="l", default=None)
    total_filled: str | None = field(name="z", default=None)


class ForceOrder(Event, tag="forceOrder", frozen=True, gc=False):
    """A liquidation."""

    order: Order = field(name="o")

    @property
    def symbol(self) -> str:
        """The order's symbol; the event itself has none."""
        return self.order.symbol


class PartialBook(msgspec.Struct, frozen=True, gc=False):
    """Spot's top of the book. It has no type, no symbol and no time: `parse` adds `s` and `T`."""

    symbol: str = field(name="s")
    time_ms: Ms = field(name="T")
    last_update_id: Id = field(name="lastUpdateId")
    bids: Levels
    asks: Levels


Typed = Trade | AggTrade | Ticker | MiniTicker | DepthUpdate | BookTicker | MarkPrice | Kline | FundingRate | ForceOrder

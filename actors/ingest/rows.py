"""From wire events to the rows they want: names, keys and checked numbers. Pure, without memory or policy.

Every function raises DataError where a number, time or id of the event cannot be true. `slot` is the record's
slot (sampling.py).
"""

from __future__ import annotations

from data_manager.actors.ingest import wire
from data_manager.actors.ingest.numbers import check_plain, check_positive, check_signed, check_trade
from data_manager.actors.ingest.quarantine import BAD_SHAPE, BAD_TIME
from data_manager.storage.records import (
    MINUTE_MS,
    TIMEFRAMES,
    BookTicker,
    Candle,
    Funding,
    Liquidation,
    MarkPrice,
    OpenCandle,
    Source,
    Ticker,
    Trade,
)
from data_manager.system.errors import DataError

Origin = tuple[int, int, int]  # the last three fields of every record: feed_seq, market_seq, stored_ms


def trade(event: wire.Trade, origin: Origin) -> Trade:
    """A raw trade covers its own id."""
    price, quantity, trade_id = event.price, event.quantity, event.trade_id
    check_trade(price, quantity)
    return Trade(
        "trade",
        trade_id,
        event.time_ms,
        price,
        quantity,
        event.is_buyer_maker,
        trade_id,
        trade_id,
        event.order_type,
        *origin,
    )


def agg_trade(event: wire.AggTrade, origin: Origin) -> Trade:
    """An aggTrade holds market trades only, and covers the ids of its fills."""
    check_trade(event.price, event.quantity)
    if event.first_id > event.last_id:
        raise DataError(
            BAD_SHAPE, f"The aggTrade's first trade {event.first_id} lies beyond its last, {event.last_id}."
        )
    return Trade(
        "aggTrade",
        event.trade_id,
        event.time_ms,
        event.price,
        event.quantity,
        event.is_buyer_maker,
        event.first_id,
        event.last_id,
        "MARKET",
        *origin,
    )


def ticker(event: wire.Ticker, slot: int, origin: Origin) -> Ticker:
    """The whole ticker."""
    check_plain(event.open, event.high, event.low, event.close, event.volume, event.quote_volume)
    check_signed(event.price_change, event.price_change_percent)
    return Ticker(
        "24hrTicker",
        slot,
        event.event_time,
        event.open,
        event.high,
        event.low,
        event.close,
        event.volume,
        event.quote_volume,
        event.price_change,
        event.price_change_percent,
        event.trades_count,
        *origin,
    )


def mini_ticker(event: wire.MiniTicker, slot: int, origin: Origin) -> Ticker:
    """A ticker whose change and count are unknown."""
    check_plain(event.open, event.high, event.low, event.close, event.volume, event.quote_volume)
    return Ticker(
        "24hrMiniTicker",
        slot,
        event.event_time,
        event.open,
        event.high,
        event.low,
        event.close,
        event.volume,
        event.quote_volume,
        None,
        None,
        None,
        *origin,
    )


def book_ticker(event: wire.BookTicker, slot: int, origin: Origin) -> BookTicker:
    """Prices and quantities may be 0: a side of the book can be empty."""
    check_plain(event.bid_price, event.bid_quantity, event.ask_price, event.ask_quantity)
    return BookTicker(
        slot,
        event.time_ms,
        event.update_id,
        event.bid_price,
        event.bid_quantity,
        event.ask_price,
        event.ask_quantity,
        *origin,
    )


def mark_price(event: wire.MarkPrice, slot: int, origin: Origin) -> MarkPrice:
    """A delivery contract has neither a funding rate nor a funding time."""
    rate, funding_time = event.funding_rate or None, event.next_funding_time or None
    check_plain(event.mark_price, event.index_price, event.estimated_settle_price)
    check_signed(rate)
    if funding_time is not None and not wire.MIN_TIME_MS <= funding_time <= wire.MAX_TIME_MS:
        raise DataError(BAD_TIME, f"The next funding time {funding_time} is no millisecond of 2017 to 2099.")
    return MarkPrice(
        slot,
        event.event_time,
        event.mark_price,
        event.index_price,
        event.estimated_settle_price,
        rate,
        funding_time,
        *origin,
    )


def prediction(mark: MarkPrice, origin: Origin) -> Funding | None:
    """The funding that a mark price announces."""
    if mark.last_funding_rate is None or mark.next_funding_time is None:
        return None
    funding_time = _to_the_minute(mark.next_funding_time)
    return Funding(funding_time, mark.time_ms, mark.last_funding_rate, mark.mark_price, False, *origin)


def funding_rate(event: wire.FundingRate, origin: Origin) -> Funding:
    """Never settled: only REST tells what was paid."""
    check_signed(event.funding_rate)
    check_plain(event.mark_price)
    funding_time = _to_the_minute(event.event_time if event.funding_time is None else event.funding_time)
    return Funding(funding_time, event.event_time, event.funding_rate, event.mark_price, False, *origin)


def _to_the_minute(time_ms: int) -> int:
    """Settled rates come with some milliseconds on top of the time that was announced."""
    return time_ms - time_ms % MINUTE_MS


def bar(event: wire.Kline, origin: Origin) -> Candle | OpenCandle:
    """A closed bar under its open time, or the newest state of an open one; the interval is in TIMEFRAMES."""
    state = event.bar
    if state.open_time % TIMEFRAMES[state.interval]:
        raise DataError(BAD_TIME, f"No bar of {state.interval} opens at {state.open_time}.")
    check_positive(state.open, state.high, state.low, state.close)
    check_plain(state.volume, state.quote_volume, state.taker_buy_volume, state.taker_buy_quote_volume)
    return _closed(state, origin) if state.is_closed else _open(state, event.event_time, origin)


def _closed(state: wire.Bar, origin: Origin) -> Candle:
    has_ids = 0 <= state.first_id <= state.last_id
    return Candle(
        state.interval,
        state.open_time,
        state.open,
        state.high,
        state.low,
        state.close,
        state.volume,
        state.quote_volume,
        state.trades_count,
        state.taker_buy_volume,
        state.taker_buy_quote_volume,
        Source.KLINE.value,
        True,
        state.first_id if has_ids else None,
        state.last_id if has_ids else None,
        *origin,
    )


def _open(state: wire.Bar, event_time: int, origin: Origin) -> OpenCandle:
    return OpenCandle(
        state.interval,
        state.open_time,
        event_time,
        state.open,
        state.high,
        state.low,
        state.close,
        state.volume,
        state.quote_volume,
        state.trades_count,
        *origin,
    )


def liquidation(event: wire.ForceOrder, origin: Origin) -> Liquidation:
    """The forced order at its trade time."""
    order = event.order
    check_plain(order.quantity, order.price, order.average_price, order.last_filled, order.total_filled)
    return Liquidation(
        order.time_ms,
        order.side,
        order.price,
        order.quantity,
        order.average_price,
        order.status,
        order.last_filled,
        order.total_filled,
        *origin,
    )

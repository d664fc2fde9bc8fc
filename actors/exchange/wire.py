"""The feed's JSON, as petrosa-socket-client writes it: Binance USD-M events inside its envelope.

Stream names are those it reconstructs: `depth20@100ms` whatever the interval, `kline` without one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import orjson

from data_manager.actors.exchange.bars import Order, SimBar, SimTrade
from data_manager.actors.exchange.instruments import Instrument, decimal_text
from data_manager.actors.exchange.market import Ticker
from data_manager.actors.exchange.quotes import RATE_SCALE, Book, Mark
from data_manager.actors.feed.envelope import envelope as enveloped

Event = dict[str, object]

STREAMS = {  # event type `e` -> what follows the symbol in the stream's name
    "trade": "trade",
    "aggTrade": "aggTrade",
    "24hrTicker": "ticker",
    "depthUpdate": "depth20@100ms",
    "bookTicker": "bookTicker",
    "markPriceUpdate": "markPrice@1s",
    "kline": "kline",
}

_TICKER_QUOTE_SCALE = 2  # decimals of a day's quote volume
_PERCENT_SCALE = 3


def envelope(event: Mapping[str, object], timestamp: str, rng: random.Random) -> bytes:
    """One message of the feed: compact JSON with the contract's keys in the contract's order."""
    stream = f"{str(event['s']).lower()}@{STREAMS[str(event['e'])]}"
    return enveloped(stream, orjson.dumps(event), timestamp, rng)


def trade_event(listed: Instrument, event_ms: int, trade: SimTrade) -> Event:
    """A raw trade."""
    return {
        "e": "trade",
        "E": event_ms,
        "T": trade.time_ms,
        "s": listed.symbol,
        "t": trade.trade_id,
        "p": listed.price(trade.ticks),
        "q": listed.quantity(trade.lots),
        "X": "MARKET",
        "m": trade.sell,
    }


def agg_trade_event(listed: Instrument, event_ms: int, order: Order) -> Event:
    """An aggregate trade: one taker order."""
    return {
        "e": "aggTrade",
        "E": event_ms,
        "s": listed.symbol,
        "a": order.agg_id,
        "p": listed.price(order.ticks),
        "q": listed.quantity(order.lots),
        "f": order.first_id,
        "l": order.last_id,
        "T": order.time_ms,
        "m": order.sell,
    }


def ticker_event(listed: Instrument, event_ms: int, ticker: Ticker) -> Event:
    """A 24 h rolling ticker; the average price is rounded to the price's decimals, as the exchange does."""
    bar = ticker.bar
    change = bar.close - bar.open
    cents = 10 ** (listed.lot_ticks_scale - _TICKER_QUOTE_SCALE)
    average = bar.quote * listed.tick // bar.volume
    return {
        "e": "24hrTicker",
        "E": event_ms,
        "s": listed.symbol,
        "p": listed.price(change),
        "P": decimal_text(round(100 * 10**_PERCENT_SCALE * change / bar.open), _PERCENT_SCALE),
        "w": decimal_text(average, listed.price_scale),
        "c": listed.price(bar.close),
        "Q": listed.quantity(ticker.last_lots),
        "o": listed.price(bar.open),
        "h": listed.price(bar.high),
        "l": listed.price(bar.low),
        "v": listed.quantity(bar.volume),
        "q": decimal_text(bar.quote * listed.tick * listed.lot // cents, _TICKER_QUOTE_SCALE),
        "O": ticker.open_ms,
        "C": event_ms,
        "F": bar.first_id,
        "L": bar.last_id,
        "n": bar.trades,
    }


def depth_event(listed: Instrument, event_ms: int, time_ms: int, book: Book, previous_id: int) -> Event:
    """A partial book: a full replacement of the top levels, although its type is that of a diff."""
    return {
        "e": "depthUpdate",
        "E": event_ms,
        "T": time_ms,
        "s": listed.symbol,
        "U": previous_id + 1,
        "u": book.update_id,
        "pu": previous_id,
        "b": [[listed.price(ticks), listed.quantity(lots)] for ticks, lots in book.bids],
        "a": [[listed.price(ticks), listed.quantity(lots)] for ticks, lots in book.asks],
    }


def book_ticker_event(listed: Instrument, event_ms: int, time_ms: int, book: Book) -> Event:
    """The best bid and ask."""
    (bid, bid_lots), (ask, ask_lots) = book.bids[0], book.asks[0]
    return {
        "e": "bookTicker",
        "u": book.update_id,
        "E": event_ms,
        "T": time_ms,
        "s": listed.symbol,
        "b": listed.price(bid),
        "B": listed.quantity(bid_lots),
        "a": listed.price(ask),
        "A": listed.quantity(ask_lots),
    }


def mark_price_event(listed: Instrument, event_ms: int, mark: Mark) -> Event:
    """Mark and index price; the estimated settle price, which counts only at delivery, is the index price."""
    return {
        "e": "markPriceUpdate",
        "E": event_ms,
        "s": listed.symbol,
        "p": decimal_text(mark.mark_price, RATE_SCALE),
        "i": decimal_text(mark.index_price, RATE_SCALE),
        "P": decimal_text(mark.index_price, RATE_SCALE),
        "r": decimal_text(mark.rate, RATE_SCALE),
        "T": mark.next_funding_ms,
    }


def kline_event(listed: Instrument, event_ms: int, open_ms: int, bar: SimBar, closed: bool) -> Event:
    """An update of a 1m bar."""
    kline = {
        "t": open_ms,
        "T": open_ms + 59_999,
        "s": listed.symbol,
        "i": "1m",
        "f": bar.first_id,
        "L": bar.last_id,
        "o": listed.price(bar.open),
        "c": listed.price(bar.close),
        "h": listed.price(bar.high),
        "l": listed.price(bar.low),
        "v": listed.quantity(bar.volume),
        "n": bar.trades,
        "x": closed,
        "q": listed.quote(bar.quote),
        "V": listed.quantity(bar.taker_buy_volume),
        "Q": listed.quote(bar.taker_buy_quote),
        "B": "0",
    }
    return {"e": "kline", "E": event_ms, "s": listed.symbol, "k": kline}

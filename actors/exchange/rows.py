"""The REST side's JSON, in the shapes of Binance USD-M; what the feed also shows is told in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from data_manager.actors.exchange import wire
from data_manager.actors.exchange.bars import Order, SimBar
from data_manager.actors.exchange.instruments import Instrument, decimal_text
from data_manager.actors.exchange.market import Ticker
from data_manager.actors.exchange.quotes import RATE_SCALE, Book, Mark

Row = dict[str, object]

INTEREST_RATE = "0.00010000"

_TICKER = {
    "symbol": "s",
    "priceChange": "p",
    "priceChangePercent": "P",
    "weightedAvgPrice": "w",
    "lastPrice": "c",
    "lastQty": "Q",
    "openPrice": "o",
    "highPrice": "h",
    "lowPrice": "l",
    "volume": "v",
    "quoteVolume": "q",
    "openTime": "O",
    "closeTime": "C",
    "firstId": "F",
    "lastId": "L",
    "count": "n",
}


def kline_row(listed: Instrument, open_ms: int, interval_ms: int, bar: SimBar) -> list[object]:
    """A bar."""
    return [
        open_ms,
        listed.price(bar.open),
        listed.price(bar.high),
        listed.price(bar.low),
        listed.price(bar.close),
        listed.quantity(bar.volume),
        open_ms + interval_ms - 1,
        listed.quote(bar.quote),
        bar.trades,
        listed.quantity(bar.taker_buy_volume),
        listed.quote(bar.taker_buy_quote),
        "0",
    ]


def agg_trade_row(listed: Instrument, order: Order) -> Row:
    """An aggregate trade."""
    event = wire.agg_trade_event(listed, order.time_ms, order)
    return {name: event[name] for name in ("a", "p", "q", "f", "l", "T", "m")}


def funding_row(listed: Instrument, funding_ms: int, rate: int, mark: Mark) -> Row:
    """A settled funding rate and the mark price at that moment."""
    return {
        "symbol": listed.symbol,
        "fundingTime": funding_ms,
        "fundingRate": decimal_text(rate, RATE_SCALE),
        "markPrice": decimal_text(mark.mark_price, RATE_SCALE),
    }


def depth_answer(listed: Instrument, event_ms: int, time_ms: int, book: Book) -> Row:
    """The order book."""
    event = wire.depth_event(listed, event_ms, time_ms, book, previous_id=0)
    return {"lastUpdateId": book.update_id, "E": event_ms, "T": time_ms, "bids": event["b"], "asks": event["a"]}


def premium_row(listed: Instrument, time_ms: int, mark: Mark) -> Row:
    """Mark and index price; `lastFundingRate`, whatever its name says, is the one that will be settled next."""
    event = wire.mark_price_event(listed, time_ms, mark)
    return {
        "symbol": listed.symbol,
        "markPrice": event["p"],
        "indexPrice": event["i"],
        "estimatedSettlePrice": event["P"],
        "lastFundingRate": event["r"],
        "interestRate": INTEREST_RATE,
        "nextFundingTime": mark.next_funding_ms,
        "time": time_ms,
    }


def ticker_row(listed: Instrument, time_ms: int, ticker: Ticker) -> Row:
    """The 24 h statistics."""
    event = wire.ticker_event(listed, time_ms, ticker)
    return {name: event[key] for name, key in _TICKER.items()}


def exchange_answer(listed: Sequence[Instrument], time_ms: int, onboard_ms: int, weight_a_minute: int) -> Row:
    """What is traded, and the limit of weight."""
    limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_a_minute}
    return {
        "timezone": "UTC",
        "serverTime": time_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [limit],
        "exchangeFilters": [],
        "symbols": [_symbol_row(one, onboard_ms) for one in listed],
    }


def _symbol_row(listed: Instrument, onboard_ms: int) -> Row:
    tick, lot = listed.price(1), listed.quantity(1)
    return {
        "symbol": listed.symbol,
        "pair": listed.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4_133_404_800_000,
        "onboardDate": onboard_ms,
        "status": "TRADING",
        "baseAsset": listed.symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": listed.price_scale,
        "quantityPrecision": listed.quantity_scale,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "stepSize": lot},
        ],
    }

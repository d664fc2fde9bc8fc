"""One order book as arrays, and what can be read from it. Pure; prices in quote units, quantities in base units."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import numpy as np

from data_manager.actors.analytics.bars import Floats
from data_manager.actors.analytics.results import Unknown
from data_manager.storage.records import Depth, Levels

BPS = 10_000


class Side(msgspec.Struct, frozen=True, eq=False):
    """Levels of one side, best first; prices above 0."""

    prices: Floats
    quantities: Floats


class Book(msgspec.Struct, frozen=True, eq=False):
    """The top of an order book that is not empty and not crossed, at `time_ms`."""

    time_ms: int
    bids: Side
    asks: Side

    @property
    def mid(self) -> float:
        """Half-way between the best prices."""
        return float(self.bids.prices[0] + self.asks.prices[0]) / 2

    @property
    def spread(self) -> float:
        """What lies between the best prices.

        In the digits that the exchange gave, which a float's shortest text still has: the difference of the floats
        themselves shows what 102112.2 lacks of being one (0.10000000000582 for a tick of 0.1).
        """
        ask, bid = (Decimal(repr(float(side.prices[0]))) for side in (self.asks, self.bids))
        return float(ask - bid)


def book_of(depth: Depth) -> Book | Unknown:
    """A stored snapshot as a book, or why it is none: a side is empty, or the best prices cross."""
    bids, asks = _side(depth.bids), _side(depth.asks)
    if not len(bids.prices) or not len(asks.prices):
        return Unknown("a side of the newest book is empty")
    if bids.prices[0] >= asks.prices[0]:
        return Unknown("the newest book is crossed: its best bid is not below its best ask")
    return Book(depth.time_ms, bids, asks)


def _side(levels: Levels) -> Side:
    table = np.array(levels, dtype=np.float64).reshape(-1, 2)
    table = table[(table[:, 0] > 0) & (table[:, 1] > 0)]
    return Side(table[:, 0], table[:, 1])


def weighted_mid(book: Book) -> float | Unknown:
    """The best prices, each weighed by the quantity on the other side. Gould & Bonart 2016, §2."""
    bid, ask = book.bids.quantities[0], book.asks.quantities[0]
    return float((book.bids.prices[0] * ask + book.asks.prices[0] * bid) / (bid + ask))


def imbalance(book: Book, levels: int) -> float | Unknown:
    """(B - A) / (B + A) over the quantities of the best `levels` of each side: -1 to 1.

    Cont, Kukanov & Stoikov 2014, J. Financial Econometrics 12(1):47-88; Gould & Bonart 2016, Market Microstructure
    and Liquidity 2(2). Unknown where a side has fewer levels.
    """
    fewest = min(len(book.bids.prices), len(book.asks.prices))
    if fewest < levels:
        return Unknown(f"the book holds {fewest} levels a side")
    bids, asks = (float(np.sum(side.quantities[:levels])) for side in (book.bids, book.asks))
    return (bids - asks) / (bids + asks)


def reach_bps(book: Book) -> float:
    """How far from mid both sides are known, in basis points of mid."""
    nearest = min(book.mid - book.bids.prices[-1], book.asks.prices[-1] - book.mid)
    return float(nearest) / book.mid * BPS


def depth_within(book: Book, side: Side, bps: float) -> float | Unknown:
    """The quantity of one side at most `bps` from mid; Unknown where the side ends before."""
    distances = np.abs(side.prices - book.mid) / book.mid * BPS
    if distances[-1] < bps:
        return Unknown(f"the book ends {distances[-1]:.3g} basis points from mid")
    return float(np.sum(side.quantities[distances <= bps]))


def visible_depth(book: Book, side: Side, percent: float) -> float:
    """The quantity that is seen at most `percent` from mid, however far the book reaches."""
    distances = np.abs(side.prices - book.mid) / book.mid * 100
    return float(np.sum(side.quantities[distances <= percent]))


def slippage_of_base(book: Book, side: Side, quantity: float) -> float | Unknown:
    """What filling `quantity` base units from that side costs beyond mid, in percent of mid; 0 or more."""
    taken = _taken(side.quantities, quantity)
    if taken is None:
        return Unknown(f"the book holds less than {quantity:g} base units")
    return _beyond_mid(book, float(np.dot(taken, side.prices)) / quantity)


def slippage_of_quote(book: Book, side: Side, amount: float) -> float | Unknown:
    """What filling `amount` quote units from that side costs beyond mid, in percent of mid; 0 or more."""
    taken = _taken(side.quantities * side.prices, amount)
    if taken is None:
        return Unknown(f"the book holds less than {amount:g} quote units")
    return _beyond_mid(book, amount / float(np.sum(taken / side.prices)))


def _taken(available: Floats, wanted: float) -> Floats | None:
    """How much each level gives, best first; None where all together have less than is wanted."""
    through = np.cumsum(available)
    if through[-1] < wanted:
        return None
    return np.asarray(np.clip(wanted - (through - available), 0.0, available))


def _beyond_mid(book: Book, average_price: float) -> float:
    return abs(average_price - book.mid) / book.mid * 100

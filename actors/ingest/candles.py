"""Bars, pure: from the trades of a minute, from running totals of them, and from the bars of the level below.

Coverage is counted in raw trade ids. A trade covers its id, an aggTrade covers `first_id..last_id`, and the
ids between two aggTrades with consecutive ids are the exchange's own (insurance fund, ADL): nothing is
missing there. A bar counts each id once: its aggTrades first, then the raw trades that no aggTrade covers.
Trades that are not MARKET cover their id and count for nothing else. Within one kind covered ids rise with
the trades' own ids and never overlap; that is the exchange's promise and taken as given.

Numbers are exact or an error: `decimal.Inexact` beyond `DIGITS` digits, which no price and quantity that
passed the decoder can reach. Text carries the scale that the exchange's klines carry: prices as they came,
volumes the greatest scale of the quantities, quote volumes that of price plus that of quantity ("7.6120" x
"297" is "2260.7640"); never an exponent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from functools import reduce
from itertools import pairwise

from data_manager.storage.records import TIMEFRAMES, Candle, Source, Trade

DIGITS = 60
EXACT = Context(prec=DIGITS, traps=[Inexact, InvalidOperation])

# What MarketStore.neighbours returns: the raw trade and the aggTrade before a minute, then those after it.
Neighbours = tuple[Trade | None, Trade | None, Trade | None, Trade | None]

AGGREGATE = "aggTrade"
CHILD = {parent: child for child, parent in pairwise(TIMEFRAMES)}  # what each timeframe is rolled up from
_MARKET = "MARKET"
_BEYOND = 1 << 63  # greater than any id


class Tally:
    """Running totals of trades, added in any order; adding one twice counts it twice."""

    __slots__ = (
        "bought",
        "bought_quote",
        "close_id",
        "close_price",
        "first_id",
        "first_number",
        "high",
        "last_id",
        "last_number",
        "low",
        "numbers",
        "open_id",
        "open_price",
        "sold",
        "sold_quote",
        "trades_count",
    )

    def __init__(self) -> None:
        self.numbers = 0  # how many trades were added
        self.first_id, self.last_id = _BEYOND, -1  # raw ids they cover
        self.first_number = self.last_number = 0  # the own ids (`t` or `a`) of the trades at these two ends
        self.trades_count = 0  # raw ids of MARKET trades
        self.open_id, self.close_id = _BEYOND, -1
        self.open_price = self.close_price = ""
        self.high, self.low = Decimal("-Infinity"), Decimal("Infinity")
        self.bought = self.bought_quote = Decimal(0)  # the aggressor bought ...
        self.sold = self.sold_quote = Decimal(0)  # ... or sold

    def add(self, trades: Iterable[Trade]) -> None:
        """Count these trades; the tally is void when this raises (decimal.Inexact)."""
        levels = defaultdict[tuple[str, bool], list[str]](list)  # quantities by price: fewer decimals to make
        for trade in trades:
            first, last = trade.first_id, trade.last_id
            self.numbers += 1
            if first < self.first_id:
                self.first_id, self.first_number = first, trade.trade_id
            if last > self.last_id:
                self.last_id, self.last_number = last, trade.trade_id
            if trade.order_type != _MARKET:
                continue
            self.trades_count += last - first + 1
            if first < self.open_id:
                self.open_id, self.open_price = first, trade.price
            if last > self.close_id:
                self.close_id, self.close_price = last, trade.price
            levels[trade.price, trade.is_buyer_maker].append(trade.quantity)
        with localcontext(EXACT):
            for (price, sold), quantities in levels.items():
                self._add_level(Decimal(price), sold, sum(map(Decimal, quantities), Decimal(0)))

    def _add_level(self, price: Decimal, sold: bool, volume: Decimal) -> None:
        self.high = self.high.max(price)  # of 1.0 and 1.00 always the same one, in whatever order they come
        self.low = self.low.min(price)
        if sold:
            self.sold += volume
            self.sold_quote += volume * price
        else:
            self.bought += volume
            self.bought_quote += volume * price

    def overlapped(self, neighbours: Neighbours) -> bool:
        """Whether an aggTrade of another minute covers ids of this one: only `derive` can tell which."""
        _, before, _, after = neighbours
        return (before is not None and before.last_id >= self.first_id) or (
            after is not None and after.first_id <= self.last_id
        )


def derive(trades: Sequence[Trade], minute: int, neighbours: Neighbours, stored_ms: int) -> Candle | None:
    """The bar of all stored trades of one minute, in any order; None without a MARKET trade.

    It is `complete` when no id is missing from before the minute's open to after its close, so never while
    the trade before or the trade after it is unknown.
    """
    tally = Tally()
    tally.add(_each_id_once(trades, neighbours))
    return _candle(tally, minute, _unbroken(trades, neighbours), stored_ms)


def from_tally(tally: Tally, kind: str, minute: int, neighbours: Neighbours, stored_ms: int) -> Candle | None:
    """What `derive` returns for the trades in the tally, all of that kind and not `overlapped`."""
    return _candle(tally, minute, _unbroken_tally(tally, kind, neighbours), stored_ms)


def roll_up(children: Sequence[Candle], timeframe: str, open_time: int, stored_ms: int) -> Candle | None:
    """The bar of its stored children, the bars inside it one level below; None when there are none.

    It is `complete` when every child is and none that had trades is missing. Its source is its weakest
    child's, but `trades` when it is incomplete: an incomplete bar must never outrank a complete one.
    """
    if not children:
        return None
    children = sorted(children, key=lambda child: child.open_time)
    complete = all(child.complete for child in children) and _none_missing(children, timeframe, open_time)
    traded = [child for child in children if child.trades_count != 0] or children
    counts = [child.trades_count for child in children if child.trades_count is not None]
    with localcontext(EXACT):
        return Candle(
            timeframe=timeframe,
            open_time=open_time,
            open=children[0].open,
            high=_plain(reduce(Decimal.max, (Decimal(child.high) for child in children))),
            low=_plain(reduce(Decimal.min, (Decimal(child.low) for child in children))),
            close=children[-1].close,
            volume=_plain(sum((Decimal(child.volume) for child in children), Decimal(0))),
            quote_volume=_sum([child.quote_volume for child in children]),
            trades_count=sum(counts) if len(counts) == len(children) else None,
            taker_buy_volume=_sum([child.taker_buy_volume for child in children]),
            taker_buy_quote_volume=_sum([child.taker_buy_quote_volume for child in children]),
            source=_weakest(children) if complete else Source.TRADES,
            complete=complete,
            first_id=traded[0].first_id,
            last_id=traded[-1].last_id,
            feed_seq=0,
            market_seq=0,
            stored_ms=stored_ms,
        )


def _candle(tally: Tally, minute: int, complete: bool, stored_ms: int) -> Candle | None:
    if not tally.trades_count:
        return None
    with localcontext(EXACT):
        return Candle(
            timeframe="1m",
            open_time=minute,
            open=tally.open_price,
            high=_plain(tally.high),
            low=_plain(tally.low),
            close=tally.close_price,
            volume=_plain(tally.bought + tally.sold),
            quote_volume=_plain(tally.bought_quote + tally.sold_quote),
            trades_count=tally.trades_count,
            taker_buy_volume=_plain(tally.bought),
            taker_buy_quote_volume=_plain(tally.bought_quote),
            source=Source.TRADES,
            complete=complete,
            first_id=tally.first_id,
            last_id=tally.last_id,
            feed_seq=0,
            market_seq=0,
            stored_ms=stored_ms,
        )


def _each_id_once(trades: Sequence[Trade], neighbours: Neighbours) -> Sequence[Trade]:
    """The aggTrades, and the raw trades that neither these nor an aggTrade of another minute cover."""
    spans = sorted((t.first_id, t.last_id) for t in (*trades, *neighbours) if t and t.kind == AGGREGATE)
    firsts = [first for first, _ in spans]

    def covered(trade: Trade) -> bool:
        index = bisect_right(firsts, trade.first_id) - 1
        return index >= 0 and spans[index][1] >= trade.last_id

    return [trade for trade in trades if trade.kind == AGGREGATE or not covered(trade)] if spans else trades


def _bounds(neighbours: Neighbours) -> tuple[int, int] | None:
    """The last id known before and the first known after; None while either is unknown."""
    before = [trade.last_id for trade in neighbours[:2] if trade]
    after = [trade.first_id for trade in neighbours[2:] if trade]
    return (max(before), min(after)) if before and after else None


def _unbroken(trades: Sequence[Trade], neighbours: Neighbours) -> bool:
    """Whether the ids reach from the last one before to the first one after without a hole."""
    bounds = _bounds(neighbours)
    if bounds is None:
        return False
    reached, end = bounds
    around = [*trades, *(trade for trade in neighbours if trade)]
    aggregates = sorted((trade for trade in around if trade.kind == AGGREGATE), key=lambda trade: trade.trade_id)
    spans = [(trade.first_id, trade.last_id) for trade in around]
    spans += [
        (left.last_id + 1, right.first_id - 1)  # the exchange's own
        for left, right in pairwise(aggregates)
        if right.trade_id == left.trade_id + 1
    ]
    for first, last in sorted(spans):
        if first > reached + 1:
            break
        reached = max(reached, last)
    return reached + 1 >= end


def _unbroken_tally(tally: Tally, kind: str, neighbours: Neighbours) -> bool:
    """`_unbroken` by counting: the own ids of one kind are consecutive exactly when none is missing."""
    bounds = _bounds(neighbours)
    if bounds is None or tally.last_number - tally.first_number + 1 != tally.numbers:
        return False
    reached, end = bounds
    before, after = neighbours[kind == AGGREGATE], neighbours[2 + (kind == AGGREGATE)]
    opens = reached + 1 >= tally.first_id or (before and before.trade_id + 1 == tally.first_number)
    closes = tally.last_id + 1 >= end or (after and after.trade_id - 1 == tally.last_number)
    return bool(opens and closes)


def _none_missing(children: Sequence[Candle], timeframe: str, open_time: int) -> bool:
    """Whether the children missing among complete ones are proven to have had no trades.

    A complete derived bar knows the trades around it; those of other sources prove only themselves. So a hole
    between two bars is empty when their ids meet, a hole at either end when a derived bar stands beside it.
    """
    step = TIMEFRAMES[CHILD[timeframe]]
    first, last = children[0], children[-1]
    opens = first.open_time == open_time or first.source == Source.TRADES
    closes = last.open_time + step == open_time + TIMEFRAMES[timeframe] or last.source == Source.TRADES
    meet = all(
        right.open_time == left.open_time + step or (left.last_id is not None and right.first_id == left.last_id + 1)
        for left, right in pairwise(children)
    )
    return opens and closes and meet


def _weakest(children: Sequence[Candle]) -> Source:
    return min((Source(child.source) for child in children), key=lambda source: source.rank)


def _sum(texts: Sequence[str | None]) -> str | None:
    numbers = [Decimal(text) for text in texts if text is not None]
    return _plain(sum(numbers, Decimal(0))) if len(numbers) == len(texts) else None


def _plain(number: Decimal) -> str:
    return format(number, "f")

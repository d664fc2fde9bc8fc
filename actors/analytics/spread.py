"""What it costs to trade at once: the newest book, and books over time. Pure.

Books are read once. `sums_of` turns those of one cycle into sums that can be stored with the result; sums add up,
so that a day's averages are made of a day's results (`averaged`) and no book is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from data_manager.actors.analytics import book as reading
from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.book import Book
from data_manager.actors.analytics.results import Result, Unknown, built, entry, envelope, too_few

METHOD = "order_book_analysis"
NEAR_PERCENT = 1.0  # of mid: what the original calls market depth
ONE_BASE_UNIT = 1.0  # what the original's slippage estimate buys

Value = float | Unknown


class SpreadParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metrics look at."""

    newest_ms: int  # a book older than this says nothing about now
    holds_ms: int  # a book stands for at most so long, when books are averaged over time
    imbalance_levels: tuple[int, ...]
    depth_bps: tuple[int, ...]
    slippage_quote: tuple[int, ...]
    minimum_returns: int  # of the bars, below which the two measures of liquidity are not said


class Spread(Result, frozen=True, kw_only=True):
    """The book's metrics: of one book, or averages over time. Mappings go by level count, basis points, amount."""

    bid_ask_spread: float | None  # quote units
    spread_percentage: float | None
    mid_price: float | None
    weighted_mid: float | None
    market_depth_bid: float | None  # base units seen within 1 % of mid, whatever the book's reach
    market_depth_ask: float | None
    book_reach_bps: float | None
    depth_bid_bps: dict[str, float | None] | None
    depth_ask_bps: dict[str, float | None] | None
    imbalance: dict[str, float | None] | None
    slippage_estimate: float | None  # percent beyond mid, of buying one base unit
    slippage_buy: dict[str, float | None] | None  # percent beyond mid, of so many quote units
    slippage_sell: dict[str, float | None] | None
    liquidity_ratio: float | None  # quote units traded per unit of absolute log return (Amivest)
    amihud: float | None  # absolute log return per million quote units traded


class WeightedSum(msgspec.Struct, frozen=True):
    """A value times the milliseconds it stood, added up, and those milliseconds."""

    total: float
    weight_ms: int

    def plus(self, other: WeightedSum) -> WeightedSum:
        """Both together."""
        return WeightedSum(self.total + other.total, self.weight_ms + other.weight_ms)


Sums = dict[str, WeightedSum]  # by metric, `field` or `field[entry]`; what was never known has none


class _Liquidity(NamedTuple):
    liquidity_ratio: Value
    amihud: Value


def spread(book: Book | Unknown, bars: Bars, window: Window, parameters: SpreadParameters) -> Spread:
    """The newest book's metrics as of the window's end, and the liquidity of the window's bars.

    A book older than `newest_ms` is not used: its fields are None, and the bars' two remain.
    """
    if isinstance(book, Book) and window.end_ms - book.time_ms > parameters.newest_ms:
        book = Unknown(f"the newest book is {(window.end_ms - book.time_ms) / 1000:g} s old")
    shown = msgspec.structs.asdict(parameters) | {"book_time_ms": None if isinstance(book, Unknown) else book.time_ms}
    about = envelope(METHOD, bars, window, shown)
    liquidity = _liquidity(window.within(bars), parameters)._asdict()
    if isinstance(book, Unknown):
        unknown = dict.fromkeys(Spread.metrics(), book)
        return built(Spread, about, {**unknown, **liquidity})
    return built(Spread, about, {**_read(book, parameters), **liquidity})


def sums_of(books: Sequence[Book], since_ms: int, until_ms: int, parameters: SpreadParameters) -> Sums:
    """Each metric of the books, ascending by time, weighed by how long it stood from `since_ms` to `until_ms`.

    A book stands until the next, at most `holds_ms`. Give the newest one before `since_ms` too: it stands into the
    beginning. Then the sums of adjoining times add up to those of the whole.
    """
    sums: Sums = {}
    ends = [*(book.time_ms for book in books[1:]), until_ms]
    for book, next_ms in zip(books, ends, strict=False):
        end_ms = min(next_ms, until_ms, book.time_ms + parameters.holds_ms)
        held = end_ms - max(book.time_ms, since_ms)
        if held > 0:
            _add(sums, {name: WeightedSum(x * held, held) for name, x in _flat(_read(book, parameters)).items()})
    return sums


def added(parts: Iterable[Sums]) -> Sums:
    """Several sums together; the order makes no difference beyond rounding."""
    sums: Sums = {}
    for part in parts:
        _add(sums, part)
    return sums


def averaged(sums: Sums, bars: Bars, window: Window, parameters: SpreadParameters) -> Spread:
    """The averages over time that the sums hold, and the liquidity of the window's bars.

    The envelope's `completeness` is the percentage of the window for which a book stood.
    """
    liquidity = _liquidity(window.within(bars), parameters)._asdict()
    stood = sums["bid_ask_spread"].weight_ms if "bid_ask_spread" in sums else 0
    about = envelope(METHOD, bars, window, msgspec.structs.asdict(parameters) | {"books_stood_ms": stood})
    about = msgspec.structs.replace(about, completeness=100 * stood / (window.end_ms - window.start_ms))
    if not stood:
        unknown = dict.fromkeys(Spread.metrics(), Unknown("no book of this time is known"))
        return built(Spread, about, {**unknown, **liquidity})
    return built(Spread, about, {**_nested(sums, parameters), **liquidity})


def _read(book: Book, parameters: SpreadParameters) -> dict[str, Value | Mapping[str, Value]]:
    """Every metric of one book."""
    depths, amounts = parameters.depth_bps, parameters.slippage_quote
    return {
        "bid_ask_spread": book.spread,
        "spread_percentage": book.spread / book.mid * 100,
        "mid_price": book.mid,
        "weighted_mid": reading.weighted_mid(book),
        "market_depth_bid": reading.visible_depth(book, book.bids, NEAR_PERCENT),
        "market_depth_ask": reading.visible_depth(book, book.asks, NEAR_PERCENT),
        "book_reach_bps": reading.reach_bps(book),
        "depth_bid_bps": {str(bps): reading.depth_within(book, book.bids, bps) for bps in depths},
        "depth_ask_bps": {str(bps): reading.depth_within(book, book.asks, bps) for bps in depths},
        "imbalance": {str(levels): reading.imbalance(book, levels) for levels in parameters.imbalance_levels},
        "slippage_estimate": reading.slippage_of_base(book, book.asks, ONE_BASE_UNIT),
        "slippage_buy": {str(amount): reading.slippage_of_quote(book, book.asks, amount) for amount in amounts},
        "slippage_sell": {str(amount): reading.slippage_of_quote(book, book.bids, amount) for amount in amounts},
    }


def _flat(fields: Mapping[str, Value | Mapping[str, Value]]) -> dict[str, float]:
    """What is known, by `field` or `field[entry]`."""
    flat: dict[str, float] = {}
    for name, value in fields.items():
        entries = (
            {entry(name, key): each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
        )
        flat.update({key: each for key, each in entries.items() if not isinstance(each, Unknown)})
    return flat


def _nested(sums: Sums, parameters: SpreadParameters) -> dict[str, Value | Mapping[str, Value]]:
    """The averages by field, an entry that was never known being Unknown."""

    def mean(name: str) -> Value:
        return sums[name].total / sums[name].weight_ms if name in sums else Unknown("no book of this time tells it")

    entries = {
        "depth_bid_bps": parameters.depth_bps,
        "depth_ask_bps": parameters.depth_bps,
        "imbalance": parameters.imbalance_levels,
        "slippage_buy": parameters.slippage_quote,
        "slippage_sell": parameters.slippage_quote,
    }
    plain = [name for name in Spread.metrics() if name not in (*entries, *_Liquidity._fields)]
    nested = {name: {str(key): mean(entry(name, str(key))) for key in keys} for name, keys in entries.items()}
    return {**{name: mean(name) for name in plain}, **nested}


def _add(sums: Sums, more: Sums) -> None:
    for name, each in more.items():
        sums[name] = sums[name].plus(each) if name in sums else each


def _liquidity(sample: Bars, parameters: SpreadParameters) -> _Liquidity:
    """The Amivest ratio, sum(quote volume) / sum(|r|), and Amihud's, mean(|r| / quote volume) x 10^6.

    Amihud 2002, J. Financial Markets 5:31-56. Over bars that have a log return r and a known quote volume, the
    second over those of them that traded.
    """
    returns, volumes = np.abs(sample.log_returns), sample.quote_volume
    known = ~(np.isnan(returns) | np.isnan(volumes))
    returns, volumes = returns[known], volumes[known]
    if len(returns) < parameters.minimum_returns:
        few = Unknown(too_few(len(returns), parameters.minimum_returns, "returns with a quote volume"))
        return _Liquidity(few, few)
    moved, traded = float(np.sum(returns)), volumes > 0
    return _Liquidity(
        float(np.sum(volumes)) / moved if moved > 0 else Unknown("the price did not move"),
        float(np.mean(returns[traded] / volumes[traded])) * 1e6 if np.any(traded) else Unknown("nothing was traded"),
    )

"""Which events of the market are due when, and how often each kind comes at a given rate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from zlib import crc32

import msgspec

from data_manager.actors.exchange import wire
from data_manager.actors.exchange.bars import fills
from data_manager.actors.exchange.instruments import Instrument
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.minutes import MINUTE_MS
from data_manager.actors.exchange.quotes import update_id
from data_manager.actors.exchange.silence import Silences
from data_manager.system.settings import Settings

DEFAULT_TYPES = frozenset({"trade", "24hrTicker", "depthUpdate", "bookTicker", "markPriceUpdate"})
EVENT_DELAY_MS = 3  # from what happened to the event about it

_BOOK_INTERVALS_MS = (100, 200, 500, 1000, 2000, 5000)
_STATISTICS_INTERVALS_MS = (1000, 2000, 5000, 10_000)
_KLINE_MS = 250
_BOOK_SHARE = 1 / 6  # most of a symbol's events that depth may be, and book tickers again
_STATISTICS_SHARE = 1 / 20  # likewise tickers, and mark prices again
_LEVELS = 20


class Cadence(msgspec.Struct, frozen=True):
    """How often each kind of event comes, per symbol."""

    trades_per_minute: float
    book_ms: int  # between depth events, and between book tickers
    statistics_ms: int  # between 24 h tickers, and between mark prices

    @classmethod
    def of(cls, settings: Settings) -> Cadence:
        """The cadence that adds up to `exchange_rate`: what the other kinds leave are trades.

        Trades cannot be fewer than 96 a minute and symbol (Market), so many symbols may exceed a low rate.
        """
        rate = settings.exchange_rate / max(1, len(settings.supported_pairs))
        book_ms = _at_most(rate * _BOOK_SHARE, _BOOK_INTERVALS_MS)
        statistics_ms = _at_most(rate * _STATISTICS_SHARE, _STATISTICS_INTERVALS_MS)
        return cls(60 * max(0.0, rate - 2000 / book_ms - 2000 / statistics_ms), book_ms, statistics_ms)


class Schedule:
    """The events of some symbols and types; none of those that fall into a silence."""

    def __init__(
        self,
        market: Market,
        symbols: Sequence[str],
        cadence: Cadence,
        types: Collection[str] = DEFAULT_TYPES,
        silences: Silences | None = None,
    ) -> None:
        self._market = market
        self._symbols = symbols
        self._cadence = cadence
        self._silences = silences or Silences()
        makers: dict[str, Callable[[Instrument, int, int], Iterator[wire.Event]]] = {
            "trade": self._trades,
            "aggTrade": self._agg_trades,
            "24hrTicker": self._tickers,
            "depthUpdate": self._depth,
            "bookTicker": self._book_tickers,
            "markPriceUpdate": self._mark_prices,
            "kline": self._klines,
        }
        self._makers = [makers[name] for name in sorted(types)]

    def due(self, start_ms: int, end_ms: int) -> list[wire.Event]:
        """Events with `start_ms <= E < end_ms`, by event time.

        Windows that follow one another miss nothing and repeat nothing.
        """
        listed = [self._market.instrument(symbol) for symbol in self._symbols]
        events = [
            event
            for one in listed
            for make in self._makers
            for event in make(one, start_ms, end_ms)
            if not self._silences.cover(one.symbol, event_time(event))
        ]
        events.sort(key=event_time)
        return events

    def warm_up(self, now_ms: int) -> Iterator[str]:
        """Compute each symbol's past day, which its first ticker needs: 10 ms a symbol, one per step."""
        for symbol in self._symbols:
            self._market.ticker(symbol, now_ms)
            yield symbol

    def _trades(self, listed: Instrument, start: int, end: int) -> Iterator[wire.Event]:
        for order in self._market.orders(listed.symbol, start - EVENT_DELAY_MS, end - EVENT_DELAY_MS):
            for trade in fills(order):
                yield wire.trade_event(listed, order.time_ms + EVENT_DELAY_MS, trade)

    def _agg_trades(self, listed: Instrument, start: int, end: int) -> Iterator[wire.Event]:
        for order in self._market.orders(listed.symbol, start - EVENT_DELAY_MS, end - EVENT_DELAY_MS):
            yield wire.agg_trade_event(listed, order.time_ms + EVENT_DELAY_MS, order)

    def _tickers(self, listed: Instrument, start: int, end: int) -> Iterator[wire.Event]:
        for at in _times(start, end, self._cadence.statistics_ms, _phase(listed, "ticker")):
            yield wire.ticker_event(listed, at, self._market.ticker(listed.symbol, at))

    def _mark_prices(self, listed: Instrument, start: int, end: int) -> Iterator[wire.Event]:
        for at in _times(start, end, self._cadence.statistics_ms):  # on whole seconds, as the exchange does
            yield wire.mark_price_event(listed, at, self._market.mark(listed.symbol, at))

    def _depth(self, listed: Instrument, start: int, end: int) -> Iterator[wire.Event]:
        for at in _times(start, end, self._cadence.book_ms, _phase(listed, "depth")):
            time_ms = at - EVENT_DELAY_MS
            book = self._market.book(listed.symbol, time_ms, _LEVELS)
            previous = update_id(time_ms - self._cadence.book_ms)
            yield wire.depth_event(listed, at, time_ms, book, previous)

    def _book_tickers(self, listed: Instrument, start: int, end: int) -> Iterator[wire.Event]:
        for at in _times(start, end, self._cadence.book_ms, _phase(listed, "book")):
            time_ms = at - EVENT_DELAY_MS
            yield wire.book_ticker_event(listed, at, time_ms, self._market.book(listed.symbol, time_ms, 1))

    def _klines(self, listed: Instrument, start: int, end: int) -> Iterator[wire.Event]:
        for at in _times(start, end, _KLINE_MS):
            minute, within = divmod(at, MINUTE_MS)
            if not within:  # the first update of a minute is the close of the one before
                bar = self._market.bar(listed.symbol, minute - 1)
                yield wire.kline_event(listed, at, (minute - 1) * MINUTE_MS, bar, closed=True)
            elif newest := self._market.open_bar(listed.symbol, at):
                yield wire.kline_event(listed, at, minute * MINUTE_MS, newest, closed=False)


def _times(start: int, end: int, interval: int, phase: int = 0) -> range:
    """The multiples of `interval`, shifted by `phase`, in `start <= time < end`."""
    return range(start + (phase - start) % interval, end, interval)


def _phase(listed: Instrument, what: str) -> int:
    """Spreads the symbols' events over the interval; the same in every run."""
    return crc32(f"{listed.symbol}/{what}".encode())


def _at_most(per_second: float, intervals_ms: Sequence[int]) -> int:
    """The shortest interval that brings at most `per_second` events a second; the longest if none does."""
    return next((ms for ms in intervals_ms if 1000 / ms <= per_second), intervals_ms[-1])


def event_time(event: wire.Event) -> int:
    """When it happened, in ms."""
    time_ms = event["E"]
    assert isinstance(time_ms, int)
    return time_ms

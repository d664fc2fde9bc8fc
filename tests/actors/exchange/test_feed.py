"""The feed's schedule and bytes, held against the contract's key sets and against the market itself."""

from __future__ import annotations

import random
import re
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data_manager.actors.exchange.feed import Due, Feed
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.schedule import DEFAULT_TYPES, EVENT_DELAY_MS, Cadence, Schedule
from data_manager.actors.exchange.silence import Silences
from data_manager.actors.exchange.wire import STREAMS
from data_manager.system.event_types import EVENT_TYPES
from data_manager.system.settings import Settings

PURE = hypothesis_settings(derandomize=True, deadline=None, max_examples=25)
NOW = 1_760_918_400_000  # 2025-10-20 00:00 UTC
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")
CADENCE = Cadence(trades_per_minute=600, book_ms=100, statistics_ms=1000)
MARKET = Market(7, CADENCE.trades_per_minute)  # pure, so tests may share its caches

KEYS = {  # contract.md 1.4
    "trade": "e E T s t p q X m",
    "aggTrade": "e E s a p q f l T m",
    "24hrTicker": "e E s p P w c Q o h l v q O C F L n",
    "depthUpdate": "e E T s U u pu b a",
    "markPriceUpdate": "e E s p i P r T",
    "kline": "e E s k",
    "bookTicker": "e u E T s b B a A",
}
KLINE_KEYS = "t T s i f L o c h l v n x q V Q B"
NAMES = {
    "trade": "btcusdt@trade",
    "aggTrade": "btcusdt@aggTrade",
    "24hrTicker": "btcusdt@ticker",
    "depthUpdate": "btcusdt@depth20@100ms",
    "markPriceUpdate": "btcusdt@markPrice@1s",
    "kline": "btcusdt@kline",
    "bookTicker": "btcusdt@bookTicker",
}


def schedule(
    types: Any = frozenset(STREAMS), symbols: tuple[str, ...] = SYMBOLS, cadence: Cadence = CADENCE
) -> Schedule:
    market = MARKET if cadence is CADENCE else Market(7, cadence.trades_per_minute)
    return Schedule(market, symbols, cadence, types)


def feed(types: Any = frozenset(STREAMS), symbols: tuple[str, ...] = SYMBOLS, cadence: Cadence = CADENCE) -> Feed:
    return Feed(schedule(types, symbols, cadence), random.Random(1))


def events(dues: list[Due], event_type: str) -> list[dict[str, Any]]:
    return [orjson.loads(due.payload)["data"] for due in dues if due.event_type == event_type]


@pytest.fixture(scope="module")
def bitcoin() -> list[Due]:
    """One minute and a bit of every kind of event of one symbol."""
    return feed(symbols=("BTCUSDT",)).due(NOW, NOW + 61_000, NOW * 1000)


# -- bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_type", sorted(KEYS))
def test_an_event_has_exactly_the_contract_s_keys_in_order(bitcoin: list[Due], event_type: str) -> None:
    messages = [orjson.loads(due.payload) for due in bitcoin if due.event_type == event_type]
    assert messages
    for message in messages:
        assert list(message) == ["stream", "data", "timestamp", "message_id", "source", "version"]
        assert (message["source"], message["version"]) == ("binance-websocket", "1.0")
        assert message["stream"] == NAMES[event_type]
        assert list(message["data"]) == KEYS[event_type].split()
        assert message["data"]["s"] == "BTCUSDT"
    assert event_type in EVENT_TYPES


def test_messages_are_compact_utf8_json_with_fresh_uuid4s() -> None:
    dues = feed(symbols=("币安人生USDT",)).due(NOW, NOW + 500, NOW * 1000 + 131_245)
    ids = [UUID(orjson.loads(due.payload)["message_id"]) for due in dues]
    assert len(set(ids)) == len(ids)
    assert {each.version for each in ids} == {4}
    assert all(b": " not in due.payload and b", " not in due.payload for due in dues)
    assert all("币安人生usdt@" in due.payload.decode() for due in dues)
    assert all(b'"timestamp":"2025-10-20T00:00:00.131245Z"' in due.payload for due in dues)


def test_prices_and_quantities_are_plain_decimals_on_tick_and_lot(bitcoin: list[Due]) -> None:
    for trade in events(bitcoin, "trade"):
        assert re.fullmatch(r"\d+\.\d0", trade["p"])
        assert re.fullmatch(r"\d+\.\d{3}", trade["q"])
        assert trade["X"] == "MARKET"
    for book in events(bitcoin, "depthUpdate"):
        levels = book["b"] + book["a"]
        assert len(book["b"]) == len(book["a"]) == 20
        assert all(re.fullmatch(r"\d+\.\d0", price) and Decimal(size) > 0 for price, size in levels)
    for mark in events(bitcoin, "markPriceUpdate"):
        assert all(re.fullmatch(r"-?\d+\.\d{8}", mark[key]) for key in "piPr")


def test_depth_is_best_first_uncrossed_and_chained(bitcoin: list[Due]) -> None:
    books = events(bitcoin, "depthUpdate")
    assert all(later["pu"] == book["u"] for book, later in pairwise(books))
    for book in books:
        bids, asks = ([Decimal(price) for price, _ in book[side]] for side in "ba")
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < asks[0]
        assert book["pu"] < book["U"] <= book["u"]


def test_the_ticker_agrees_with_itself(bitcoin: list[Due]) -> None:
    for ticker in events(bitcoin, "24hrTicker"):
        number = {key: Decimal(ticker[key]) for key in "pPwcohlvq"}
        assert number["p"] == number["c"] - number["o"]
        assert abs(number["P"] - 100 * number["p"] / number["o"]) <= Decimal("0.0005")
        assert number["l"] <= min(number["o"], number["c"], number["w"])
        assert number["h"] >= max(number["o"], number["c"], number["w"])
        assert abs(number["w"] - number["q"] / number["v"]) < Decimal("0.01")
        assert ticker["n"] == ticker["L"] - ticker["F"] + 1
        assert 86_340_000 <= ticker["C"] - ticker["O"] < 86_400_000


def test_the_closing_kline_is_the_bar_of_the_published_trades(bitcoin: list[Due]) -> None:
    closed = [event["k"] for event in events(bitcoin, "kline") if event["k"]["x"]]
    assert [bar["t"] for bar in closed] == [NOW - 60_000, NOW]
    bar = closed[-1]
    trades = [trade for trade in events(bitcoin, "trade") if NOW <= trade["T"] < NOW + 60_000]
    amounts = [(Decimal(trade["p"]), Decimal(trade["q"]), trade["m"]) for trade in trades]
    prices = [price for price, _, _ in amounts]
    bought = [(price, quantity) for price, quantity, seller in amounts if not seller]
    assert list(bar) == KLINE_KEYS.split()
    assert [Decimal(bar[key]) for key in "ohlc"] == [prices[0], max(prices), min(prices), prices[-1]]
    assert Decimal(bar["v"]) == sum(quantity for _, quantity, _ in amounts)
    assert Decimal(bar["q"]) == sum(price * quantity for price, quantity, _ in amounts)
    assert Decimal(bar["V"]) == sum(quantity for _, quantity in bought)
    assert Decimal(bar["Q"]) == sum(price * quantity for price, quantity in bought)
    assert (bar["f"], bar["L"], bar["n"]) == (trades[0]["t"], trades[-1]["t"], len(trades))
    assert (bar["T"], bar["i"]) == (NOW + 59_999, "1m")


def test_agg_trades_cover_every_trade_once(bitcoin: list[Due]) -> None:
    ids = [trade["t"] for trade in events(bitcoin, "trade")]
    aggregates = events(bitcoin, "aggTrade")
    assert [id_ for order in aggregates for id_ in range(order["f"], order["l"] + 1)] == ids
    assert all(b["a"] == a["a"] + 1 for a, b in pairwise(aggregates))


# -- schedule -----------------------------------------------------------------------------------------------


@PURE
@given(st.lists(st.integers(0, 3000), max_size=8), st.integers(0, 59_999))
def test_windows_that_follow_one_another_miss_nothing_and_repeat_nothing(cuts: list[int], shift: int) -> None:
    one, other = feed(), feed()
    edges = [NOW + shift + at for at in (0, *sorted(cuts), 3000)]
    pieces = [due for a, b in pairwise(edges) for due in one.due(a, b, NOW * 1000)]
    whole = other.due(edges[0], edges[-1], NOW * 1000)
    strip = re.compile(rb'"message_id":"[^"]*"')
    assert Counter(strip.sub(b"", due.payload) for due in pieces) == Counter(
        strip.sub(b"", due.payload) for due in whole
    )


def test_events_come_by_event_time_and_inside_the_window() -> None:
    dues = feed().due(NOW, NOW + 2000, NOW * 1000)
    times = [due.event_ms for due in dues]
    assert times == sorted(times)
    assert NOW <= times[0] <= times[-1] < NOW + 2000
    for due in dues:
        event = orjson.loads(due.payload)["data"]
        assert event["E"] == due.event_ms
        if due.event_type in ("trade", "aggTrade", "depthUpdate", "bookTicker"):
            assert event["E"] - event["T"] == EVENT_DELAY_MS


def test_a_window_that_ends_before_it_starts_is_empty() -> None:
    assert feed().due(NOW + 60_000, NOW, NOW * 1000) == []


def test_mark_prices_come_on_whole_seconds_and_books_are_spread_out() -> None:
    dues = feed().due(NOW, NOW + 2000, NOW * 1000)
    assert {due.event_ms % 1000 for due in dues if due.event_type == "markPriceUpdate"} == {0}
    assert len({due.event_ms % 100 for due in dues if due.event_type == "depthUpdate"}) == len(SYMBOLS)


def test_trades_of_a_feed_have_unbroken_ids() -> None:
    ids = [trade["t"] for trade in events(feed(symbols=("BTCUSDT",)).due(NOW, NOW + 20_000, 0), "trade")]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert len(ids) > 150


def test_by_default_no_klines_and_no_agg_trades_come() -> None:
    dues = feed(DEFAULT_TYPES).due(NOW, NOW + 2000, NOW * 1000)
    assert {due.event_type for due in dues} == DEFAULT_TYPES == frozenset(STREAMS) - {"kline", "aggTrade"}


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(KeyError):
        schedule({"liquidation"})


@pytest.mark.parametrize(("rate", "symbols"), [(300, SYMBOLS), (300, SYMBOLS[:1]), (2000, SYMBOLS), (30, SYMBOLS)])
def test_the_default_set_adds_up_to_the_rate(rate: float, symbols: tuple[str, ...]) -> None:
    cadence = Cadence.of(Settings(exchange_rate=rate, supported_pairs=symbols))
    seconds = 10
    dues = feed(DEFAULT_TYPES, symbols, cadence).due(NOW, NOW + seconds * 1000, NOW * 1000)
    assert len(dues) / seconds == pytest.approx(rate, rel=0.1)


def test_books_slow_down_with_the_rate_down_to_a_limit() -> None:
    def cadence(rate: float) -> Cadence:
        return Cadence.of(Settings(exchange_rate=rate, supported_pairs=("BTCUSDT",)))

    assert (cadence(60).book_ms, cadence(60).statistics_ms) == (100, 1000)
    assert (cadence(12).book_ms, cadence(12).statistics_ms) == (500, 2000)
    assert (cadence(0.1).book_ms, cadence(0.1).statistics_ms) == (5000, 10_000)
    assert cadence(0.1).trades_per_minute == 0


def test_warming_up_takes_one_step_a_symbol() -> None:
    assert list(schedule().warm_up(NOW)) == list(SYMBOLS)


def test_a_silence_leaves_its_events_out_and_the_market_runs_on() -> None:
    silences = Silences()
    silences.begin("BTCUSDT", NOW + 1000, seconds=2)
    quiet = Schedule(MARKET, SYMBOLS, CADENCE, frozenset(STREAMS), silences).due(NOW, NOW + 5000)
    heard = schedule().due(NOW, NOW + 5000)
    missing = [event for event in heard if event not in quiet]
    assert {event["s"] for event in missing} == {"BTCUSDT"}
    assert missing == [e for e in heard if e["s"] == "BTCUSDT" and NOW + 1000 <= e["E"] < NOW + 3000]  # type: ignore[operator]
    assert {event["e"] for event in missing} == set(STREAMS)

"""All categories of one symbol from what is stored: the real month of a BTC perpetual, and a seeded walk like it."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

import msgspec
import pytest

from data_manager.actors.analytics.bars import Bars
from data_manager.actors.analytics.book import Book, book_of
from data_manager.actors.analytics.categories import (
    Results,
    documents_of,
    market_of,
    of_the_market,
    results_of,
)
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.documents import Summed
from data_manager.actors.analytics.material import Material
from data_manager.actors.analytics.reading import material
from data_manager.actors.analytics.results import Unknown
from data_manager.actors.analytics.spread import Spread, sums_of
from data_manager.storage.records import CATEGORIES, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from tests.actors.analytics.computing import body, book, candles
from tests.actors.analytics.series import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    longer,
    needs_recording,
    real_month,
    unknown_volumes,
    walk,
)
from tests.actors.analytics.test_reading import put

BTC = Symbol("BTCUSDT")
CONF = analytics_conf()


class Month(NamedTuple):
    """What a store holds of a month, and all that is computed of it."""

    material: Material
    results: dict[str, Results]  # by timeframe


def minutes(kind: str) -> Bars:
    """The month's minutes; of both their volume is told, and nothing else of what was traded."""
    if kind == "month":
        return real_month()
    bars = walk(31 * 1440, seed=22, interval_ms=MINUTE_MS)
    return msgspec.structs.replace(unknown_volumes(bars), volume=bars.volume)


@pytest.fixture(scope="module", params=["walk", pytest.param("month", marks=needs_recording)])
def month(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Month:
    bars = minutes(request.param)
    hours, days = longer(bars, HOUR_MS), longer(bars, DAY_MS)
    with closing(SqliteMarketStore(tmp_path_factory.mktemp("month"), clock=SystemClock())) as store:
        put(store, [*candles("1h", hours), *candles("1d", days)])
        put(store, candles("1m", bars.between(int(hours.open_times[-1]), int(hours.open_times[-1]) + HOUR_MS)))
        found = material(store, BTC, CONF, int(hours.open_times[-1]) + HOUR_MS + 20 * MINUTE_MS, HOUR_MS)
    return Month(found, computed({BTC: found}))


def computed(materials: dict[str, Material], symbol: str = BTC) -> dict[str, Results]:
    """All results of one symbol, by timeframe."""
    return {
        timeframe: results_of(symbol, materials, timeframe, market_of(materials, timeframe, CONF), CONF)
        for timeframe in CONF.timeframes
    }


def seeded(seed: int, at_ms: int, summed: Summed | None = None, newest: Book | None = None) -> Material:
    """A symbol with all the bars that windows have room for."""
    bars = {
        timeframe: walk(n, seed=seed, interval_ms=length, start_ms=at_ms // length * length - n * length)
        for timeframe, n, length in (("1h", 2400, HOUR_MS), ("1d", 515, DAY_MS))
    }
    nothing = {timeframe: each.slice(0, 0) for timeframe, each in bars.items()}
    books = summed or Summed(0, {})
    return Material(at_ms, bars, nothing, newest or Unknown("no book is known"), books, books.sums)


def test_a_month_of_hours_gives_what_bars_can_give(month: Month) -> None:
    hours = month.results["1h"]
    for category in ("volatility", "volume", "trend", "deviation", "seasonality", "regime"):
        assert hours[category].state != "empty", category
    assert hours["volatility"].reasons == {}
    assert hours["trend"].reasons.keys() <= {"cross"}
    assert hours["deviation"].reasons == {}
    assert hours["seasonality"].envelope.n == len(month.material.bars["1h"]) >= 744
    assert hours["seasonality"].envelope.completeness < 35


def test_a_month_of_hours_names_what_it_cannot_give(month: Month) -> None:
    hours, days = month.results["1h"], month.results["1d"]
    untold = {"volume_delta", "taker_buy_ratio", "quote_volume", "vwap", "trades_count", "mean_trade_size"}
    assert set(hours["volume"].reasons) == untold
    assert days["trend"].state == days["seasonality"].state == "empty"
    assert "31 bars are there, and it takes 50" in days["trend"].reasons.values()
    assert "31 bars are there, and it takes 100" in days["seasonality"].reasons.values()
    for spread in (hours["spread"], days["spread"]):
        assert spread.state == "empty"
    assert hours["spread"].reasons["bid_ask_spread"] == "no book is known"
    assert days["spread"].reasons["bid_ask_spread"] == "no book of this time is known"
    market = {timeframe: market_of({BTC: month.material}, timeframe, CONF) for timeframe in CONF.timeframes}
    matrix, *_ = of_the_market({BTC: month.material}, market, {BTC: month.results}, CONF, 7)
    assert body(matrix)["average_correlation"] is None
    assert body(matrix)["metadata"]["reasons"]["average_correlation"] == "there is one symbol only"


def test_every_category_is_a_document_computed_for_the_newest_close_and_a_spread_for_the_cycle(month: Month) -> None:
    hours = documents_of(month.material, "1h", month.results["1h"], 7)
    days = documents_of(month.material, "1d", month.results["1d"], 7)
    assert sorted(each.category for each in hours) == sorted(each.category for each in days) == sorted(CATEGORIES)
    times = {each.category: each.time_ms for each in hours}
    assert times.pop("spread") == month.material.at_ms
    assert set(times.values()) == {month.material.at_ms - 20 * MINUTE_MS}
    assert {each.time_ms for each in days if each.category != "spread"} == {month.material.closed_ms("1d")}
    summed = [each for each in (*hours, *days) if "sums" in body(each)["metadata"]]
    assert [(each.category, each.timeframe) for each in summed] == [("spread", "1h")]


AT = START_MS + 600 * DAY_MS + 20 * MINUTE_MS


def test_a_spread_is_the_newest_books_and_a_day_the_average_of_all_with_the_hours_of_a_day_for_liquidity() -> None:
    books = [
        found for found in (book_of(book(AT - 1000 * age, 100.0 + age)) for age in (50, 20)) if isinstance(found, Book)
    ]
    summed = Summed(AT - 60_000, sums_of(books, AT - 60_000, AT, CONF.spread))
    results = computed({BTC: seeded(1, AT, summed, books[-1])})
    newest, day = results["1h"]["spread"], results["1d"]["spread"]
    assert isinstance(newest, Spread)
    assert isinstance(day, Spread)
    assert newest.mid_price == pytest.approx(120.0)
    assert day.mid_price == pytest.approx((150.0 * 30 + 120.0 * 20) / 50)
    assert newest.liquidity_ratio is not None
    assert day.liquidity_ratio is not None
    assert (newest.envelope.n, newest.envelope.expected, newest.envelope.completeness) == (24, 24, 100)
    assert day.envelope.completeness == pytest.approx(100 * 50_000 / DAY_MS)


def test_a_symbol_is_compared_with_the_benchmark_or_with_the_first_where_that_is_not_among_them() -> None:
    btc, eth, ada = (seeded(seed, AT) for seed in (1, 2, 3))
    with_btc = computed({"ADAUSDT": ada, "ETHUSDT": eth, BTC: btc}, "ETHUSDT")["1h"]
    without = computed({"ADAUSDT": ada, "ETHUSDT": eth}, "ETHUSDT")["1h"]
    itself = computed({"ETHUSDT": eth, "ADAUSDT": ada}, "ETHUSDT")["1h"]
    assert [each["correlation"].envelope.parameters["benchmark"] for each in (with_btc, without, itself)] == [
        BTC, "ADAUSDT", "ETHUSDT",
    ]  # fmt: skip
    betas = [each["trend"].rolling_beta for each in (with_btc, without, itself)]
    assert betas[0] != betas[1]
    assert betas[2] == pytest.approx(1.0)


def test_the_documents_of_the_market_are_as_new_as_its_newest_bar() -> None:
    late = seeded(1, AT)
    early = msgspec.structs.replace(late, bars={name: each.slice(0, len(each) - 3) for name, each in late.bars.items()})
    materials = {BTC: early, "ETHUSDT": late}
    markets = {timeframe: market_of(materials, timeframe, CONF) for timeframe in CONF.timeframes}
    found = of_the_market(materials, markets, {symbol: computed(materials, symbol) for symbol in materials}, CONF, 7)
    assert [(each.category, each.timeframe) for each in found] == [
        ("correlation_matrix", "1h"), ("correlation_matrix", "1d"), ("market_overview", "1h"),
    ]  # fmt: skip
    assert [each.time_ms for each in found] == [late.closed_ms("1h"), late.closed_ms("1d"), late.closed_ms("1h")]
    assert set(body(found[-1])["overview"]) == {BTC, "ETHUSDT"}

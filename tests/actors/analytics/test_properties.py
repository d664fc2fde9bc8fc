"""What holds of every category, whatever the bars: no NaN leaves, and every absence has its reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.correlation import correlation, correlation_matrix, market
from data_manager.actors.analytics.deviation import deviation
from data_manager.actors.analytics.regime import regime
from data_manager.actors.analytics.results import Result, Unknown
from data_manager.actors.analytics.seasonality import seasonality
from data_manager.actors.analytics.spread import averaged, spread, sums_of
from data_manager.actors.analytics.trend import trend
from data_manager.actors.analytics.volatility import volatility
from data_manager.actors.analytics.volume import volume
from tests.actors.analytics.books import deep
from tests.actors.analytics.series import HOUR_MS, START_MS, last, masked, still, unknown_volumes, walk

CONF = analytics_conf()
N = 400
OTHER = walk(N, seed=77)
BOOK = deep(time_ms=START_MS + N * HOUR_MS)

Category = Callable[[Bars, Window], Result]

CATEGORIES: dict[str, Category] = {
    "volatility": lambda bars, window: volatility(bars, window, CONF.volatility),
    "volume": lambda bars, window: volume(bars, window, CONF.volume),
    "spread": lambda bars, window: spread(BOOK, bars, window, CONF.spread),
    "spread averaged": lambda bars, window: averaged(
        sums_of([BOOK], 0, BOOK.time_ms + 1000, CONF.spread), bars, window, CONF.spread
    ),
    "no book": lambda bars, window: spread(Unknown("none"), bars, window, CONF.spread),
    "trend": lambda bars, window: trend(bars, window, CONF.trend, OTHER),
    "deviation": lambda bars, window: deviation(bars, window, CONF.deviation),
    "seasonality": lambda bars, window: seasonality(bars, window, CONF.seasonality),
    "regime": lambda bars, window: regime(bars, window, "24h", CONF.regime),
    "correlation": lambda bars, window: correlation(bars, "A", together(bars, window)),
    "correlation matrix": lambda bars, window: correlation_matrix({"A": bars, "B": OTHER}, together(bars, window)),
}


def together(bars: Bars, window: Window):
    return market({"A": bars, "B": OTHER}, window, "B", CONF.correlation)


each_category = pytest.mark.parametrize("name", CATEGORIES)


def absences(result: Result) -> set[str]:
    """Every field and entry that is None, as reasons name them."""
    missing = set()
    for name in result.metrics():
        value = getattr(result, name)
        if value is None:
            missing.add(name)
        elif isinstance(value, dict):
            missing |= {f"{name}[{key}]" for key, each in value.items() if each is None}
    return missing


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for each in value.values():
            yield from numbers(each)
    elif isinstance(value, list):
        for each in value:
            yield from numbers(each)
    elif isinstance(value, float):
        yield value


def check(result: Result) -> None:
    plain = msgspec.to_builtins(result)
    assert all(math.isfinite(number) for number in numbers(plain))
    assert absences(result) == set(result.reasons)
    assert all(reason and not reason.endswith(".") for reason in result.reasons.values())
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(result)), type(result)) == result
    assert result.state in {"complete", "partial", "empty"}
    assert 0 <= result.envelope.completeness <= 100


def broken(seed: int, kept: float, unknown: float, flat: float) -> Bars:
    """A market with holes, volumes that are not told, standstills, jumps and hours without a trade."""
    random = np.random.default_rng(seed)
    bars = walk(N, seed=seed)
    for at in np.flatnonzero(random.random(N) < flat)[1:]:
        for side in (bars.open, bars.high, bars.low, bars.close):
            side[at] = bars.close[at - 1]
        bars.volume[at] = 0.0
    for each in (bars.volume, bars.quote_volume, bars.trades, bars.taker_buy):
        each[random.random(N) < unknown] = np.nan
    factor = 10.0 ** random.uniform(-8, 8)
    for side in (bars.open, bars.high, bars.low, bars.close):
        side *= factor
    return masked(bars, random.random(N) < kept)


shares = st.sampled_from([0.0, 0.01, 0.3, 1.0])


@each_category
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kept=st.sampled_from([0.0, 0.02, 0.5, 0.95, 1.0]),
    unknown=shares,
    flat=shares,
    bars=st.integers(1, N),
)
def test_no_nan_leaves_and_every_absence_has_its_reason(
    name: str, seed: int, kept: float, unknown: float, flat: float, bars: int
):
    window = Window("any", START_MS + (N - bars) * HOUR_MS, START_MS + N * HOUR_MS)
    check(CATEGORIES[name](broken(seed, kept, unknown, flat), window))


@each_category
def test_a_price_that_stands_still_has_a_defined_result(name: str):
    check(CATEGORIES[name](still(N), last(still(N), 300)))


@each_category
def test_a_source_of_prices_alone_has_a_defined_result(name: str):
    bars = unknown_volumes(walk(N))
    check(CATEGORIES[name](bars, last(bars, 300)))


@each_category
@pytest.mark.parametrize("price", [1e-12, 1e12])
def test_prices_of_any_size_have_a_result(name: str, price: float):
    bars = walk(N)
    for side in (bars.open, bars.high, bars.low, bars.close):
        side *= price
    check(CATEGORIES[name](bars, last(bars, 300)))


@each_category
def test_the_same_bars_give_the_same_result(name: str):
    assert CATEGORIES[name](walk(N), last(walk(N), 300)) == CATEGORIES[name](walk(N), last(walk(N), 300))


@each_category
def test_what_is_given_is_not_changed(name: str):
    bars = walk(N)
    for field in bars.__struct_fields__[1:]:
        getattr(bars, field).flags.writeable = False
    CATEGORIES[name](bars, last(bars, 300))


@each_category
def test_the_future_is_not_looked_at(name: str):
    window = Window("x", START_MS + 50 * HOUR_MS, START_MS + 350 * HOUR_MS)
    assert CATEGORIES[name](walk(N), window) == CATEGORIES[name](walk(N).slice(0, 350), window)

"""Correlation: matrices against pandas, the benchmark's lead, breadth, and symbols that are left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.correlation import (
    Correlation,
    CorrelationMatrix,
    Market,
    correlation,
    correlation_matrix,
    market,
)
from tests.actors.analytics.series import (
    HOUR_MS,
    START_MS,
    all_of,
    bars_from,
    masked,
    scaled,
    still,
    walk,
    without,
)

CONF = analytics_conf().correlation
FACTOR = np.random.default_rng(9).normal(0, 0.01, 720)


def related(seed: int, share: float, n: int = 720) -> Bars:
    """A walk whose returns are the market's factor to that share."""
    own = np.random.default_rng(seed).normal(0, 0.01, n)
    return walk(n, seed=seed, returns=share * FACTOR[:n] + (1 - share) * own)


FIVE = {f"S{k}USDT": related(k, share) for k, share in enumerate((0.9, 0.7, 0.5, 0.3, 0.0))}
WINDOW = all_of(FIVE["S0USDT"])


def whole(bars: dict[str, Bars], window: Window | None = None, benchmark: str = "S0USDT") -> Market:
    return market(bars, window or WINDOW, benchmark, CONF)


def one(bars: dict[str, Bars], symbol: str, benchmark: str = "S0USDT") -> Correlation:
    return correlation(bars[symbol], symbol, whole(bars, benchmark=benchmark))


def matrix(bars: dict[str, Bars], window: Window | None = None) -> CorrelationMatrix:
    return correlation_matrix(bars, whole(bars, window))


def returns(bars: dict[str, Bars]) -> pd.DataFrame:
    return pd.DataFrame({symbol: np.diff(np.log(each.close)) for symbol, each in bars.items()})


def test_matrices_are_pandas_of_log_returns():
    table = returns(FIVE)
    result = matrix(FIVE)
    for ours, method in ((result.matrix, "pearson"), (result.spearman, "spearman")):
        np.testing.assert_allclose(pd.DataFrame(ours).to_numpy(), table.corr(method=method), rtol=1e-9, atol=1e-12)
    pairs = table.corr().to_numpy()[np.triu_indices(5, 1)]
    assert result.average_correlation == pytest.approx(pairs.mean(), rel=1e-9)
    assert result.first_eigenvalue_share == pytest.approx(np.linalg.eigvalsh(table.corr())[-1] / 5, rel=1e-9)


def test_each_symbol_has_its_row_of_the_matrix():
    result = matrix(FIVE)
    for symbol in FIVE:
        ours = one(FIVE, symbol)
        assert ours.correlation_matrix == result.matrix[symbol]
        assert ours.spearman == result.spearman[symbol]


def test_rolling_correlations_are_of_the_last_rows():
    table = returns(FIVE)
    ours = one(FIVE, "S2USDT")
    for rows in (30, 168):
        last = table.iloc[-rows:]
        expected = last["S2USDT"].corr(last["S0USDT"])
        assert ours.rolling_correlations[str(rows)] == pytest.approx(expected, rel=1e-9)
    assert ours.rolling_correlation == ours.rolling_correlations["30"]


def test_volatilities_are_correlated_by_their_rolling_deviations():
    rolled = returns(FIVE).rolling(20).std()
    expected = rolled["S1USDT"].corr(rolled["S0USDT"])
    assert one(FIVE, "S1USDT").volatility_correlation == pytest.approx(expected, rel=1e-9)


def test_the_benchmark_is_one_with_itself():
    ours = one(FIVE, "S0USDT")
    assert (ours.rolling_correlation, ours.volatility_correlation) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (ours.cross_correlation_lag, ours.cross_correlation) == (0, pytest.approx(1.0))


def test_a_symbol_that_follows_has_a_lag_above_0():
    leading = walk(720, returns=FACTOR)
    following = walk(720, seed=2, returns=np.roll(FACTOR, 2))
    ours = correlation(following, "B", whole({"A": leading, "B": following}, benchmark="A"))
    assert ours.cross_correlation_lag == 2
    assert ours.cross_correlation > 0.9


def test_a_lag_that_may_be_an_accident_is_not_told():
    ours = one(FIVE, "S4USDT")
    assert (ours.cross_correlation_lag, ours.cross_correlation) == (None, None)
    assert "may be an accident" in ours.reasons["cross_correlation_lag"]


def test_unrelated_symbols_are_told_a_lag_in_few_cases():
    random = np.random.default_rng(12)
    told = 0
    for _ in range(200):
        pair = {name: walk(200, returns=random.normal(0, 0.01, 200)) for name in "AB"}
        joint = market(pair, all_of(pair["A"]), "A", CONF)
        told += correlation(pair["B"], "B", joint).cross_correlation_lag is not None
    assert told / 200 <= 0.02


def test_prices_that_rise_together_are_not_correlated_for_that():
    """Why it is of returns: two unrelated walks with a drift have levels that correlate at nearly 1."""
    random = np.random.default_rng(13)
    pair = {name: walk(720, returns=random.normal(0.002, 0.01, 720)) for name in "AB"}
    assert np.corrcoef(pair["A"].close, pair["B"].close)[0, 1] > 0.9
    assert abs(matrix(pair).matrix["A"]["B"]) < 0.1


def test_a_symbol_with_too_few_bars_is_left_out_and_says_why():
    bars = {**FIVE, "NEWUSDT": masked(related(7, 0.5), np.arange(720) >= 400)}
    result = matrix(bars)
    assert set(result.matrix) == set(FIVE)
    assert result.envelope.parameters["left_out"] == {"NEWUSDT": "320 bars are there, and it takes 360"}
    alone = one(bars, "NEWUSDT")
    assert alone.state == "empty"
    assert alone.reasons["rolling_correlation"] == "320 bars are there, and it takes 360"
    assert one(bars, "S1USDT").rolling_correlation is not None


def test_a_benchmark_that_is_left_out_gives_way():
    bars = {**FIVE, "S0USDT": masked(FIVE["S0USDT"], np.arange(720) >= 400)}
    ours = one(bars, "S1USDT")
    assert ours.envelope.parameters["benchmark"] == "S1USDT"
    assert ours.rolling_correlation == pytest.approx(1.0)


def test_one_symbol_is_no_market():
    alone = {"S0USDT": FIVE["S0USDT"]}
    result = matrix(alone)
    assert result.matrix == {"S0USDT": {"S0USDT": 1.0}}
    assert result.reasons["average_correlation"] == "there is one symbol only"
    assert one(alone, "S0USDT").correlation_matrix == {"S0USDT": 1.0}


def test_too_few_common_times_say_nothing_of_pairs():
    bars = {"A": walk(40, seed=1), "B": walk(40, seed=2)}
    bars = {"A": without(bars["A"], *range(2, 20, 2)), "B": without(bars["B"], *range(21, 40, 2))}
    brief = analytics_conf().correlation.__class__(20, 0.0, (30,), 20, 24, 4.0, 20)
    joint = market(bars, all_of(walk(40)), "A", brief)
    assert correlation_matrix(bars, joint).matrix is None
    result = correlation(bars["A"], "A", joint)
    assert result.reasons["spearman"].endswith("times that all symbols share are there, and it takes 20")
    assert correlation_matrix(bars, joint).above_sma is not None


def test_few_rows_have_no_long_rolling_window():
    bars = {symbol: each.slice(0, 100) for symbol, each in FIVE.items()}
    joint = market(bars, all_of(bars["S0USDT"]), "S0USDT", CONF)
    result = correlation(bars["S1USDT"], "S1USDT", joint)
    assert result.reasons["rolling_correlations[168]"] == "99 times that all symbols share are there, and it takes 168"
    assert result.rolling_correlation is not None


def test_just_enough_rows_have_their_window():
    bars = {symbol: each.slice(0, 169) for symbol, each in FIVE.items()}
    joint = market(bars, all_of(bars["S0USDT"]), "S0USDT", CONF)
    table = returns(bars)
    result = correlation(bars["S1USDT"], "S1USDT", joint)
    expected = table["S1USDT"].corr(table["S0USDT"])
    assert result.rolling_correlations["168"] == pytest.approx(expected, rel=1e-9)


def test_forty_rows_have_a_correlation_of_volatilities_and_39_have_none():
    for bars_each, known in ((41, True), (40, False)):
        bars = {symbol: each.slice(0, bars_each) for symbol, each in FIVE.items()}
        joint = market(bars, all_of(bars["S0USDT"]), "S0USDT", CONF)
        result = correlation(bars["S1USDT"], "S1USDT", joint)
        assert (result.volatility_correlation is not None) is known


def test_a_symbol_that_stood_still_lately_has_no_rolling_correlation():
    steps = np.concatenate((np.random.default_rng(6).normal(0, 0.01, 680), np.zeros(40)))
    bars = {**FIVE, "QUIET": walk(720, returns=steps)}
    result = one(bars, "QUIET")
    assert result.reasons["rolling_correlation"] == "one of the two does not vary"
    assert result.rolling_correlations["168"] is not None


def test_no_symbol_at_all_is_an_empty_result():
    bars = {"A": walk(10), "B": still(720)}
    result = correlation_matrix(bars, whole(bars))
    assert result.matrix is None
    assert result.envelope.parameters["symbols"] == []
    assert correlation(bars["B"], "B", whole(bars)).state == "empty"


def test_breadth_counts_the_symbols_that_have_the_newest_bar():
    rising, falling = 100 + np.arange(60.0), 200 - np.arange(60.0)
    bars = {"UP": bars_from(rising), "UP2": bars_from(rising * 2), "DOWN": bars_from(falling), "GONE": walk(50)}
    result = matrix(bars, all_of(bars["UP"]))
    assert result.above_sma == pytest.approx(200 / 3)
    assert (result.advancing, result.declining) == (2, 1)


def test_a_symbol_that_closed_where_it_was_neither_rose_nor_fell():
    closes = 100 + np.cumsum(np.random.default_rng(2).normal(size=60))
    bars = {"STILL": bars_from(np.append(closes, closes[-1])), "UP": bars_from(np.append(closes, closes[-1] + 1))}
    result = matrix(bars, all_of(bars["UP"]))
    assert (result.advancing, result.declining) == (1, 0)


def test_breadth_takes_twenty_bars_and_a_price_at_its_average_is_not_above():
    short = {"SHORT": walk(720).slice(702, 720), "FLAT": still(720)}
    result = matrix(short)
    assert result.above_sma == 0.0
    assert result.advancing == int(short["SHORT"].log_returns[-1] > 0)


def test_two_symbols_are_a_market_of_one_pair():
    pair = {symbol: FIVE[symbol] for symbol in ("S0USDT", "S1USDT")}
    result = matrix(pair)
    assert result.average_correlation == result.matrix["S0USDT"]["S1USDT"]
    assert result.first_eigenvalue_share == pytest.approx((1 + result.average_correlation) / 2, rel=1e-9)


def test_a_market_without_its_newest_bars_has_no_breadth():
    bars = {symbol: each.slice(0, 700) for symbol, each in FIVE.items()}
    result = matrix(bars)
    assert result.reasons["advancing"] == "no symbol has the newest bars"
    assert result.matrix is not None


def test_the_envelope_of_the_matrix_counts_common_times():
    bars = {**FIVE, "S1USDT": without(FIVE["S1USDT"], 100, 300)}
    about = matrix(bars).envelope
    assert (about.n, about.gaps) == (719 - 4, 2)
    assert about.completeness == pytest.approx(100 * 715 / 720)
    assert about.parameters["rows"] == 715


@settings(max_examples=20)
@given(st.sets(st.tuples(st.integers(0, 4), st.integers(1, 719)), max_size=300))
def test_whatever_is_missing_the_matrix_stays_positive_semidefinite(holes: set[tuple[int, int]]):
    bars = {
        symbol: without(each, *(place for which, place in holes if which == at))
        for at, (symbol, each) in enumerate(FIVE.items())
    }
    table = pd.DataFrame(matrix(bars).matrix).to_numpy()
    assert (table == table.T).all()
    assert np.linalg.eigvalsh(table).min() > -1e-9


def test_units_of_price_make_no_difference():
    bars = {symbol: scaled(each, price=10.0**at) for at, (symbol, each) in enumerate(FIVE.items())}
    ours, other = matrix(FIVE), matrix(bars)
    for symbol in FIVE:
        assert other.matrix[symbol] == pytest.approx(ours.matrix[symbol], rel=1e-9)
    assert (other.advancing, other.above_sma) == (ours.advancing, ours.above_sma)


def test_the_order_of_time_makes_no_difference_to_the_matrix():
    shuffled = np.random.default_rng(1).permutation(719)
    table = returns(FIVE).iloc[shuffled]
    mixed = {symbol: bars_from(100 * np.exp(np.concatenate(([0.0], np.cumsum(table[symbol]))))) for symbol in FIVE}
    assert all_of(mixed["S0USDT"]) == (WINDOW.label, START_MS, START_MS + 720 * HOUR_MS)
    for symbol in FIVE:
        assert matrix(mixed).matrix[symbol] == pytest.approx(matrix(FIVE).matrix[symbol], rel=1e-6)

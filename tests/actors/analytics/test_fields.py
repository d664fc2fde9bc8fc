"""The names that readers of the original know, and those that were added: nothing is renamed."""

from __future__ import annotations

import typing

import pytest

from data_manager.actors.analytics import (
    correlation,
    deviation,
    regime,
    seasonality,
    spread,
    trend,
    volatility,
    volume,
)
from data_manager.actors.analytics.anomalies import METHODS
from data_manager.actors.analytics.conf import AnalyticsConf, Windows
from data_manager.actors.analytics.results import Result

ORIGINAL = {
    volatility.Volatility: (
        "rolling_stddev",
        "annualized_volatility",
        "parkinson",
        "garman_klass",
        "volatility_of_volatility",
    ),
    volume.Volume: ("total_volume", "volume_sma", "volume_ema", "volume_delta", "volume_spike_ratio"),
    spread.Spread: (
        "bid_ask_spread",
        "spread_percentage",
        "market_depth_bid",
        "market_depth_ask",
        "liquidity_ratio",
        "slippage_estimate",
    ),
    trend.Trend: (
        "sma",
        "ema",
        "wma",
        "rate_of_change",
        "directional_strength",
        "crossover_signal",
        "rolling_beta",
    ),
    deviation.Deviation: (
        "standard_deviation",
        "variance",
        "z_score",
        "bollinger_upper",
        "bollinger_lower",
        "price_range_index",
        "autocorrelation",
    ),
    seasonality.Seasonality: (
        "hourly_pattern",
        "daily_pattern",
        "seasonal_deviation",
        "entropy_index",
        "dominant_cycle",
    ),
    correlation.Correlation: (
        "correlation_matrix",
        "rolling_correlation",
        "cross_correlation_lag",
        "volatility_correlation",
    ),
    regime.Regime: ("regime", "volatility_level", "volume_level", "trend_direction", "confidence"),
}

ADDED = {
    volatility.Volatility: (
        "rogers_satchell",
        "yang_zhang",
        "realized_variance",
        "ewma_volatility",
        "downside_deviation",
        "atr14",
    ),
    volume.Volume: (
        "taker_buy_ratio",
        "quote_volume",
        "vwap",
        "obv",
        "relative_volume",
        "trades_count",
        "mean_trade_size",
    ),
    spread.Spread: (
        "mid_price",
        "weighted_mid",
        "imbalance",
        "book_reach_bps",
        "depth_bid_bps",
        "depth_ask_bps",
        "slippage_buy",
        "slippage_sell",
        "amihud",
    ),
    trend.Trend: ("rsi14", "macd", "macd_signal", "adx14", "slope", "r_squared", "alpha", "cross"),
    deviation.Deviation: (
        "bollinger_middle",
        "bandwidth",
        "percent_b",
        "coefficient_of_variation",
        "skewness",
        "kurtosis",
        "jarque_bera",
        "autocorrelations",
        "variance_ratio",
        "variance_ratio_z",
        "max_drawdown",
    ),
    seasonality.Seasonality: (
        "hour_of_week_return",
        "hour_of_week_volume",
        "spectral_entropy",
        "permutation_entropy",
        "cycles",
    ),
    correlation.Correlation: ("spearman", "rolling_correlations", "cross_correlation"),
    correlation.CorrelationMatrix: (
        "matrix",
        "spearman",
        "average_correlation",
        "first_eigenvalue_share",
        "above_sma",
        "advancing",
        "declining",
    ),
    regime.Regime: ("margin", "persistence", "previous_regime", "transition_time", "volatility_low", "volatility_high"),
}

METHOD_TAGS = {
    volatility: "rolling_stddev",
    volume: "aggregation",
    spread: "order_book_analysis",
    trend: "moving_averages",
    deviation: "statistical_analysis",
    seasonality: "fourier_analysis",
    correlation: "pearson_correlation",
    regime: "threshold_classification",
}


@pytest.mark.parametrize("kind", ORIGINAL)
def test_every_field_of_the_original_keeps_its_name(kind: type[Result]):
    assert set(ORIGINAL[kind]) <= set(kind.metrics())


@pytest.mark.parametrize("kind", ADDED)
def test_what_was_to_be_added_is_there(kind: type[Result]):
    assert set(ADDED[kind]) <= set(kind.metrics())


@pytest.mark.parametrize("kind", {**ORIGINAL, **ADDED})
def test_every_field_may_be_unknown(kind: type[Result]):
    hints = typing.get_type_hints(kind)
    assert all(type(None) in typing.get_args(hints[name]) for name in kind.metrics())


@pytest.mark.parametrize("category", METHOD_TAGS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_each_category_tells_its_method_as_the_original_does(category):
    assert METHOD_TAGS[category] == category.METHOD


def test_there_is_a_window_and_a_set_of_parameters_for_each_of_eight_categories():
    names = {module.__name__.rpartition(".")[2] for module in METHOD_TAGS}
    assert len(names) == 8
    assert names <= set(Windows.__struct_fields__)
    assert names <= set(AnalyticsConf.__struct_fields__)


def test_the_originals_four_methods_of_detection_come_under_their_names():
    assert {"zscore", "mad", "moving_avg", "isolation_forest"} <= set(METHODS)
    assert {"ecod", "copod", "hbos", "stale_price", "volume_without_price"} <= set(METHODS)

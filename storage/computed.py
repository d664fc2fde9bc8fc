"""What computed documents say: the fields of every category, and how a document's body is written.

A body is a JSON object. First the category's fields, all of them, each under its name: floats as their shortest text
(what the original stored as strings), integers and text as they are, mappings as objects of the same, null for what
is not known. Then `metadata`, whose numbers stay numbers:

    method        as the original named it, e.g. rolling_stddev
    window        the label of what was looked back on: 24h, 30d
    start_ms      the window's first millisecond, and
    end_ms        the first one after it
    newest_ms     close of the newest bar that was used; null without any
    n             bars of the window that were there
    expected      bars it has room for
    completeness  percent of them
    gaps          holes between the first and the last
    warm_up       bars before the window that recursive averages began with
    parameters    an object; of volatility also annualization_factor
    reasons       why a field is null, by its name; by `field.entry` for an entry of a mapping

and whatever else a later computation wants to find again, e.g. `sums` of a spread. When it was computed stands in the
record, and in MongoDB in `metadata.computed_at` as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from data_manager.storage.records import Analytics

NUMBER, INTEGER, STRING, OBJECT, ARRAY = "number", "integer", "string", "object", "array"


class Metric(NamedTuple):
    """A field of a category; it is null where it could not be computed."""

    name: str
    type: str  # number (as text), integer, string, object or array
    description: str


def _metrics(kind: str, **described: str) -> tuple[Metric, ...]:
    return tuple(Metric(name, kind, description) for name, description in described.items())


METRICS: dict[str, tuple[Metric, ...]] = {
    "volatility": (
        *_metrics(
            NUMBER,
            rolling_stddev="Sample standard deviation of the last simple returns, per bar.",
            annualized_volatility="The same, per year of 365 days.",
            parkinson="From high and low, per bar (Parkinson 1980).",
            garman_klass="From open, high, low and close, per bar (Garman and Klass 1980).",
            rogers_satchell="The same, whatever the drift (Rogers and Satchell 1991).",
            yang_zhang="The same, with the step between bars (Yang and Zhang 2000).",
            volatility_of_volatility="Standard deviation of the last values of rolling_stddev.",
            ewma_volatility="Exponentially weighted, per bar (RiskMetrics 1996).",
            downside_deviation="Of the returns below 0, per bar.",
            realized_variance="Sum of squared returns inside the newest bar (Andersen and Bollerslev 1998).",
            atr14="Average true range of 14 bars in quote units (Wilder 1978).",
        ),
        Metric("invalid_bars", INTEGER, "Bars of the window that open or close outside their high and low."),
    ),
    "volume": (
        *_metrics(
            NUMBER,
            total_volume="Base volume of the window.",
            volume_sma="Mean volume of the last bars.",
            volume_ema="Exponentially weighted mean volume.",
            volume_delta="Bought by aggressors less sold by them.",
            volume_spike_ratio="The newest bar against the window's median.",
            taker_buy_ratio="The part bought by aggressors, 0 to 1.",
            quote_volume="Quote volume of the window.",
            vwap="Volume-weighted average price.",
            obv="On-balance volume over the window (Granville 1963).",
            relative_volume="The newest bar against the same hour of earlier weeks.",
        ),
        Metric("trades_count", INTEGER, "Trades of the window."),
        Metric("mean_trade_size", NUMBER, "Base units per trade."),
    ),
    "spread": (
        *_metrics(
            NUMBER,
            bid_ask_spread="Best ask less best bid.",
            spread_percentage="The same in percent of mid.",
            mid_price="Mean of best bid and best ask.",
            weighted_mid="The same, weighted by the other side's quantity.",
            market_depth_bid="Base units bid within 1 % of mid, as far as the book reaches.",
            market_depth_ask="Base units asked within 1 % of mid, as far as the book reaches.",
            book_reach_bps="How far from mid the book reaches on both sides.",
        ),
        *_metrics(
            OBJECT,
            depth_bid_bps="Base units bid, by basis points from mid; null beyond the reach.",
            depth_ask_bps="Base units asked, by basis points from mid; null beyond the reach.",
            imbalance="(bid - ask) / (bid + ask), by number of levels.",
        ),
        Metric("slippage_estimate", NUMBER, "Percent beyond mid that buying one base unit costs."),
        *_metrics(
            OBJECT,
            slippage_buy="Percent beyond mid, by quote units bought; null where the book is too thin.",
            slippage_sell="Percent beyond mid, by quote units sold; null where the book is too thin.",
        ),
        *_metrics(
            NUMBER,
            liquidity_ratio="Quote units traded per unit of absolute log return (Amivest).",
            amihud="Absolute log return per million quote units traded (Amihud 2002).",
        ),
    ),
    "trend": (
        *_metrics(
            NUMBER,
            sma="Mean of the last closes.",
            ema="Exponentially weighted mean of the closes.",
            wma="Linearly weighted mean of the last closes.",
            rate_of_change="Percent over the last bars.",
            directional_strength="Percent of the last bars that closed above their open.",
        ),
        Metric("crossover_signal", STRING, "bullish, bearish or neutral: how the fast average lies to the slow one."),
        Metric("cross", OBJECT, "The last crossing of the averages: direction, age_bars, time_ms."),
        *_metrics(
            NUMBER,
            rsi14="Relative strength index (Wilder 1978).",
            macd="Moving average convergence divergence (Appel 1979).",
            macd_signal="Its signal line.",
            macd_histogram="macd less macd_signal.",
            adx14="Average directional index (Wilder 1978).",
            plus_di14="Upward directional index.",
            minus_di14="Downward directional index.",
            slope="Of log price per bar, by least squares.",
            r_squared="How well that line fits.",
            rolling_beta="Against the benchmark (Sharpe 1964).",
            alpha="Log return per bar that beta does not explain.",
        ),
    ),
    "deviation": (
        *_metrics(
            NUMBER,
            standard_deviation="Of the last closes.",
            variance="Of the last closes.",
            z_score="The newest close from their mean, in deviations.",
            bollinger_upper="Upper Bollinger band.",
            bollinger_middle="Middle Bollinger band.",
            bollinger_lower="Lower Bollinger band.",
            bandwidth="Between the bands, in percent of the middle one.",
            percent_b="0 at the lower band, 1 at the upper.",
            price_range_index="0 at the lowest of the last closes, 1 at the highest.",
            coefficient_of_variation="Standard deviation by mean.",
            skewness="Of log returns over the window.",
            kurtosis="In excess of the normal distribution's.",
            jarque_bera="Distance from a normal distribution (Jarque and Bera 1980).",
            jarque_bera_p="How likely a normal distribution is as far off.",
            autocorrelation="Of log returns at lag 1.",
        ),
        *_metrics(
            OBJECT,
            autocorrelations="Of log returns, by lag in bars.",
            variance_ratio="By bars; 1 for a random walk (Lo and MacKinlay 1988).",
            variance_ratio_z="By bars; standard normal for a random walk.",
        ),
        Metric("max_drawdown", NUMBER, "Greatest fall from the highest close before, in percent."),
    ),
    "seasonality": (
        *_metrics(
            OBJECT,
            hourly_pattern="Mean log return in percent, by hour of the day (UTC).",
            daily_pattern="Mean log return in percent, by weekday from 0, a Monday.",
        ),
        Metric("seasonal_deviation", NUMBER, "The newest return from its hour's mean, in that hour's deviations."),
        Metric("entropy_index", NUMBER, "Entropy of log returns in nats (Shannon 1948)."),
        Metric("dominant_cycle", INTEGER, "Bars of the strongest cycle that white noise does not explain."),
        *_metrics(
            OBJECT,
            hour_of_week_return="Mean log return in percent, by hour of the week from 0, Monday 00:00 UTC.",
            hour_of_week_volume="Mean base volume per bar, by hour of the week.",
        ),
        Metric("cycles", ARRAY, "The strongest cycles that white noise does not explain."),
        Metric("spectral_entropy", NUMBER, "Of the spectrum of log returns, 0 to 1."),
        Metric("permutation_entropy", NUMBER, "Of the order of log returns, 0 to 1 (Bandt and Pompe 2002)."),
    ),
    "correlation": (
        Metric("correlation_matrix", OBJECT, "Correlation of log returns, by symbol: this one's row."),
        Metric("spearman", OBJECT, "Rank correlation of log returns, by symbol (Spearman 1904)."),
        Metric("rolling_correlation", NUMBER, "With the benchmark, over the shortest window."),
        Metric("rolling_correlations", OBJECT, "With the benchmark, by window in bars."),
        Metric("cross_correlation_lag", INTEGER, "Bars by which the symbol follows the benchmark."),
        Metric("cross_correlation", NUMBER, "Correlation at that lag."),
        Metric("volatility_correlation", NUMBER, "Of rolling deviations of returns with the benchmark's."),
    ),
    "regime": (
        *_metrics(
            STRING,
            regime="The state's name.",
            volatility_level="low, medium or high.",
            volume_level="low, medium or high.",
            trend_direction="bullish, bearish or neutral.",
        ),
        *_metrics(
            NUMBER,
            confidence="Weight of the rule that names the state; no probability.",
            margin="Distance to the nearest threshold, as a part of that threshold.",
        ),
        Metric("persistence", INTEGER, "Bars for which the state has lasted."),
        Metric("previous_regime", STRING, "The state before."),
        Metric("transition_time", INTEGER, "Close of the bar at which the state began, in ms since 1970 UTC."),
        *_metrics(
            NUMBER,
            annualized_volatility="What the volatility level is told by.",
            volume_spike_ratio="What the volume level is told by.",
            trend_z="What the trend's direction is told by: rate of change over its standard error.",
            volatility_low="Threshold of low volatility.",
            volatility_high="Threshold of high volatility.",
        ),
    ),
    "correlation_matrix": (
        Metric("matrix", OBJECT, "Correlation of log returns, by symbol and symbol (Pearson 1895)."),
        Metric("spearman", OBJECT, "Rank correlation of log returns, by symbol and symbol."),
        Metric("average_correlation", NUMBER, "Mean of all pairs."),
        Metric("first_eigenvalue_share", NUMBER, "Part of the variance that one common factor explains."),
        Metric("above_sma", NUMBER, "Percent of the symbols that closed above their average."),
        Metric("advancing", INTEGER, "Symbols whose newest return is above 0."),
        Metric("declining", INTEGER, "Symbols whose newest return is below 0."),
    ),
    "market_overview": (
        Metric(
            "overview",
            OBJECT,
            "By symbol: volatility {annualized}, volume {spike_ratio}, trend {direction, roc} and regime "
            "{classification, confidence}.",
        ),
    ),
}  # fmt: skip


def body_of(fields: Mapping[str, object], metadata: Mapping[str, object]) -> str:
    """The body of a document; fields and metadata may hold structs. Raises TypeError for what is no JSON."""
    return orjson.dumps({**_texts(fields), "metadata": msgspec.to_builtins(metadata)}).decode()


def bars_used(document: Analytics) -> int:
    """How many bars of its window there were."""
    used: int = orjson.loads(document.body)["metadata"]["n"]
    return used


def _texts(value: Any) -> Any:
    """The value with the shortest text that reads back as the same double in the place of every float."""
    match value:
        case float():
            return repr(value)
        case msgspec.Struct():
            return _texts(msgspec.structs.asdict(value))
        case Mapping():
            return {key: _texts(each) for key, each in value.items()}
        case list() | tuple():
            return [_texts(each) for each in value]
    return value

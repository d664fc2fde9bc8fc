"""How far the price lies from its average, and how its returns are distributed. Pure."""

from __future__ import annotations

import msgspec
import numpy as np
from scipy import stats

from data_manager.actors.analytics.bars import Bars, Floats, Window, valid
from data_manager.actors.analytics.oscillators import FLAT
from data_manager.actors.analytics.results import Result, Unknown, built, empty, envelope, too_few
from data_manager.actors.analytics.rolling import deviations
from data_manager.actors.analytics.walks import autocorrelation, variance_ratio

METHOD = "statistical_analysis"


class DeviationParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metrics look at; lengths in bars."""

    minimum: int  # bars in the window below which nothing is said
    rolling_window: int
    bollinger_std_multiplier: float
    returns_minimum: int  # below which their distribution is not described
    autocorrelation_lags: tuple[int, ...]
    variance_ratios: tuple[int, ...]
    returns_per_lag: int  # so many returns in a row for each bar of a lag or ratio

    def __post_init__(self) -> None:
        if self.minimum < 3:
            raise ValueError("minimum must be at least 3 bars: a deviation takes two returns")


class Deviation(Result, frozen=True, kw_only=True):
    """Bands in quote units over the last bars; the distribution of log returns over the whole window."""

    standard_deviation: float | None
    variance: float | None
    z_score: float | None
    bollinger_upper: float | None
    bollinger_middle: float | None
    bollinger_lower: float | None
    bandwidth: float | None  # percent of the middle band
    percent_b: float | None  # 0 at the lower band, 1 at the upper
    price_range_index: float | None  # 0 at the lowest close, 1 at the highest
    coefficient_of_variation: float | None
    skewness: float | None
    kurtosis: float | None  # in excess of the normal distribution's
    jarque_bera: float | None
    jarque_bera_p: float | None
    autocorrelation: float | None  # of log returns at lag 1
    autocorrelations: dict[str, float | None] | None  # by lag in bars
    variance_ratio: dict[str, float | None] | None  # by bars; 1 for a random walk
    variance_ratio_z: dict[str, float | None] | None  # standard normal for a random walk
    max_drawdown: float | None  # percent of the highest close before


def deviation(bars: Bars, window: Window, parameters: DeviationParameters) -> Deviation:
    """The deviation at the window's newest bar, and the distribution of the window's returns.

    What needs returns in a row (autocorrelation, variance ratio) looks at the longest stretch without a hole;
    `parameters.returns_in_a_row` in the envelope tells how many it has.
    """
    sample = window.within(bars)
    run = valid(sample.longest_run().log_returns)
    shown = {**msgspec.structs.asdict(parameters), "returns_in_a_row": len(run)}
    about = envelope(METHOD, bars, window, shown)
    if len(sample) < parameters.minimum:
        return empty(Deviation, about, too_few(len(sample), parameters.minimum))
    length = min(parameters.rolling_window, len(sample) - 1)
    return built(
        Deviation,
        about,
        {
            **_bands(sample.close[-length:], parameters.bollinger_std_multiplier),
            **_distribution(valid(sample.log_returns), parameters.returns_minimum),
            **_dependence(run, parameters),
            "max_drawdown": float(np.max(1 - sample.close / np.maximum.accumulate(sample.close))) * 100,
        },
    )


def _bands(last: Floats, width: float) -> dict[str, float | Unknown]:
    """Standard deviation of the last closes and what Bollinger (2001, Bollinger on Bollinger Bands) makes of it."""
    middle, spread = float(np.mean(last)), float(deviations(last, len(last))[-1])
    upper, lower = middle + width * spread, middle - width * spread
    lowest, highest = float(np.min(last)), float(np.max(last))
    flat = Unknown(FLAT)
    return {
        "standard_deviation": spread,
        "variance": spread**2,
        "z_score": (float(last[-1]) - middle) / spread if spread > 0 else flat,
        "bollinger_upper": upper,
        "bollinger_middle": middle,
        "bollinger_lower": lower,
        "bandwidth": 2 * width * spread / middle * 100,
        "percent_b": (float(last[-1]) - lower) / (2 * width * spread) if spread > 0 else flat,
        "price_range_index": (float(last[-1]) - lowest) / (highest - lowest) if highest > lowest else 0.5,
        "coefficient_of_variation": spread / middle,
    }


def _distribution(returns: Floats, minimum: int) -> dict[str, float | Unknown]:
    """Skewness and excess kurtosis (Fisher-Pearson, moments of the sample), and the test made of them.

    Jarque & Bera 1980, Economics Letters 6(3):255-259; its p holds for many returns.
    """
    names = ("skewness", "kurtosis", "jarque_bera", "jarque_bera_p")
    if len(returns) < minimum:
        return dict.fromkeys(names, Unknown(too_few(len(returns), minimum, "returns")))
    if np.ptp(returns) == 0:
        return dict.fromkeys(names, Unknown("the returns do not vary"))
    test = stats.jarque_bera(returns)
    moments = (stats.skew(returns), stats.kurtosis(returns), test.statistic, test.pvalue)
    return dict(zip(names, map(float, moments), strict=True))


def _dependence(run: Floats, parameters: DeviationParameters) -> dict[str, object]:
    """Autocorrelations and variance ratios of returns in a row, each where there are enough for its lag."""

    def shortage(bars: int) -> Unknown | None:
        needed = bars * parameters.returns_per_lag
        if len(run) < needed:
            return Unknown(too_few(len(run), needed, "returns in a row"))
        return Unknown("the returns do not vary") if np.ptp(run) == 0 else None

    lags = {str(lag): shortage(lag) or autocorrelation(run, lag) for lag in parameters.autocorrelation_lags}
    ratios = {str(q): shortage(q) or variance_ratio(run, q) for q in parameters.variance_ratios}
    return {
        "autocorrelation": shortage(1) or autocorrelation(run, 1),
        "autocorrelations": lags,
        "variance_ratio": {q: each if isinstance(each, Unknown) else each.ratio for q, each in ratios.items()},
        "variance_ratio_z": {q: each if isinstance(each, Unknown) else each.z for q, each in ratios.items()},
    }

"""How much the price moves: deviation of returns, range estimators, and what surrounds them. Pure."""

from __future__ import annotations

import msgspec
import numpy as np

from data_manager.actors.analytics import ranges
from data_manager.actors.analytics.bars import Bars, Floats, Window, valid
from data_manager.actors.analytics.oscillators import atr
from data_manager.actors.analytics.results import Result, Unknown, built, empty, envelope, too_few
from data_manager.actors.analytics.rolling import deviations
from data_manager.actors.analytics.smoothing import ewma

METHOD = "rolling_stddev"


class VolatilityParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metrics look at; lengths in bars."""

    minimum: int  # bars in the window below which nothing is said
    rolling_window: int
    ewma_decay: float
    atr_length: int

    def __post_init__(self) -> None:
        if self.minimum < 3:
            raise ValueError("minimum must be at least 3 bars: a deviation takes two returns")


class Volatility(Result, frozen=True, kw_only=True):
    """Deviations of the price per bar, as fractions of it (0.01 is one percent), but for the two named otherwise."""

    rolling_stddev: float | None  # sample standard deviation of the last simple returns
    annualized_volatility: float | None  # the same, per year of 365 days
    parkinson: float | None
    garman_klass: float | None
    rogers_satchell: float | None
    yang_zhang: float | None
    volatility_of_volatility: float | None  # standard deviation of the last values of rolling_stddev
    ewma_volatility: float | None
    downside_deviation: float | None
    realized_variance: float | None  # of the newest bar, from the bars inside it: a variance
    atr14: float | None  # in price units
    invalid_bars: int | None  # of the window: open or close outside high and low


def volatility(bars: Bars, window: Window, parameters: VolatilityParameters, inside: Bars | None = None) -> Volatility:
    """The volatility at the window's newest bar; `inside` are shorter bars, for the realised variance.

    `bars` may begin long before the window, for the average true range. With w = rolling_window, or one less than
    the bars where there are fewer: the last w returns between adjacent bars, the last w bars for the estimators.
    """
    sample = window.within(bars)
    shown = {**msgspec.structs.asdict(parameters), "annualization_factor": bars.annualization_factor}
    about = envelope(METHOD, bars, window, shown)
    if len(sample) < parameters.minimum:
        return empty(Volatility, about, too_few(len(sample), parameters.minimum))
    length = min(parameters.rolling_window, len(sample) - 1)
    logs = valid(sample.log_returns)
    returns = np.expm1(logs)
    rolling = _rolling_stddev(returns, length)
    return built(
        Volatility,
        about,
        {
            "rolling_stddev": rolling,
            "annualized_volatility": rolling if isinstance(rolling, Unknown) else rolling * bars.annualization_factor,
            **_from_ranges(sample, length),
            "volatility_of_volatility": _volatility_of_volatility(returns, length),
            "ewma_volatility": _ewma_volatility(logs, parameters.ewma_decay),
            "downside_deviation": _downside_deviation(returns, length),
            "realized_variance": _realized_variance(sample, inside),
            "atr14": atr(window.through(bars), parameters.atr_length),
            "invalid_bars": int(np.count_nonzero(sample.invalid)),
        },
    )


def _rolling_stddev(returns: Floats, length: int) -> float | Unknown:
    """The last `length` simple returns' sample standard deviation: the close-to-close estimator."""
    if len(returns) < max(length, 2):
        return Unknown(too_few(len(returns), max(length, 2), "returns"))
    return float(deviations(returns[-length:], length)[-1])


def _volatility_of_volatility(returns: Floats, length: int) -> float | Unknown:
    """The sample standard deviation of the last `length` values of the rolling one."""
    if len(returns) < 2 * length - 1:
        return Unknown(too_few(len(returns), 2 * length - 1, "returns"))
    return float(np.std(deviations(returns, length)[-length:], ddof=1))


def _ewma_volatility(returns: Floats, decay: float) -> float | Unknown:
    """The root of the exponentially weighted mean of squared log returns. RiskMetrics (1996)."""
    return float(np.sqrt(ewma(returns**2, decay)[-1])) if len(returns) else Unknown(too_few(0, 1, "returns"))


def _downside_deviation(returns: Floats, length: int) -> float | Unknown:
    """sqrt(mean(min(r, 0)^2)) over the last `length` simple returns. Sortino & Price 1994, J. Investing 3(3):59-64."""
    if len(returns) < length:
        return Unknown(too_few(len(returns), length, "returns"))
    return float(np.sqrt(np.mean(np.minimum(returns[-length:], 0.0) ** 2)))


def _from_ranges(sample: Bars, length: int) -> dict[str, float | Unknown]:
    """Roots of the range estimators over the last `length` bars, and for Yang-Zhang the bar before them."""
    names = ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang")
    last = sample.slice(len(sample) - length, len(sample))
    if np.any(last.invalid):
        at = int(last.open_times[last.invalid][-1])
        reason = f"the bar that opens at {at} ms opens or closes outside its own high and low"
        return dict.fromkeys(names, Unknown(reason))
    with_one_before = sample.slice(max(0, len(sample) - length - 1), len(sample))
    pairs = int(np.count_nonzero(with_one_before.adjacent))
    return {
        # Rounding may leave a variance of nothing a little below 0.
        "parkinson": _root(ranges.parkinson(last)),
        "garman_klass": _root(ranges.garman_klass(last)),
        "rogers_satchell": _root(ranges.rogers_satchell(last)),
        "yang_zhang": _root(ranges.yang_zhang(with_one_before))
        if pairs >= 2
        else Unknown(too_few(pairs, 2, "steps between adjacent bars")),
    }


def _root(variance: float) -> float:
    return float(np.sqrt(max(variance, 0.0)))


def _realized_variance(sample: Bars, inside: Bars | None) -> float | Unknown:
    """The sum of squared log returns of all bars inside the newest one, the first from its open.

    Andersen & Bollerslev 1998, Int. Econ. Review 39(4):885-905.
    """
    newest = int(sample.open_times[-1])
    if inside is None:
        return Unknown("no shorter bars were given")
    parts = inside.between(newest, newest + sample.interval_ms)
    needed = sample.interval_ms // inside.interval_ms
    if len(parts) < needed:
        return Unknown(too_few(len(parts), needed, "bars inside the newest one"))
    first = np.log(parts.close[0] / parts.open[0])
    return float(first**2 + np.sum(np.diff(np.log(parts.close)) ** 2))

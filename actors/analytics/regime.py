"""Which state the market is in: volatility, volume and trend as levels, and a label for their combination. Pure.

Each bar of the window gets its levels, by thresholds of today, so that the state's age and the one before it follow
from the bars alone: the same bars always give the same result, after a restart as before.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_manager.actors.analytics.bars import Bars, Floats, Window, span_ms
from data_manager.actors.analytics.levels import HIGH, LOW, MEDIUM, levels
from data_manager.actors.analytics.results import Envelope, Result, Unknown, built, empty, envelope, too_few
from data_manager.actors.analytics.rolling import deviations, medians

METHOD = "threshold_classification"
DAY_MS = 86_400_000

Level = Literal["low", "medium", "high"]
Direction = Literal["bearish", "neutral", "bullish"]

LEVELS: dict[int, Level] = {LOW: "low", MEDIUM: "medium", HIGH: "high"}
DIRECTIONS: dict[int, Direction] = {LOW: "bearish", MEDIUM: "neutral", HIGH: "bullish"}


class Label(NamedTuple):
    """A regime's name, and the weight of the rule that gives it: the original's number, not a probability."""

    regime: str
    confidence: float


class RegimeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the levels are told by; lengths in bars."""

    minimum: int  # bars that have all three values
    rolling_window: int
    rate_of_change: int
    volatility_quantiles: tuple[float, float]
    quantiles_from_days: int  # with less history than this the two levels below are the thresholds
    volatility_levels: tuple[float, float]  # annualised
    volume_levels: tuple[float, float]  # ratio to the median
    trend_z: float


class Regime(Result, frozen=True, kw_only=True):
    """The state at the newest bar, how clear it is, since when, and what was before."""

    regime: str | None
    volatility_level: Level | None
    volume_level: Level | None
    trend_direction: Direction | None
    confidence: float | None  # Label's
    margin: float | None  # the least distance of the three values from a threshold, as a part of that threshold
    persistence: int | None  # bars for which the regime has been the same, this one among them
    previous_regime: str | None
    transition_time: int | None  # ms: the close of the bar at which it began
    annualized_volatility: float | None
    volume_spike_ratio: float | None
    trend_z: float | None  # rate of change over its standard error
    volatility_low: float | None  # the thresholds in force
    volatility_high: float | None


class _Series(NamedTuple):
    """Of the bars that have all three values."""

    close_times: NDArray[np.int64]
    volatility: Floats
    spike: Floats
    trend: Floats


def label(volatility: int, volume: int, trend: int) -> Label:
    """The rules in the original's order, but the two accelerations before the breakout that would hide them."""
    match volatility, volume, trend:
        case (1, -1, _):
            return Label("turbulent_illiquidity", 0.80)
        case (-1, 1, _):
            return Label("stable_accumulation", 0.85)
        case (1, 1, 1):
            return Label("bullish_acceleration", 0.85)
        case (1, 1, -1):
            return Label("bearish_acceleration", 0.85)
        case (1, 1, _):
            return Label("breakout_phase", 0.90)
        case (-1, -1, _):
            return Label("consolidation", 0.75)
        case (0, 0, _):
            return Label("balanced_market", 0.70)
    return Label("transitional", 0.60)


def regime(bars: Bars, window: Window, volume_window: str, parameters: RegimeParameters) -> Regime:
    """The regime at the window's newest bar; a volume is compared with the median of a window of that length.

    `bars` may begin before the window, so that its first bars have values too.
    """
    shown = {
        **msgspec.structs.asdict(parameters),
        "volume_window": volume_window,
        "annualization_factor": bars.annualization_factor,
    }
    about = envelope(METHOD, bars, window, shown)
    series = _series(window, window.through(bars), span_ms(volume_window) // bars.interval_ms, parameters)
    low, high = _thresholds(series, parameters)
    shortage = _shortage(series, about, parameters.minimum)
    if shortage is not None or not low < high:
        return empty(Regime, about, shortage or "the volatility did not vary")
    states = np.column_stack(
        (
            levels(series.volatility, low, high),
            levels(series.spike, *parameters.volume_levels),
            levels(series.trend, -parameters.trend_z, parameters.trend_z),
        )
    )
    volatility, volume, trend = map(int, states[-1])
    newest = label(volatility, volume, trend)
    return built(
        Regime,
        about,
        {
            "regime": newest.regime,
            "volatility_level": LEVELS[volatility],
            "volume_level": LEVELS[volume],
            "trend_direction": DIRECTIONS[trend],
            "confidence": newest.confidence,
            "margin": _margin(series, low, high, parameters),
            **_since(states, series.close_times),
            "annualized_volatility": float(series.volatility[-1]),
            "volume_spike_ratio": float(series.spike[-1]),
            "trend_z": float(series.trend[-1]),
            "volatility_low": low,
            "volatility_high": high,
        },
    )


def _shortage(series: _Series, about: Envelope, minimum: int) -> str | None:
    """Why nothing can be said about the newest bar, if nothing can."""
    if len(series.close_times) < minimum:
        return too_few(len(series.close_times), minimum, "bars with all three values")
    if series.close_times[-1] != about.newest_ms:
        return (
            "the newest bar lacks one of the three values: bars before it are missing, or nothing moved or was traded"
        )
    return None


def _series(window: Window, bars: Bars, volume_bars: int, parameters: RegimeParameters) -> _Series:
    """The three values of each bar of the window that has them all.

    Volatility as in volatility.py; volume against the median up to the bar; rate of change as a fraction, over the
    deviation of returns times the root of its length.
    """
    returns = np.expm1(bars.log_returns)
    known = ~np.isnan(returns)
    deviation = np.full(len(bars), np.nan)
    deviation[known] = deviations(returns[known], parameters.rolling_window)
    usual = medians(bars.volume, volume_bars)
    spike = np.divide(bars.volume, usual, out=np.full(len(bars), np.nan), where=usual > 0)
    change = _rates_of_change(bars, parameters.rate_of_change)
    error = deviation * np.sqrt(parameters.rate_of_change)
    trend = np.divide(change, error, out=np.full(len(bars), np.nan), where=error > 0)
    there = ~(np.isnan(deviation) | np.isnan(spike) | np.isnan(trend)) & (bars.open_times >= window.start_ms)
    closes = bars.open_times[there] + bars.interval_ms
    return _Series(closes, (deviation * bars.annualization_factor)[there], spike[there], trend[there])


def _rates_of_change(bars: Bars, length: int) -> Floats:
    """C / C_{-length} - 1 of each bar, NaN where a bar between is missing."""
    rates = np.full(len(bars), np.nan)
    unbroken = bars.open_times[length:] - bars.open_times[:-length] == length * bars.interval_ms
    rates[length:] = np.where(unbroken, bars.close[length:] / bars.close[:-length] - 1, np.nan)
    return rates


def _thresholds(series: _Series, parameters: RegimeParameters) -> tuple[float, float]:
    """The symbol's own quantiles of volatility, or the fixed levels where its history is short."""
    times = series.close_times
    if not len(times) or times[-1] - times[0] < parameters.quantiles_from_days * DAY_MS:
        return parameters.volatility_levels
    low, high = np.quantile(series.volatility, parameters.volatility_quantiles)
    return float(low), float(high)


def _margin(series: _Series, low: float, high: float, parameters: RegimeParameters) -> float:
    z = abs(float(series.trend[-1]))
    distances = [
        *(abs(float(series.volatility[-1]) - threshold) / threshold for threshold in (low, high)),
        *(abs(float(series.spike[-1]) - threshold) / threshold for threshold in parameters.volume_levels),
        abs(z - parameters.trend_z) / parameters.trend_z,
    ]
    return min(distances)


def _since(states: NDArray[np.int64], close_times: NDArray[np.int64]) -> dict[str, object]:
    """How long the newest regime has lasted, and what was before; a change of level inside a regime is none of it."""
    distinct, which = np.unique(states, axis=0, return_inverse=True)
    names = np.array([label(*map(int, state)).regime for state in distinct])[which]
    other = np.flatnonzero(names != names[-1])
    if not len(other):
        before = Unknown("the regime has been the same through the whole window")
        return {"persistence": len(names), "previous_regime": before, "transition_time": before}
    first = int(other[-1]) + 1
    return {
        "persistence": len(names) - first,
        "previous_regime": str(names[other[-1]]),
        "transition_time": int(close_times[first]),
    }

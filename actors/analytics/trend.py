"""Where the price goes: moving averages, momentum, a line through its logarithm, and the market it follows. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from data_manager.actors.analytics import oscillators
from data_manager.actors.analytics.bars import Bars, Floats, Window
from data_manager.actors.analytics.oscillators import FLAT
from data_manager.actors.analytics.results import Result, Unknown, built, empty, envelope, too_few
from data_manager.actors.analytics.rolling import means
from data_manager.actors.analytics.smoothing import ewma, span_decay

METHOD = "moving_averages"

Direction = Literal["bullish", "bearish"]


class TrendParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metrics look at; lengths in bars."""

    minimum: int  # bars in the window below which nothing is said
    sma_window: int
    slow_sma_window: int
    ema_span: int
    rate_of_change: int
    wilder_length: int  # of RSI, ADX and ATR
    macd_fast: int
    macd_slow: int
    macd_signal: int
    neutral_atr: float  # the averages are neutral while they lie within so many ATR of each other
    beta_minimum: int  # returns shared with the benchmark below which beta is not said

    def __post_init__(self) -> None:
        if self.minimum < max(self.slow_sma_window, self.sma_window, self.rate_of_change + 1):
            raise ValueError("minimum must cover slow_sma_window, sma_window and rate_of_change")


class Cross(msgspec.Struct, frozen=True):
    """The fast average came to lie above (bullish) or below (bearish) the slow one."""

    direction: Direction
    age_bars: int  # 0: at the newest bar
    time_ms: int  # the close of the bar at which it did


class Trend(Result, frozen=True, kw_only=True):
    """Averages in quote units, momentum in percent, oscillators 0 to 100."""

    sma: float | None
    ema: float | None
    wma: float | None
    rate_of_change: float | None  # percent
    directional_strength: float | None  # percent of the last bars that closed above their open
    crossover_signal: str | None  # bullish, bearish or neutral: how the fast average lies to the slow one
    cross: Cross | None
    rsi14: float | None
    macd: float | None
    macd_signal: float | None
    macd_histogram: float | None
    adx14: float | None
    plus_di14: float | None
    minus_di14: float | None
    slope: float | None  # of log price per bar
    r_squared: float | None
    rolling_beta: float | None
    alpha: float | None  # log return per bar that beta does not explain


def trend(bars: Bars, window: Window, parameters: TrendParameters, benchmark: Bars | None = None) -> Trend:
    """The trend at the window's newest bar; `benchmark` are the bars of the market it is compared with.

    `bars` may begin long before the window: recursive averages begin there.
    """
    sample, through = window.within(bars), window.through(bars)
    about = envelope(METHOD, bars, window, msgspec.structs.asdict(parameters))
    if len(sample) < parameters.minimum:
        return empty(Trend, about, too_few(len(sample), parameters.minimum))
    fast, slow = (means(sample.close, n) for n in (parameters.sma_window, parameters.slow_sma_window))
    last = sample.slice(len(sample) - parameters.sma_window, len(sample))
    return built(
        Trend,
        about,
        {
            "sma": float(fast[-1]),
            "ema": float(ewma(through.close, span_decay(parameters.ema_span))[-1]),
            "wma": float(np.average(last.close, weights=np.arange(1, len(last) + 1))),
            "rate_of_change": _rate_of_change(sample, parameters.rate_of_change),
            "directional_strength": float(np.mean(last.close > last.open)) * 100,
            "crossover_signal": _state(float(fast[-1] - slow[-1]), through, parameters),
            "cross": _cross(fast - slow, sample),
            **_oscillators(through, parameters),
            **_line(sample),
            **_market(sample, benchmark, parameters.beta_minimum),
        },
    )


def _rate_of_change(sample: Bars, length: int) -> float | Unknown:
    """(C / C_{-length} - 1) x 100, where the bars between are all there."""
    if sample.open_times[-1] - sample.open_times[-1 - length] != length * sample.interval_ms:
        return Unknown(f"bars are missing among the last {length + 1}")
    return float(sample.close[-1] / sample.close[-1 - length] - 1) * 100


def _state(difference: float, through: Bars, parameters: TrendParameters) -> str | Unknown:
    """How the fast average lies to the slow one; neutral where the difference is small against the usual range."""
    usual = oscillators.atr(through, parameters.wilder_length)
    if isinstance(usual, Unknown):
        return usual
    if abs(difference) <= parameters.neutral_atr * usual:
        return "neutral"
    return "bullish" if difference > 0 else "bearish"


def _cross(differences: Floats, sample: Bars) -> Cross | Unknown:
    """The newest change of sign of fast less slow average; a difference of 0 is no side."""
    sided = np.flatnonzero(np.nan_to_num(differences))
    signs = np.sign(differences[sided])
    crossings = np.flatnonzero(np.diff(signs)) + 1
    if not len(crossings):
        return Unknown("the averages did not cross within the window")
    newest = crossings[-1]
    at = int(sided[newest])
    direction: Direction = "bullish" if signs[newest] > 0 else "bearish"
    return Cross(direction, len(sample) - 1 - at, int(sample.open_times[at]) + sample.interval_ms)


def _oscillators(through: Bars, parameters: TrendParameters) -> dict[str, float | Unknown]:
    macd = oscillators.macd(through.close, parameters.macd_fast, parameters.macd_slow, parameters.macd_signal)
    directional = oscillators.directional(through, parameters.wilder_length)
    return {
        "rsi14": oscillators.rsi(through, parameters.wilder_length),
        "macd": macd if isinstance(macd, Unknown) else macd.line,
        "macd_signal": macd if isinstance(macd, Unknown) else macd.signal,
        "macd_histogram": macd if isinstance(macd, Unknown) else macd.histogram,
        "adx14": directional if isinstance(directional, Unknown) else directional.adx,
        "plus_di14": directional if isinstance(directional, Unknown) else directional.plus,
        "minus_di14": directional if isinstance(directional, Unknown) else directional.minus,
    }


def _line(sample: Bars) -> dict[str, float | Unknown]:
    """The least-squares line of log price over time in bars, and the share of variance that it explains."""
    time = (sample.open_times - sample.open_times[0]) / sample.interval_ms
    time = time - np.mean(time)
    logs = np.log(sample.close / sample.close[0])
    logs = logs - np.mean(logs)
    slope = float(np.dot(time, logs) / np.dot(time, time))
    variation = float(np.dot(logs, logs))
    if np.ptp(sample.close) == 0:
        return {"slope": 0.0, "r_squared": Unknown(FLAT)}
    return {"slope": slope, "r_squared": min(slope**2 * float(np.dot(time, time)) / variation, 1.0)}


def _market(sample: Bars, benchmark: Bars | None, minimum: int) -> dict[str, float | Unknown]:
    """beta = cov(r, b) / var(b), alpha = mean(r) - beta mean(b), over log returns of bars that both have.

    Sharpe 1964, J. Finance 19(3):425-442.
    """
    if benchmark is None:
        return dict.fromkeys(("rolling_beta", "alpha"), Unknown("the benchmark has no bars"))
    _, ours, theirs = np.intersect1d(sample.open_times, benchmark.open_times, assume_unique=True, return_indices=True)
    returns, market = sample.log_returns[ours], benchmark.log_returns[theirs]
    known = ~(np.isnan(returns) | np.isnan(market))
    returns, market = returns[known], market[known]
    if len(returns) < minimum:
        few = Unknown(too_few(len(returns), minimum, "returns shared with the benchmark"))
        return dict.fromkeys(("rolling_beta", "alpha"), few)
    if np.ptp(market) == 0:
        return dict.fromkeys(("rolling_beta", "alpha"), Unknown("the benchmark's returns do not vary"))
    centred = market - np.mean(market)
    beta = float(np.dot(centred, returns) / np.dot(centred, centred))
    return {"rolling_beta": beta, "alpha": float(np.mean(returns) - beta * np.mean(market))}

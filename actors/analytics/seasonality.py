"""What returns to: hours, weekdays and cycles. Pure; all of log returns, as prices' own trend would drown it."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_manager.actors.analytics.bars import Bars, Floats, Window, valid
from data_manager.actors.analytics.entropy import histogram_entropy, permutation_entropy, spectral_entropy
from data_manager.actors.analytics.results import Result, Unknown, built, empty, envelope, too_few
from data_manager.actors.analytics.spectrum import Cycle, cycles, periodogram

METHOD = "fourier_analysis"

HOUR_MS = 3_600_000
HOURS, DAYS = 24, 7
EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; 0 is Monday
STILL = Unknown("the returns do not vary")


class SeasonalityParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metrics look at."""

    minimum: int  # bars in the window below which nothing is said
    histogram_bins: int
    permutation_order: int
    permutation_minimum: int  # returns in a row
    spectrum_minimum: int  # returns in a row
    most_cycles: int
    significance: float  # of Fisher's test


class Seasonality(Result, frozen=True, kw_only=True):
    """Mean log returns in percent by time of opening (UTC), and what the spectrum of log returns shows."""

    hourly_pattern: dict[str, float | None] | None  # "0" to "23"
    daily_pattern: dict[str, float | None] | None  # "0" to "6", Monday first
    seasonal_deviation: float | None  # the newest return from its hour's mean, in that hour's deviations
    entropy_index: float | None  # nats
    dominant_cycle: int | None  # bars
    hour_of_week_return: dict[str, float | None] | None  # "0" to "167", Monday 00:00 first
    hour_of_week_volume: dict[str, float | None] | None  # mean volume per bar in base units
    cycles: tuple[Cycle, ...] | None  # strongest first
    spectral_entropy: float | None
    permutation_entropy: float | None


def seasonality(bars: Bars, window: Window, parameters: SeasonalityParameters) -> Seasonality:
    """The seasonality of the window.

    What needs returns in a row (cycles and the last two entropies) looks at the longest stretch without a hole;
    `parameters.fft_size` in the envelope tells how many it has.
    """
    sample = window.within(bars)
    run = valid(sample.longest_run().log_returns)
    about = envelope(METHOD, bars, window, {**msgspec.structs.asdict(parameters), "fft_size": len(run)})
    if len(sample) < parameters.minimum:
        return empty(Seasonality, about, too_few(len(sample), parameters.minimum))
    hours = sample.open_times // HOUR_MS % HOURS
    weekdays = (sample.open_times // (HOUR_MS * HOURS) + EPOCH_WEEKDAY) % DAYS
    return built(
        Seasonality,
        about,
        {
            "daily_pattern": _means(sample.log_returns * 100, weekdays, DAYS),
            **_by_hour(sample, hours, weekdays),
            "entropy_index": _entropy_index(valid(sample.log_returns), parameters.histogram_bins),
            **_spectral(run, parameters),
            "permutation_entropy": _permutation(run, parameters),
        },
    )


def _by_hour(sample: Bars, hours: NDArray[np.int64], weekdays: NDArray[np.int64]) -> dict[str, object]:
    """What only bars of an hour or less can tell."""
    if sample.interval_ms > HOUR_MS:
        names = ("hourly_pattern", "seasonal_deviation", "hour_of_week_return", "hour_of_week_volume")
        return dict.fromkeys(names, Unknown("bars longer than an hour belong to no hour"))
    of_week = weekdays * HOURS + hours
    returns = sample.log_returns * 100
    return {
        "hourly_pattern": _means(returns, hours, HOURS),
        "seasonal_deviation": _seasonal_deviation(returns, hours),
        "hour_of_week_return": _means(returns, of_week, DAYS * HOURS),
        "hour_of_week_volume": _means(sample.volume, of_week, DAYS * HOURS),
    }


def _means(values: Floats, slots: NDArray[np.int64], size: int) -> dict[str, float | Unknown] | Unknown:
    """The mean of the known values of each slot."""
    known = ~np.isnan(values)
    if not known.any():
        return Unknown("no bar tells it")
    counts = np.bincount(slots[known], minlength=size)
    sums = np.bincount(slots[known], weights=values[known], minlength=size)
    nothing = Unknown("no bar of this time is known")
    return {str(slot): float(sums[slot] / counts[slot]) if counts[slot] else nothing for slot in range(size)}


def _seasonal_deviation(returns: Floats, hours: NDArray[np.int64]) -> float | Unknown:
    """(r - m) / s of the newest return r, with mean m and sample deviation s of all returns of its hour."""
    if np.isnan(returns[-1]):
        return Unknown("the bar before the newest is missing")
    same = valid(returns[hours == hours[-1]])
    if len(same) < 3:
        return Unknown(too_few(len(same), 3, "returns of its hour"))
    return float((returns[-1] - np.mean(same)) / np.std(same, ddof=1)) if np.ptp(same) > 0 else STILL


def _entropy_index(returns: Floats, bins: int) -> float | Unknown:
    if len(returns) < bins:
        return Unknown(too_few(len(returns), bins, "returns"))
    return histogram_entropy(returns, bins) if np.ptp(returns) > 0 else STILL


def _spectral(run: Floats, parameters: SeasonalityParameters) -> dict[str, object]:
    """The cycles of returns in a row, and how evenly their spectrum is spread."""
    names = ("dominant_cycle", "cycles", "spectral_entropy")
    if len(run) < parameters.spectrum_minimum:
        return dict.fromkeys(names, Unknown(too_few(len(run), parameters.spectrum_minimum, "returns in a row")))
    if np.ptp(run) == 0:
        return dict.fromkeys(names, STILL)
    found = cycles(run, parameters.most_cycles, parameters.significance)
    noise = Unknown(f"Fisher's test finds nothing but white noise at the level {parameters.significance:g}")
    return {
        "dominant_cycle": round(found[0].period_bars) if found else noise,
        "cycles": found or noise,
        "spectral_entropy": spectral_entropy(periodogram(run)[1]),
    }


def _permutation(run: Floats, parameters: SeasonalityParameters) -> float | Unknown:
    if len(run) < parameters.permutation_minimum:
        return Unknown(too_few(len(run), parameters.permutation_minimum, "returns in a row"))
    return permutation_entropy(run, parameters.permutation_order) if np.ptp(run) > 0 else STILL

"""How much is traded, by whom, and against what is usual. Pure; base units unless named otherwise."""

from __future__ import annotations

import msgspec
import numpy as np

from data_manager.actors.analytics.bars import Bars, Floats, Window
from data_manager.actors.analytics.results import Result, Unknown, built, empty, envelope, too_few
from data_manager.actors.analytics.smoothing import ewma, span_decay

METHOD = "aggregation"
WEEK_MS = 7 * 86_400_000


class VolumeParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the metrics look at; lengths in bars."""

    minimum: int  # bars in the window below which nothing is said
    sma_window: int
    same_hour_minimum: int  # bars of the same hour of the week below which relative_volume is not said


class Volume(Result, frozen=True, kw_only=True):
    """Volume over the window, and at its newest bar. A sum is known only where every bar of the window has it."""

    total_volume: float | None
    volume_sma: float | None
    volume_ema: float | None
    volume_delta: float | None  # bought by aggressors less sold by them, over the window
    volume_spike_ratio: float | None  # the newest bar against the window's median
    taker_buy_ratio: float | None  # the part bought by aggressors: 0 to 1
    quote_volume: float | None  # in quote units
    vwap: float | None  # quote units per base unit
    obv: float | None
    relative_volume: float | None  # the newest bar against the same hour of earlier weeks
    trades_count: int | None
    mean_trade_size: float | None


def volume(bars: Bars, window: Window, parameters: VolumeParameters) -> Volume:
    """The volume of the window; `bars` may begin weeks before it, for what is usual at this hour of the week."""
    sample = window.within(bars)
    about = envelope(METHOD, bars, window, msgspec.structs.asdict(parameters))
    if len(sample) < parameters.minimum:
        return empty(Volume, about, too_few(len(sample), parameters.minimum))
    span = min(parameters.sma_window, len(sample))
    total = _total(sample.volume, "volume")
    quote = _total(sample.quote_volume, "quote volume")
    bought = _total(sample.taker_buy, "taker volume")
    trades = _total(sample.trades, "number of trades")
    return built(
        Volume,
        about,
        {
            "total_volume": total,
            "volume_sma": _total(sample.volume[-span:], "volume", per=span),
            "volume_ema": total if isinstance(total, Unknown) else float(ewma(sample.volume, span_decay(span))[-1]),
            "volume_delta": _delta(bought, total),
            "volume_spike_ratio": _spike_ratio(sample.volume),
            "taker_buy_ratio": _ratio(bought, total, "nothing was traded"),
            "quote_volume": quote,
            "vwap": _ratio(quote, total, "nothing was traded"),
            "obv": total if isinstance(total, Unknown) else _on_balance(sample),
            "relative_volume": _relative(window.through(bars), parameters.same_hour_minimum),
            "trades_count": trades if isinstance(trades, Unknown) else round(trades),
            "mean_trade_size": _ratio(total, trades, "there was no trade"),
        },
    )


def _total(values: Floats, what: str, per: int = 1) -> float | Unknown:
    unknown = int(np.count_nonzero(np.isnan(values)))
    if unknown:
        return Unknown(f"{unknown} of {len(values)} bars do not tell their {what}")
    return float(np.sum(values)) / per


def _ratio(part: float | Unknown, whole: float | Unknown, when_zero: str) -> float | Unknown:
    if isinstance(part, Unknown):
        return part
    if isinstance(whole, Unknown):
        return whole
    return part / whole if whole > 0 else Unknown(when_zero)


def _delta(bought: float | Unknown, total: float | Unknown) -> float | Unknown:
    """sum(2 B - V), with B the volume in which the buyer was the aggressor."""
    if isinstance(bought, Unknown):
        return bought
    return total if isinstance(total, Unknown) else 2 * bought - total


def _spike_ratio(volumes: Floats) -> float | Unknown:
    """The newest volume over the median of all, itself among them."""
    known = _total(volumes, "volume")
    if isinstance(known, Unknown):
        return known
    median = float(np.median(volumes))
    return float(volumes[-1]) / median if median > 0 else Unknown("the median volume is 0")


def _on_balance(sample: Bars) -> float:
    """On-balance volume: the volume of each rise added, of each fall taken off, from 0 at the window's first bar.

    A bar after a hole has no step and counts for neither. Granville 1963.
    """
    steps = np.nan_to_num(np.sign(sample.log_returns), nan=0.0)
    return float(np.dot(steps, sample.volume))


def _relative(through: Bars, minimum: int) -> float | Unknown:
    """The newest volume over the mean of all earlier bars that opened at the same time of a week."""
    newest = through.open_times[-1]
    same = through.volume[(newest - through.open_times) % WEEK_MS == 0]
    usual = same[:-1][~np.isnan(same[:-1])]
    if len(usual) < minimum:
        return Unknown(too_few(len(usual), minimum, "bars of the same hour of earlier weeks"))
    if np.isnan(same[-1]):
        return Unknown("the newest bar does not tell its volume")
    mean = float(np.mean(usual))
    return float(same[-1]) / mean if mean > 0 else Unknown("nothing is traded at this hour of the week")

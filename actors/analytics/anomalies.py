"""Anomalies of one symbol and timeframe: every method, and what is told of their finds. Pure.

What is judged is never part of what it is judged by: statistics and models come from the training window, which
ends where the judged one begins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from data_manager.actors.analytics import outliers
from data_manager.actors.analytics.anomaly import Anomaly, Limits, Severity, confirmed, worst
from data_manager.actors.analytics.bars import Bars, Floats, Window, valid
from data_manager.actors.analytics.models import MODELS, Model, exceeded
from data_manager.actors.analytics.results import Unknown, too_few
from data_manager.actors.analytics.standardised import Standardised, standardised
from data_manager.actors.analytics.stillness import still_bars, volume_per_move

STATISTICAL = ("zscore", "mad", "moving_avg")
CHECKS = ("stale_price", "volume_without_price")
METHODS = (*STATISTICAL, *MODELS, *CHECKS)


class AnomalyParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts as an anomaly; lengths in bars."""

    ewma_decay: float
    warm_up: int  # bars before a bar's own usual values are known
    training_minimum: int  # bars below which no method but the checks judges
    moving_window: int
    limits: Limits  # of zscore, mad and moving_avg, in deviations
    medium_quantile: float  # of a model's training scores
    high_quantile: float
    still_bars: Limits  # of stale_price, in bars
    volume_ratio: Limits  # of volume_without_price: how many times the usual volume for such a range
    most_rows: int  # that are told, of one symbol and timeframe at a time

    def __post_init__(self) -> None:
        if not 0 < self.medium_quantile <= self.high_quantile < 1:
            raise ValueError("quantiles must ascend from medium to high, between 0 and 1")


class Detection(msgspec.Struct, frozen=True):
    """What was found, gravest first; how much was looked at; and which methods could not judge, and why."""

    anomalies: tuple[Anomaly, ...]
    left_out: int  # found as well, but more than are told
    judged: int
    trained: int
    reasons: dict[str, str]


class _Scene(NamedTuple):
    """What all methods look at: arrays over all bars up to the judged window's end."""

    bars: Bars
    values: Standardised
    first: int  # the place of the first judged bar
    trained: NDArray[np.bool_]
    parameters: AnomalyParameters
    models: Mapping[str, Model]


def detect(
    bars: Bars,
    judged: Window,
    training: Window,
    parameters: AnomalyParameters,
    methods: Collection[str] = METHODS,
    models: Mapping[str, Model] = MODELS,
) -> Detection:
    """Judge the bars of one window by those of another that ends where it begins, with some of METHODS.

    `bars` should begin before the training window: what is usual has to be known at its first bar. Among several
    methods a model's high find is critical where another method found the bar too.
    """
    through = judged.through(bars)
    scene = _Scene(
        bars=through,
        values=standardised(through, parameters.ewma_decay, parameters.warm_up),
        first=int(np.searchsorted(through.open_times, judged.start_ms)),
        trained=(through.open_times >= training.start_ms) & (through.open_times < training.end_ms),
        parameters=parameters,
        models=models,
    )
    found: list[Anomaly] = []
    reasons: dict[str, str] = {}
    for method in methods:
        hits = _hits(method, scene)
        if isinstance(hits, Unknown):
            reasons[method] = hits.reason
        else:
            found.extend(hits)
    told, left_out = worst(confirmed(found), parameters.most_rows)
    trained = int(np.count_nonzero(scene.trained))
    return Detection(told, left_out, len(through) - scene.first, trained, reasons)


def _hits(method: str, scene: _Scene) -> list[Anomaly] | Unknown:
    if method in STATISTICAL:
        return _by_statistics(method, scene)
    if method in scene.models:
        return _by_model(method, scene)
    return _stale_prices(scene) if method == "stale_price" else _volumes_without_price(scene)


def _by_statistics(method: str, scene: _Scene) -> list[Anomaly] | Unknown:
    training, judged = valid(scene.values.returns[scene.trained]), scene.values.returns[scene.first :]
    parameters = scene.parameters
    if len(training) < parameters.training_minimum:
        return Unknown(too_few(len(training), parameters.training_minimum, "returns before the judged ones"))
    match method:
        case "zscore":
            scores = outliers.zscore(training, judged)
        case "mad":
            scores = outliers.mad(training, judged)
        case _:
            scores = outliers.moving_avg(training, judged, parameters.moving_window)
    return _above(parameters.limits, scores, scene, method, "statistical_outlier")


def _by_model(method: str, scene: _Scene) -> list[Anomaly] | Unknown:
    """Rows whose score no training row has, or one in a thousand; where training cannot tell these apart, medium."""
    table, parameters = scene.values.table(), scene.parameters
    known = np.asarray(~np.isnan(table).any(axis=1))
    training = table[known & scene.trained]
    if len(training) < parameters.training_minimum:
        return Unknown(too_few(len(training), parameters.training_minimum, "bars with all that models look at"))
    varying = np.max(training, axis=0) > np.min(training, axis=0)
    places = np.flatnonzero(known[scene.first :]) + scene.first
    if not varying.any() or not len(places):
        return Unknown("nothing varies in the training" if len(places) else "no judged bar has all that models look at")
    scores = scene.models[method](training[:, varying], table[places][:, varying])
    medium, high = (
        exceeded(scores.training, quantile) for quantile in (parameters.medium_quantile, parameters.high_quantile)
    )
    return [
        _anomaly(scene, int(places[at]), method, "high" if score > high > medium else "medium", score, medium)
        for at, score in enumerate(map(float, scores.judged))
        if score > medium
    ]


def _stale_prices(scene: _Scene) -> list[Anomaly]:
    """The bars at which a price that stands still passes a limit: a long standstill is told once for each."""
    limits, runs = scene.parameters.still_bars, still_bars(scene.bars)
    passing = [at for at in range(scene.first, len(runs)) if limits.severity(runs[at]) != limits.severity(runs[at] - 1)]
    scores = np.full(len(runs), np.nan)
    scores[passing] = runs[passing]
    return _above(limits, scores[scene.first :], scene, "stale_price", "stale_price")


def _volumes_without_price(scene: _Scene) -> list[Anomaly] | Unknown:
    values = scene.values
    scores = volume_per_move(np.expm1(values.volumes), values.ranges)[scene.first :]
    if np.isnan(scores).all():
        return Unknown("no judged bar has a volume and a range to compare with those before")
    return _above(scene.parameters.volume_ratio, scores, scene, "volume_without_price", "volume_without_price")


def _above(limits: Limits, scores: Floats, scene: _Scene, method: str, reason: str) -> list[Anomaly]:
    """The judged bars with a score that is of some severity."""
    graded = ((at, float(score), limits.severity(float(score))) for at, score in enumerate(scores))
    return [
        _anomaly(scene, scene.first + at, method, severity, score, getattr(limits, severity), reason)
        for at, score, severity in graded
        if severity is not None
    ]


def _anomaly(
    scene: _Scene, at: int, method: str, severity: Severity, score: float, limit: float, reason: str = "ml_outlier"
) -> Anomaly:
    bars = scene.bars
    return Anomaly(
        open_time=int(bars.open_times[at]),
        method=method,
        severity=severity,
        reason=reason,
        score=score,
        limit=limit,
        price=float(bars.close[at]),
        volume=_known(bars.volume[at]),
        features=_features(scene, at) if reason == "ml_outlier" else None,
    )


def _features(scene: _Scene, at: int) -> dict[str, float | None]:
    """What the original tells of a model's find: changes as fractions, volatility per bar before this one."""
    bars = scene.bars
    before = bars.volume[at - 1] if at and bars.adjacent[at] else np.nan
    return {
        "price_change": _known(np.expm1(bars.log_returns[at])),
        "volume_change": _known(bars.volume[at] / before - 1) if before > 0 else None,
        "volatility": _known(scene.values.volatility[at]),
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

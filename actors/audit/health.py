"""How good a dataset is, as one number that its parts explain. Pure.

A part that could not be measured is unknown: it is left out, and the others count for what it would have. Without
completeness there is no score: how fresh and free of contradictions a dataset is says nothing while nobody knows
what of it is there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NamedTuple
from uuid import UUID, uuid5

import msgspec

from data_manager.actors.audit.measured import HOUR_MS
from data_manager.storage.protocols import Health
from data_manager.storage.records import Series

_NAMESPACE = UUID("0b8f0a52-4b9c-4c6d-8d61-6a2a6f1f7c55")


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[int, msgspec.Meta(gt=0)]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each part counts for in the score."""

    completeness: Share
    consistency: Share
    freshness: Share

    def __post_init__(self) -> None:
        total = self.completeness + self.consistency + self.freshness
        if abs(total - 1) > 1e-9 or not self.completeness:
            raise ValueError(f"the weights of health sum to {total:g}: they must sum to 1, and completeness has some")


class HealthConf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a dataset's health is judged."""

    weights: Weights
    healthy: Percent
    degraded: Percent
    window_hours: Positive
    fresh_intervals: Positive
    stale_intervals: Positive

    def __post_init__(self) -> None:
        if not (self.degraded < self.healthy and self.fresh_intervals < self.stale_intervals):
            raise ValueError("degraded must be less than healthy, and fresh_intervals less than stale_intervals")


class Band(StrEnum):
    """A score in a word."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class Measured(NamedTuple):
    """What an audit knows of a dataset; None where it could not be measured."""

    expected: int | None  # bars, ids, seconds or rates that should be there, of the last hours
    missing: int  # ... of which so many are not
    consistency: float | None  # percent
    age_s: float | None  # of the newest row
    interval_s: int | None  # between two rows; None without a schedule
    gaps: int  # that have not ended
    repeats: int

    @property
    def completeness(self) -> float | None:
        """Percent; None while nothing has to be there yet."""
        if not self.expected:
            return None
        return 100.0 * max(0, self.expected - self.missing) / self.expected


class Score(NamedTuple):
    """`value` is the sum of the `parts` that are known; None when it could not be computed."""

    value: float | None
    parts: dict[str, float]


def freshness(age_s: float, interval_s: float, conf: HealthConf) -> float:
    """100 up to `fresh_intervals`, 0 from `stale_intervals` on, and in proportion between them."""
    fresh, stale = conf.fresh_intervals * interval_s, conf.stale_intervals * interval_s
    return 100.0 * min(1.0, max(0.0, (stale - age_s) / (stale - fresh)))


def score(measured: Measured, conf: HealthConf) -> Score:
    """The weighted mean of what is known."""
    values = {"completeness": measured.completeness, "consistency": measured.consistency, "freshness": None}
    if measured.age_s is not None and measured.interval_s is not None:
        values["freshness"] = freshness(measured.age_s, measured.interval_s, conf)
    known = {part: value for part, value in values.items() if value is not None}
    if "completeness" not in known:
        return Score(None, {})
    weight = sum(getattr(conf.weights, part) for part in known)
    parts = {part: getattr(conf.weights, part) / weight * value for part, value in known.items()}
    return Score(sum(parts.values()), parts)


def band(value: float, conf: HealthConf) -> Band:
    """The word for a score."""
    if value >= conf.healthy:
        return Band.HEALTHY
    return Band.DEGRADED if value >= conf.degraded else Band.UNHEALTHY


def row(series: Series, measured: Measured, value: float | None, now_ms: int, changed: bool) -> Health:
    """The dataset's row: one an hour, always the newest of that hour, and one more for each change of band."""
    when = f"at {now_ms}" if changed else f"hour {now_ms // HOUR_MS}"
    return Health(
        metric_id=str(uuid5(_NAMESPACE, f"{series.dataset_id}/{when}")),
        dataset_id=series.dataset_id,
        symbol=series.symbol,
        timeframe=series.timeframe,
        completeness=measured.completeness,
        freshness_seconds=None if measured.age_s is None else round(max(0.0, measured.age_s)),
        gaps_count=measured.gaps,
        duplicates_count=measured.repeats,
        consistency_score=measured.consistency,
        quality_score=value,
        at_ms=now_ms,
    )

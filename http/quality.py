"""What the newest audit measured, as clients see it. Pure; a number that is not known is null, never 0."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from typing_extensions import TypedDict

from data_manager.http.answer_types import Time
from data_manager.http.answers import stamp, stamp_or_none
from data_manager.storage.protocols import Health

HEALTHY, DEGRADED, UNHEALTHY = "healthy", "degraded", "unhealthy"
HOUR_MS = 3_600_000


class HealthValue(TypedDict):
    """What audits measured; `band` and `parts` say what the quality score comes to, and is made of."""

    completeness: float | None
    freshness_sec: int | None
    gaps: int | None
    duplicates: int | None
    consistency_score: float | None
    quality_score: float | None
    band: str | None
    parts: dict[str, float | None]


class DatasetHealth(HealthValue):
    """The same of one dataset."""

    dataset_id: str
    period: str | None
    last_audit: Time


class Weights(Protocol):
    """What each part counts for in a score."""

    @property
    def completeness(self) -> float:
        """Of what must be there, how much is."""
        ...

    @property
    def consistency(self) -> float:
        """Of what is there, how much contradicts nothing."""
        ...

    @property
    def freshness(self) -> float:
        """How young the newest row is."""
        ...


class Rules(Protocol):
    """How a score is made, and from where on it is good: those of conf/audit.yaml, by which the auditor goes."""

    @property
    def weights(self) -> Weights:
        """Of the parts."""
        ...

    @property
    def healthy(self) -> float:
        """The least score of a healthy dataset."""
        ...

    @property
    def degraded(self) -> float:
        """The least score of one that is not unhealthy."""
        ...


class Counts(NamedTuple):
    """How many of the datasets are in which band; those that no audit has measured are in none."""

    healthy: int
    degraded: int
    unhealthy: int
    unscored: int


def parts_of(row: Health, weights: Weights) -> dict[str, float]:
    """What each part that was known adds to the row's score, which is their sum; empty without a score.

    What is unknown is left out, and the others count for what it would have. The row keeps the age of the newest
    row and not how fresh that is, so freshness is what the other parts do not explain.
    """
    if row.quality_score is None:
        return {}
    percents = {"completeness": row.completeness, "consistency": row.consistency_score}
    known = {name: value for name, value in percents.items() if value is not None}
    total = sum(getattr(weights, name) for name in known)
    if row.freshness_seconds is not None:
        total += weights.freshness
    parts = {name: value * getattr(weights, name) / total for name, value in known.items()}
    if row.freshness_seconds is not None:
        parts["freshness"] = max(0.0, row.quality_score - sum(parts.values()))
    return {name: round(points, 2) for name, points in parts.items()}


def band_of(score: float | None, rules: Rules) -> str | None:
    """The word for a score; None for none."""
    if score is None:
        return None
    if score >= rules.healthy:
        return HEALTHY
    return DEGRADED if score >= rules.degraded else UNHEALTHY


def health_value(rows: Sequence[Health], rules: Rules) -> HealthValue:
    """Of one dataset what was measured; of several the sums of gaps and duplicates, the age of the newest row of
    all, and the means of all else, over those where it is known.
    """
    quality = mean(row.quality_score for row in rows)
    parts = [parts_of(row, rules.weights) for row in rows if row.quality_score is not None]
    names = dict.fromkeys(name for each in parts for name in each)
    return {
        "completeness": mean(row.completeness for row in rows),
        "freshness_sec": min(known(row.freshness_seconds for row in rows), default=None),
        "gaps": total(row.gaps_count for row in rows),
        "duplicates": total(row.duplicates_count for row in rows),
        "consistency_score": mean(row.consistency_score for row in rows),
        "quality_score": quality,
        "band": band_of(quality, rules),
        "parts": {name: mean(each.get(name, 0.0) for each in parts) for name in names},
    }


def dataset_value(row: Health, rules: Rules) -> DatasetHealth:
    """One dataset among others."""
    return {
        "dataset_id": row.dataset_id,
        "period": row.timeframe,
        **health_value([row], rules),
        "last_audit": stamp(row.at_ms),
    }


def last_audit(rows: Iterable[Health]) -> str | None:
    """When the newest of them was measured."""
    return stamp_or_none(max((row.at_ms for row in rows), default=None))


def current(rows: Iterable[Health], now_ms: int, audit_interval_s: float) -> list[Health]:
    """Those that still hold: a row is written every hour while a dataset is audited."""
    oldest = now_ms - HOUR_MS - round(2000 * audit_interval_s)
    return [row for row in rows if row.at_ms >= oldest]


def counted(datasets: Mapping[str, str], rows: Iterable[Health], idle: Collection[str], rules: Rules) -> Counts:
    """The bands of the datasets, which are given with their symbols; those of an idle symbol are degraded at best."""
    scored = {row.dataset_id: band_of(row.quality_score, rules) for row in rows}
    bands = [
        DEGRADED if symbol in idle and scored.get(name) != UNHEALTHY else scored.get(name)
        for name, symbol in datasets.items()
    ]
    return Counts(bands.count(HEALTHY), bands.count(DEGRADED), bands.count(UNHEALTHY), bands.count(None))


def known(values: Iterable[int | None]) -> list[int]:
    """Without those that are not."""
    return [value for value in values if value is not None]


def total(values: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None without any."""
    given = known(values)
    return sum(given) if given else None


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known, to two places; None without any."""
    given = [value for value in values if value is not None]
    return round(sum(given) / len(given), 2) if given else None

"""The answers of `/analysis/*` as types; their fields are those of storage/computed.py."""

from __future__ import annotations

from typing import Any, Generic, NotRequired

from pydantic import BaseModel, Field, create_model
from typing_extensions import TypedDict

from data_manager.http.answer_types import Exact, Pagination, Sort, T, Time
from data_manager.http.computed_values import SHOWN_AS
from data_manager.storage.computed import ARRAY, INTEGER, METRICS, NUMBER, OBJECT, STRING

Nested = dict[str, Exact | int | dict[str, Exact | None] | None]  # by what the field's description says


class Cross(TypedDict):
    """The last crossing of two averages."""

    direction: str
    age_bars: int
    time: Time


TYPES: dict[str, Any] = {NUMBER: Exact, INTEGER: int, STRING: str, OBJECT: Nested, ARRAY: list[dict[str, Any]]}
SPECIAL: dict[str, Any] = {"cross": Cross, "transition_time": Time}


class Trust(TypedDict):
    """How far a document can be trusted: the bars that it is made of, of how many, and why what is null is null."""

    method: str | None
    window: str | None
    window_start: Time | None
    window_end: Time | None
    newest_bar: Time | None
    n: int | None
    expected: int | None
    completeness: float | None
    gaps: int | None
    warm_up: int | None
    parameters: dict[str, Any]
    reasons: dict[str, str]
    computed_at: Time


class Entry(BaseModel):
    """One of a series."""

    timestamp: Time
    state: str
    metadata: Trust


def fields_of(category: str) -> dict[str, Any]:
    """The fields of a category for a model, under the names that answers give them; each may be null."""
    shown_as = SHOWN_AS if category == "volatility" else {}
    return {
        shown_as.get(metric.name, metric.name): (
            SPECIAL.get(metric.name, TYPES[metric.type]) | None,
            Field(description=metric.description),
        )
        for metric in METRICS[category]
        if metric.name not in ("matrix", "overview")
    }


def model_of(category: str) -> Any:
    """The fields of a category."""
    return create_model(f"{category.capitalize()}Value", **fields_of(category))


def entry_of(category: str) -> Any:
    """The same as one of a series."""
    return create_model(f"{category.capitalize()}Entry", __base__=Entry, **fields_of(category))


class AnalysisMetadata(TypedDict):
    """Of the newest document that is shown; without any only the first five and `message`, which says so."""

    data_completeness: float | None
    last_updated: Time | None
    timestamp: Time | None
    source: str
    collection: str
    message: NotRequired[str]
    state: NotRequired[str]
    method: NotRequired[str | None]
    window: NotRequired[str | None]
    window_start: NotRequired[Time | None]
    window_end: NotRequired[Time | None]
    newest_bar: NotRequired[Time | None]
    n: NotRequired[int | None]
    expected: NotRequired[int | None]
    completeness: NotRequired[float | None]
    gaps: NotRequired[int | None]
    warm_up: NotRequired[int | None]
    parameters: NotRequired[dict[str, Any]]
    reasons: NotRequired[dict[str, str]]
    computed_at: NotRequired[Time]


class SeriesMetadata(AnalysisMetadata):
    """With how many are shown."""

    records_returned: int


class SeriesAnswer(TypedDict, Generic[T]):
    """The newest documents, the newest first, under both their names unless `dialect` leaves one of them out."""

    pair: str
    period: str
    metric: str
    method: str
    window: str
    values: NotRequired[list[T]]
    data: NotRequired[list[T]]
    pagination: Pagination
    sort: Sort
    filters_applied: dict[str, str]
    metadata: SeriesMetadata


class SingleAnswer(TypedDict, Generic[T]):
    """The newest document; null where there is none yet."""

    pair: str
    period: str
    metric: str
    data: T | None
    metadata: AnalysisMetadata


class Matrix(TypedDict, Generic[T]):
    """How symbols move together: the whole market's matrix, and what is known of each pair by itself."""

    pairs: list[str]
    period: str
    metric: str
    method: str
    window: str
    correlation_matrix: dict[str, dict[str, Exact | None]]
    spearman: dict[str, dict[str, Exact | None]] | None
    average_correlation: Exact | None
    first_eigenvalue_share: Exact | None
    above_sma: Exact | None
    advancing: int | None
    declining: int | None
    by_pair: dict[str, T]
    metadata: AnalysisMetadata


class KnownVolatility(TypedDict):
    """Per year of 365 days."""

    annualized: Exact | None


class KnownVolume(TypedDict):
    """The newest bar against the window's median."""

    spike_ratio: Exact | None


class KnownTrend(TypedDict):
    """bullish, bearish, neutral or unknown, and the rate of change in percent."""

    direction: str
    roc: Exact | None


class KnownRegime(TypedDict):
    """The regime's name, or unknown, and the weight of the rule that names it."""

    classification: str
    confidence: Exact | None


class OverviewValue(TypedDict):
    """A pair at a glance."""

    volatility: KnownVolatility
    volume: KnownVolume
    trend: KnownTrend
    regime: KnownRegime


class Overview(TypedDict):
    """Pairs at a glance, in order."""

    overview: dict[str, OverviewValue]
    timestamp: Time
    pairs_requested: int
    pairs_available: int
    pagination: Pagination
    sort: Sort
    metadata: AnalysisMetadata

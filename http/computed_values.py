"""Computed documents as the `/analysis` routes show them. Pure.

Fields have the names of the original's responses, which for two of them are not those of its documents.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from data_manager.http.answers import stamp, stamp_or_none
from data_manager.storage.computed import METRICS
from data_manager.storage.records import Analytics

Value = dict[str, Any]

SHOWN_AS = {"annualized_volatility": "annualized", "volatility_of_volatility": "vov"}  # of volatility
UNKNOWN = "unknown"
NOTHING_KNOWN: Value = {
    "volatility": {"annualized": None},
    "volume": {"spike_ratio": None},
    "trend": {"direction": UNKNOWN, "roc": None},
    "regime": {"classification": UNKNOWN, "confidence": None},
}


class Computed(NamedTuple):
    """A document, read: its fields by the names of storage/computed.py, and its metadata."""

    row: Analytics
    fields: Value
    metadata: Value

    @property
    def window(self) -> str:
        """The label of what was looked back on."""
        return str(self.metadata.get("window"))


def read(row: Analytics) -> Computed:
    """The document of a row."""
    fields = orjson.loads(row.body)
    metadata = fields.pop("metadata")
    return Computed(row, {metric.name: fields.get(metric.name) for metric in METRICS[row.category]}, metadata)


def value(computed: Computed) -> Value:
    """The category's fields; times inside are text."""
    fields = computed.fields
    match computed.row.category:
        case "volatility":
            return {SHOWN_AS.get(name, name): each for name, each in fields.items()}
        case "trend":
            return {**fields, "cross": cross_value(fields["cross"])}
        case "regime":
            return {**fields, "transition_time": stamp_or_none(fields["transition_time"])}
    return fields


def cross_value(cross: Value | None) -> Value | None:
    """The last crossing of two averages."""
    if cross is None:
        return None
    return {"direction": cross["direction"], "age_bars": cross["age_bars"], "time": stamp(cross["time_ms"])}


def annualized(computed: Computed, method: str) -> str | None:
    """One of volatility's estimators per year, as the shortest text of it; None where the estimator is not known."""
    if method == "rolling_stddev":
        known: str | None = computed.fields["annualized_volatility"]
        return known
    per_bar = computed.fields[method]
    if per_bar is None:
        return None
    return repr(float(per_bar) * computed.metadata["parameters"]["annualization_factor"])


def entry(computed: Computed) -> Value:
    """One of a series."""
    return {
        "timestamp": stamp(computed.row.time_ms),
        **value(computed),
        "state": computed.row.state,
        "metadata": trust(computed),
    }


def trust(computed: Computed) -> Value:
    """How far a document can be trusted: its metadata, but for what is of use to later computations alone."""
    metadata = computed.metadata
    return {
        "method": metadata.get("method"),
        "window": metadata.get("window"),
        "window_start": stamp_or_none(metadata.get("start_ms")),
        "window_end": stamp_or_none(metadata.get("end_ms")),
        "newest_bar": stamp_or_none(metadata.get("newest_ms")),
        **{name: metadata.get(name) for name in ("n", "expected", "completeness", "gaps", "warm_up")},
        "parameters": metadata.get("parameters", {}),
        "reasons": metadata.get("reasons", {}),
        "computed_at": stamp(computed.row.computed_ms),
    }


def overview_of(computed: Computed | None) -> dict[str, Value]:
    """What the market overview knows, by symbol; without the symbols of which it knows nothing."""
    stored: dict[str, Value] = (computed.fields["overview"] if computed else None) or {}
    shown = {symbol: {part: _named(part, known) for part, known in parts.items()} for symbol, parts in stored.items()}
    return {symbol: parts for symbol, parts in shown.items() if parts != NOTHING_KNOWN}


def _named(part: str, known: Value) -> Value:
    """One part of it, its words `unknown` where they are null."""
    nothing: Value = NOTHING_KNOWN[part]
    return {name: nothing[name] if known.get(name) is None else known[name] for name in nothing}


def ranked(overview: dict[str, Value], by: str, *, descending: bool) -> dict[str, Value]:
    """An overview in another order: by symbol, or by one of its numbers with the unknown last."""
    names = {"volatility": "annualized", "volume": "spike_ratio", "trend": "roc"}
    if by == "symbol":
        return dict(sorted(overview.items(), reverse=descending))
    numbers = {symbol: shown[by][names[by]] for symbol, shown in overview.items()}
    known = sorted(
        (symbol for symbol in overview if numbers[symbol] is not None),
        reverse=descending,
        key=lambda symbol: float(numbers[symbol]),
    )
    return {symbol: overview[symbol] for symbol in (*known, *(each for each in overview if numbers[each] is None))}

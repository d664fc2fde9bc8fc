"""What every result carries: how far it can be trusted, and why a number that is not there is not there. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np

from data_manager.actors.analytics.bars import Bars, Window

NOT_FINITE = "these bars make it infinite or undefined"


class Unknown(msgspec.Struct, frozen=True):
    """In the place of a value: why it cannot be computed, as a sentence's predicate or a short sentence."""

    reason: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What a result was computed from.

    `completeness` is the percentage of the bars the window has room for that were there; `gaps` counts the holes
    between its first and last bar; `newest_ms` is the last one's close; `warm_up` counts the bars before the window
    that recursive averages began with.
    """

    method: str
    window: str
    start_ms: int
    end_ms: int
    newest_ms: int | None
    n: int
    expected: int
    completeness: float
    gaps: int
    warm_up: int
    parameters: dict[str, Any]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One category's numbers for one symbol and timeframe.

    Every field of a subclass that is None has its reason under its own name; an entry of a mapping under
    `field[entry]`. No number is NaN or infinite.
    """

    envelope: Envelope
    reasons: dict[str, str]

    @classmethod
    def metrics(cls) -> tuple[str, ...]:
        """The names of the category's own fields."""
        return tuple(name for name in cls.__struct_fields__ if name not in ("envelope", "reasons"))

    @property
    def state(self) -> str:
        """`complete` when nothing is missing, `empty` when everything is, else `partial`."""
        known = [getattr(self, name) is not None for name in self.metrics()]
        if not any(known):
            return "empty"
        return "partial" if self.reasons else "complete"


R = TypeVar("R", bound=Result)


def envelope(method: str, bars: Bars, window: Window, parameters: Mapping[str, Any]) -> Envelope:
    """The envelope of a result over the bars of `bars` that lie in the window."""
    sample = window.within(bars)
    expected = window.expected(bars.interval_ms)
    return Envelope(
        method=method,
        window=window.label,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        newest_ms=int(sample.open_times[-1]) + bars.interval_ms if len(sample) else None,
        n=len(sample),
        expected=expected,
        completeness=100 * len(sample) / expected if expected else 0.0,
        gaps=int(np.count_nonzero(~sample.adjacent[1:])),
        warm_up=len(window.through(bars)) - len(sample),
        parameters={name: list(each) if isinstance(each, tuple) else each for name, each in parameters.items()},
    )


def built(kind: type[R], about: Envelope, fields: Mapping[str, object]) -> R:
    """The result with these fields; every Unknown, and every number that is not finite, becomes None and a reason."""
    reasons: dict[str, str] = {}
    known = {name: _known(name, value, reasons) for name, value in fields.items()}
    return kind(envelope=about, reasons=reasons, **known)


def empty(kind: type[R], about: Envelope, reason: str) -> R:
    """The result in which nothing is known, for one reason."""
    return built(kind, about, dict.fromkeys(kind.metrics(), Unknown(reason)))


def entry(field: str, key: str) -> str:
    """What an entry of a mapping is called: without the dot that would be a path in MongoDB."""
    return f"{field}[{key}]"


def too_few(there: int, needed: int, what: str = "bars") -> str:
    """The reason of what has not enough to be computed from."""
    return f"{there} {what} are there, and it takes {needed}"


def _known(name: str, value: object, reasons: dict[str, str]) -> object:
    match value:
        case Unknown():
            reasons[name] = value.reason
            return None
        case float():
            if not math.isfinite(value):
                reasons[name] = NOT_FINITE
                return None
            return float(value)  # numpy's own floats are floats, and print differently
        case np.integer():
            return int(value)
        case Mapping():
            return {key: _known(entry(name, key), each, reasons) for key, each in value.items()}
    return value

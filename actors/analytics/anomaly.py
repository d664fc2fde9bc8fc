"""What is out of the ordinary: its severity, its row in the audit's log, and which of many are told. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Literal

import msgspec

from data_manager.actors.audit.gaps import stamp
from data_manager.storage.protocols import AuditLog
from data_manager.storage.records import Series

Severity = Literal["medium", "high", "critical"]
ANOMALY = "anomaly"  # the audit type of their rows
SEVERITIES: tuple[Severity, ...] = ("medium", "high", "critical")

_NAMESPACE = uuid.UUID("8c3f0f5e-7a51-4a52-9c77-6a1f4f0f7d21")  # of ids made here


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Above which score something is of which severity; ascending."""

    medium: float
    high: float
    critical: float

    def __post_init__(self) -> None:
        if not self.medium < self.high < self.critical:
            raise ValueError("limits must ascend from medium to critical")

    def severity(self, score: float) -> Severity | None:
        """None for what is ordinary; a NaN is ordinary."""
        passed = [name for name in SEVERITIES if score > getattr(self, name)]
        return passed[-1] if passed else None


class Anomaly(msgspec.Struct, frozen=True):
    """One bar that one method takes for an anomaly. `score` is the method's own, as is what it was above."""

    open_time: int
    method: str
    severity: Severity
    reason: str  # statistical_outlier, ml_outlier, stale_price or volume_without_price
    score: float
    limit: float
    price: float  # the close
    volume: float | None
    features: dict[str, float | None] | None = None  # of models: price_change, volume_change, volatility


def confirmed(anomalies: Iterable[Anomaly]) -> list[Anomaly]:
    """The same, where a model's high anomaly is critical if another method has found the bar too."""
    found = list(anomalies)
    methods: dict[int, set[str]] = {}
    for each in found:
        methods.setdefault(each.open_time, set()).add(each.method)
    return [
        msgspec.structs.replace(each, severity="critical")
        if each.reason == "ml_outlier" and each.severity == "high" and len(methods[each.open_time]) > 1
        else each
        for each in found
    ]


def worst(anomalies: Iterable[Anomaly], most: int) -> tuple[tuple[Anomaly, ...], int]:
    """At most so many, the gravest and among equals the newest first; and how many were left out."""
    ranked = sorted(anomalies, key=gravity)
    return tuple(ranked[:most]), max(0, len(ranked) - most)


def gravity(anomaly: Anomaly) -> tuple[int, int, str]:
    """What anomalies are told in the order of: the gravest first, and among equals the newest."""
    return -SEVERITIES.index(anomaly.severity), -anomaly.open_time, anomaly.method


def audit_log(series: Series, anomaly: Anomaly, now_ms: int) -> AuditLog:
    """The original's row. Its id is made of dataset, bar and method, so that a hit seen again is the same row."""
    name = f"{series.dataset_id}/{anomaly.open_time}/{anomaly.method}"
    title = "ML Anomaly at" if anomaly.reason == "ml_outlier" else "Anomaly detected at"
    return AuditLog(
        audit_id=str(uuid.uuid5(_NAMESPACE, name)),
        dataset_id=series.dataset_id,
        symbol=series.symbol,
        audit_type=ANOMALY,
        severity=anomaly.severity,
        details=f"{title} {stamp(anomaly.open_time)}: price={anomaly.price:.2f}, method={anomaly.method}",
        at_ms=now_ms,
    )

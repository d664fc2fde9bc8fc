"""Totals by family: the one view of the tree's metrics that every way out of the service takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from data_manager.system.metrics import FAMILIES, Family, Series, bucket_label

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """A counter or a gauge: label values in the family's order."""

    labels: tuple[str, ...]
    value: float


class Distribution(NamedTuple):
    """A histogram: `cumulative` has a count for each of the family's upper bounds and one for infinity."""

    labels: tuple[str, ...]
    cumulative: tuple[float, ...]
    sum: float


class Measured(NamedTuple):
    """One family that has a series."""

    name: str
    family: Family
    samples: list[Sample]  # of a counter or gauge
    distributions: list[Distribution]  # of a histogram


def measured(counters: Mapping[Series, float], gauges: Mapping[Series, float]) -> Iterator[Measured]:
    """The families that have a series, in the order of FAMILIES."""
    counted, set_ = _by_name(counters), _by_name(gauges)
    for name, family in FAMILIES.items():
        if family.kind == "histogram":
            if f"{name}_count" in counted:
                yield Measured(name, family, [], _distributions(name, family, counted))
        elif found := (set_ if family.kind == "gauge" else counted).get(name):
            yield Measured(name, family, [Sample(_in_order(family, labels), value) for labels, value in found], [])


def _by_name(totals: Mapping[Series, float]) -> dict[str, list[tuple[Labels, float]]]:
    out: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
    for (name, labels), value in totals.items():
        out[name].append((labels, value))
    return out


def _in_order(family: Family, labels: Labels) -> tuple[str, ...]:
    given = dict(labels)
    return tuple(given[label] for label in family.labels)


def _distributions(name: str, family: Family, counters: Mapping[str, list[tuple[Labels, float]]]) -> list[Distribution]:
    """A bucket no observation has reached is not kept anywhere, and stands at 0."""
    bounds = [bucket_label(bound) for bound in (*family.buckets, float("inf"))]
    filled: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for labels, value in counters.get(f"{name}_bucket", ()):
        filled[_in_order(family, labels)][dict(labels)["le"]] = value
    sums = {_in_order(family, labels): value for labels, value in counters[f"{name}_sum"]}
    return [
        Distribution(key, tuple(buckets.get(bound, 0.0) for bound in bounds), sums[key])
        for key, buckets in filled.items()
    ]

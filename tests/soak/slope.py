"""How fast a series grows, whatever single values of it do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median

MAX_POINTS = 400  # pairs grow with their square; of a longer series every n-th point is taken


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """The growth per unit of time: the median of the slopes between all pairs (Theil 1950, Sen 1968).

    Up to 29 % of the points may be anything. Needs two different times; the times ascend.
    """
    step = -(-len(times) // MAX_POINTS)
    points = list(zip(times, values, strict=True))[::step]
    return median((later[1] - one[1]) / (later[0] - one[0]) for one, later in combinations(points, 2))


def settled(times: Sequence[float], values: Sequence[float], warm_up: float) -> tuple[list[float], list[float]]:
    """The series without its first `warm_up` units of time."""
    since = times[0] + warm_up
    kept = [(at, value) for at, value in zip(times, values, strict=True) if at >= since]
    return [at for at, _ in kept], [value for _, value in kept]

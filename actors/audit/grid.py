"""Candles against the grid of their open times: which must be there, and which are not. Pure; times in ms UTC.

A bar of length `L` opens at a multiple of `L` since 1970, in every timeframe that there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Range(NamedTuple):
    """Bars that open at or after `start_ms` and before `end_ms`."""

    start_ms: int
    end_ms: int

    def bars(self, length_ms: int) -> int:
        """How many they are."""
        return max(0, self.end_ms - self.start_ms) // length_ms


def first_whole(time_ms: int, length_ms: int) -> int:
    """The open time of the first bar that begins at or after that time."""
    return -(-time_ms // length_ms) * length_ms


def due_before(now_ms: int, length_ms: int, grace_ms: int) -> int:
    """The open time before which every bar must be there: each has been closed for at least `grace_ms`."""
    return (now_ms - grace_ms) // length_ms * length_ms


def missing(open_times: Iterable[int], within: Range, length_ms: int) -> Iterator[Range]:
    """The bars of `within`, which begins and ends on the grid, that are not among `open_times`, in whole ranges.

    `open_times` ascend; repeats, times outside and times off the grid count for nothing. Memory is constant.
    """
    expected = within.start_ms
    for open_time in open_times:
        if open_time >= within.end_ms:
            break
        if open_time < expected or open_time % length_ms:
            continue
        if open_time > expected:
            yield Range(expected, open_time)
        expected = open_time + length_ms
    if expected < within.end_ms:
        yield Range(expected, within.end_ms)


def joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """Ascending ranges, with those that touch or overlap made one."""
    current: Range | None = None
    for each in ranges:
        if current is None:
            current = each
        elif each.start_ms <= current.end_ms:
            current = Range(current.start_ms, max(current.end_ms, each.end_ms))
        else:
            yield current
            current = each
    if current is not None:
        yield current


def without(each: Range, others: Iterable[Range]) -> Iterator[Range]:
    """What is left of a range when ascending, disjoint others are taken out of it."""
    start = each.start_ms
    for other in others:
        if other.end_ms <= start:
            continue
        if other.start_ms >= each.end_ms:
            break
        if other.start_ms > start:
            yield Range(start, other.start_ms)
        start = max(start, other.end_ms)
    if start < each.end_ms:
        yield Range(start, each.end_ms)

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.audit.funding import EVERY_MS, due, unsettled
from data_manager.actors.audit.grid import Range
from data_manager.storage.records import MINUTE_MS, Funding

pure = settings(derandomize=True, deadline=None)
HOUR = 60 * MINUTE_MS
DAY = 24 * HOUR  # midnight of some day, and of all others


def rate(hour: float, *, settled: bool = True) -> Funding:
    time_ms = round(hour * HOUR)
    return Funding(time_ms, time_ms, "0.0001", None, settled, 0, 0, time_ms)


def missing(rows: list[Funding], first: float, last: float) -> list[float]:
    """The hours of the rates that are missing."""
    found = list(unsettled(rows, Range(round(first * HOUR), round(last * HOUR))))
    assert all(each.end_ms - each.start_ms == MINUTE_MS for each in found)
    return [each.start_ms / HOUR for each in found]


def test_a_whole_schedule_misses_nothing() -> None:
    assert missing([rate(0), rate(8), rate(16)], 0, 20) == []
    assert missing([rate(hour) for hour in range(0, 24, 4)], 0, 22) == []
    assert missing([rate(hour) for hour in range(24)], 0, 23.5) == []


def test_a_prediction_is_no_settled_rate() -> None:
    assert missing([rate(0), rate(8, settled=False), rate(16)], 0, 20) == [8]
    assert missing([rate(0), rate(4, settled=False), rate(8)], 0, 9) == [4]


def test_a_prediction_of_a_rate_that_is_not_due_is_none_that_is_missing() -> None:
    assert missing([rate(0), rate(8, settled=False)], 0, 7.9) == []


def test_without_predictions_the_exchanges_eight_hours_tell() -> None:
    assert missing([], 1, 17) == [8, 16]
    assert missing([rate(0), rate(24)], 0, 30) == [8, 16]
    assert missing([rate(0)], 0, 16.5) == [8, 16]


def test_what_is_outside_of_the_range_does_not_count() -> None:
    assert missing([rate(8, settled=False), rate(16, settled=False), rate(24)], 9, 16) == []


@pure
@given(st.integers(0, 60), st.integers(1, 60), st.sets(st.integers(0, 15)))
def test_of_rates_every_eight_hours_exactly_those_are_told_that_are_missing(
    first: int, hours: int, holes: set[int]
) -> None:
    within = Range(first * HOUR, (first + hours) * HOUR)
    every = [number * EVERY_MS for number in range(16)]
    rows = [rate(time_ms / HOUR) for number, time_ms in enumerate(every) if number not in holes]
    expected = [
        time_ms
        for number, time_ms in enumerate(every)
        if number in holes and within.start_ms <= time_ms < within.end_ms
    ]
    inside = [row for row in rows if within.start_ms <= row.funding_time < within.end_ms]
    assert [each.start_ms for each in unsettled(inside, within)] == expected
    assert list(due(inside, within)) == [t for t in every if within.start_ms <= t < within.end_ms]

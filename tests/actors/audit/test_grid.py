from __future__ import annotations

import gzip
import os
import random
from datetime import UTC, datetime
from itertools import count, islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.audit.grid import Range, due_before, first_whole, joined, missing, without
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES

pure = settings(derandomize=True, deadline=None)
RECORDING = "btc_perp_1m_2022-01.csv.gz"
small = st.integers(0, 30)
lengths = st.sampled_from([1, 2, 5])


def spans(*, length: int = 1) -> st.SearchStrategy[Range]:
    return st.tuples(small, small).map(lambda pair: Range(min(pair) * length, max(pair) * length))


def covered(ranges: list[Range], length: int = 1) -> set[int]:
    return {time for each in ranges for time in range(each.start_ms, each.end_ms, length)}


@pure
@given(st.data(), lengths)
def test_missing_bars_are_those_that_a_set_difference_finds(data: st.DataObject, length: int) -> None:
    within = data.draw(spans(length=length))
    there = sorted(data.draw(st.lists(st.integers(-5, 200), max_size=60)))
    found = list(missing(there, within, length))
    expected = set(range(within.start_ms, within.end_ms, length)) - set(there)
    assert covered(found, length) == expected
    assert sum(each.bars(length) for each in found) == len(expected)
    assert all(one.end_ms < other.start_ms for one, other in pairwise(found)), "whole ranges"


@pytest.mark.parametrize("length", TIMEFRAMES.values(), ids=TIMEFRAMES)
def test_a_complete_series_has_no_gap_whatever_the_second_of_the_hour(length: int) -> None:
    start = 1_700_000_000_000 // length * length
    for now in range(start + 40 * length, start + 41 * length, max(1000, length // 3600)):
        closed = (now - start) // length  # bars that have closed by now
        there = range(start, start + closed * length, length)
        assert not list(missing(there, Range(start, due_before(now, length, grace_ms=0)), length))


@pytest.mark.parametrize("length", TIMEFRAMES.values(), ids=TIMEFRAMES)
def test_one_missing_bar_is_found_as_soon_as_its_grace_is_over(length: int) -> None:
    start, grace = 1_700_000_000_000 // length * length, 60_000
    close = start + 11 * length  # of the bar that will be missing
    there = range(start, start + 10 * length, length)

    def found(now: int) -> list[Range]:
        return list(missing(there, Range(start, due_before(now, length, grace)), length))

    assert found(close + grace - 1) == []
    assert found(close + grace) == [Range(start + 10 * length, close)]


@pure
@given(st.integers(0, 10**6), lengths)
def test_the_first_whole_bar_does_not_begin_before_that_time(time: int, length: int) -> None:
    first = first_whole(time, length)
    assert first % length == 0
    assert time <= first < time + length


@pure
@given(st.lists(spans(), max_size=8))
def test_joined_ranges_cover_the_same_and_do_not_touch(ranges: list[Range]) -> None:
    ranges = sorted(each for each in ranges if each.start_ms < each.end_ms)
    result = list(joined(ranges))
    assert covered(result) == covered(ranges)
    assert all(one.end_ms < other.start_ms for one, other in pairwise(result))


@pure
@given(spans(), st.lists(spans(), max_size=6))
def test_what_is_taken_out_of_a_range_is_not_in_what_is_left(each: Range, others: list[Range]) -> None:
    others = list(joined(sorted(other for other in others if other.start_ms < other.end_ms)))
    assert covered(list(without(each, others))) == covered([each]) - covered(others)


def test_a_long_series_is_read_as_it_comes() -> None:
    endless = (n * MINUTE_MS for n in count() if n != 70_000)
    within = Range(0, 10**9 * MINUTE_MS)
    assert list(islice(missing(endless, within, MINUTE_MS), 1)) == [Range(70_000 * MINUTE_MS, 70_001 * MINUTE_MS)]


@pytest.mark.skipif(not os.environ.get("MARKET_RECORDINGS"), reason="MARKET_RECORDINGS is not set")
@pytest.mark.parametrize("seed", range(3))
def test_exactly_the_holes_punched_into_a_real_month_are_reported(seed: int) -> None:
    path = Path(os.environ["MARKET_RECORDINGS"]) / RECORDING
    with gzip.open(path, "rt") as lines:
        next(lines)
        stamps = [datetime.fromisoformat(line.split(",")[0]).replace(tzinfo=UTC) for line in lines]
    times = sorted(int(stamp.timestamp()) * 1000 for stamp in stamps)
    within = Range(times[0], times[-1] + MINUTE_MS)
    holes = set(missing(times, within, MINUTE_MS))  # what the exchange itself left out, if anything
    punched = set(random.Random(seed).sample(times, 200))
    found = list(missing((time for time in times if time not in punched), within, MINUTE_MS))
    assert covered(found, MINUTE_MS) == punched | covered(list(holes), MINUTE_MS)

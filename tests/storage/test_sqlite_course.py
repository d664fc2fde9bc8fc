from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from data_manager.storage.sqlite.course import Course, Step


def test_each_file_is_told_with_what_is_behind_it() -> None:
    told: list[Step] = []
    course = Course({"a": 100, "b": 300}, told.append)
    course.before("verifying")
    course.at("a")
    course.at("a", 0.5)
    course.at("b", 1.0)
    assert [str(step) for step in told] == ["verifying 2 files", "1 of 2: a", "1 of 2: a", "2 of 2: b"]
    assert [step.share for step in told] == [0.0, 0.0, 0.125, 1.0]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=20), st.integers(1, 5))
def test_the_share_rises_to_all_whatever_the_sizes_are(sizes: list[int], steps: int) -> None:
    told: list[Step] = []
    names = {str(number): size for number, size in enumerate(sizes)}
    course = Course(names, told.append)
    for name in names:
        for step in range(steps + 1):
            course.at(name, step / steps)
    assert all(a.share <= b.share for a, b in pairwise(told))
    assert told[-1].share == (1.0 if sum(sizes) else 0.0)
    assert [step.number for step in told[:: steps + 1]] == list(range(1, len(sizes) + 1))

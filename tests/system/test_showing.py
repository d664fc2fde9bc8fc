from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.system.commands.planning import moment
from data_manager.system.commands.showing import columns, counted, lasting, when


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (3.14, "3.1 s"),
        (12.6, "13 s"),
        (60, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_a_time_is_shown_in_utc_with_the_parts_it_has() -> None:
    east = datetime(2025, 10, 20, 14, tzinfo=timezone(timedelta(hours=2)))
    assert when(east) == "2025-10-20T12:00:00Z"
    assert when(east + timedelta(milliseconds=7)) == "2025-10-20T12:00:00.007Z"


@given(st.integers(0, 4_000_000_000_000).map(lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)))
def test_a_time_that_is_shown_can_be_typed(time: datetime) -> None:
    problems: list[str] = []
    assert moment("--from", when(time), problems) == time
    assert problems == []


def test_one_is_singular() -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 1440)] == ["0 rows", "1 row", "2 rows", "1,440 rows"]


def test_a_table_is_as_wide_as_its_entries_and_has_no_trailing_blanks() -> None:
    assert columns(("A", "B"), [("long", "x"), ("s", "")]) == "A     B\nlong  x\ns"

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.system.commands.reached import moment_of, part_reached

START = datetime(2025, 10, 20, tzinfo=UTC)
END = START + timedelta(days=1)


@pytest.mark.parametrize(
    "rows",
    [
        b'{"timestamp":"2025-10-20T06:00:00.000000+00:00","next_funding_time":"2025-10-20T08:00:00.000000+00:00"}\n',
        b"2025-10-20T01:00:00.000000+00:00,1\r\n2025-10-20T06:00:00.000000+00:00,1\r\n",
        b"1\r\n2025-10-20T06:00:00.000000+00:00,1\r\n2025-10-20T12:00:00.0000",  # a piece ends anywhere
    ],
)
def test_the_last_whole_row_tells_how_far_it_is_by_its_own_time(rows: bytes) -> None:
    assert part_reached(rows, START, END) == 0.25


@pytest.mark.parametrize("rows", [b"", b"timestamp,price\r\n", b'{"timestamp":"2025-10-20T06:00:00.000000+00:00"}'])
def test_without_a_whole_row_nothing_is_known(rows: bytes) -> None:
    assert part_reached(rows, START, END) is None
    assert part_reached(b"2025-10-20T06:00:00+00:00\n", END, START) is None


@given(st.integers(-(10**6), 10**6))
def test_a_part_is_never_less_than_nothing_nor_more_than_all(seconds: int) -> None:
    row = (START + timedelta(seconds=seconds)).isoformat().encode() + b"\n"
    part = part_reached(row, START, END)
    assert part == min(1, max(0, seconds / 86_400))


def test_what_only_looks_like_a_time_is_none() -> None:
    assert part_reached(b"2025-99-99T00:00:00+00:00\n", START, END) is None


@given(st.binary(max_size=200))
def test_no_bytes_are_too_much(rows: bytes) -> None:
    part = part_reached(rows, START, END)
    assert part is None or 0 <= part <= 1


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-10-20", START),
        ("2025-10-20T00:00:00Z", START),
        ("2025-10-20T02:00:00+02:00", START),
        ("1760918400000", START),
        ("then", None),
        ("9" * 30, None),
    ],
)
def test_times_are_read_as_they_are_written(text: str, moment: datetime | None) -> None:
    assert moment_of(text) == moment

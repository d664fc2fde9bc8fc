"""How far something is, told in lines where there is no terminal, and as a bar where there is one."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.commands.progress import TELL_EVERY_S, progress
from data_manager.system.commands.showing import pace


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def now_us(self) -> int:
        return int(self.at * 1_000_000)


class Screen(io.StringIO):
    """What a terminal would show."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "share", "seconds", "words"),
    [
        (0, None, 0.0, "0 rows"),
        (1, None, 2.0, "1 row, 0 a second"),
        (1500, None, 2.0, "1,500 rows, 750 a second"),
        (1500, 0.25, 2.0, "1,500 rows, 750 a second, 6.0 s left"),
        (1500, 1.0, 2.0, "1,500 rows, 750 a second"),
        (0, 0.0, 2.0, "0 rows, 0 a second"),
    ],
)
def test_pace_tells_what_is_known(done: int, share: float | None, seconds: float, words: str) -> None:
    assert pace(done, "row", share, seconds) == words


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 10**9), st.none() | st.floats(0, 1), st.floats(0, 10**6))
def test_pace_never_fails(done: int, share: float | None, seconds: float) -> None:
    assert pace(done, "row", share, seconds)


def test_without_a_terminal_it_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Hand()
    with progress(clock, "event") as tell:
        for step in range(25):
            clock.at = step * TELL_EVERY_S / 10
            tell(step, step / 20)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["10 events, 2 a second, 5.0 s left", "20 events, 2 a second"]


def test_what_is_quick_is_not_told_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(Hand(), "event") as tell:
        tell(1, 0.5)
        tell(2, 1.0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.25, None])
def test_on_a_terminal_it_is_a_bar_that_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, share: float | None
) -> None:
    screen, clock = Screen(), Hand()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress(clock, "event") as tell:
        clock.at = 2.0
        tell(10, share)
    shown = screen.getvalue()
    assert "10 events, 5 a second" in shown
    assert ("6.0 s left" in shown) == (share is not None)

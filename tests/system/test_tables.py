from __future__ import annotations

import io

import pytest

from data_manager.system.commands.tables import echo_table


class Screen(io.StringIO):
    """What a terminal would show."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_it_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    echo_table(("A", "B"), [("1", "[red]x"), ("222", "")])
    assert capsys.readouterr().out.splitlines() == ["A    B", "1    [red]x", "222"]


def test_on_a_terminal_it_is_as_wide_as_that_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    echo_table(("NAME", "WORDS"), [("one", "[red]brackets are no colours"), ("two", "x" * 60)])
    shown = screen.getvalue()
    assert "[red]brackets" in shown
    assert shown.count("x") == 60
    assert "\x1b[1m" in shown
    assert max(map(len, shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 30

"""`data-manager` as it is typed, in this process: much faster than a new one, and the same from `main` on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from data_manager.system import cli
from data_manager.system.settings_sources import NAMES
from tests.log_capture import logs_kept


class Outcome(NamedTuple):
    """What the command left."""

    code: int
    out: str
    err: str


class Terminal:
    """A place to type in: no settings of ours in its environment, but for those that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        for name in NAMES & os.environ.keys():
            monkeypatch.delenv(name)
        monkeypatch.chdir(folder)

    def set(self, **environ: str) -> None:
        """Set variables of the environment."""
        for name, value in environ.items():
            self._monkeypatch.setenv(name, value)

    def __call__(self, *arguments: object) -> Outcome:
        """Type `data-manager` with these arguments."""
        self._monkeypatch.setattr(sys, "argv", ["data-manager", *map(str, arguments)])
        self._capsys.readouterr()
        with logs_kept():
            try:
                cli.main()
                code = 0
            except SystemExit as exit_:
                code = exit_.code if isinstance(exit_.code, int) else 0
        return Outcome(code, *self._capsys.readouterr())

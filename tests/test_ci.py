"""What `.ci/run` prints last: one sum over several runs of pytest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).resolve().parent.parent / ".ci"
PASSED = "============================= 41 passed, 2 skipped in 71.20s (0:01:11) ============================="
FAILED = "=================== 3 failed, 1 passed, 4 deselected, 1 warning, 2 errors in 0.52s ==================="


def tally(*lines: str) -> str:
    text = "\n".join(lines)
    done = subprocess.run(
        ["awk", "-f", CI / "tally.awk"], input=text, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout


@pytest.mark.parametrize("script", ["run", "version", "wheel"])
def test_scripts_can_be_started_and_have_no_errors_of_syntax(script: str) -> None:
    assert os.access(CI / script, os.X_OK)
    subprocess.run(["bash", "-n", CI / script], check=True, timeout=10)


def test_two_runs_are_added_up() -> None:
    assert tally(PASSED, "make: *** [Makefile:43: faults] Error 1", FAILED) == (
        "42 passed, 3 failed, 2 errors, 2 skipped\n"
    )


def test_one_error_is_an_error() -> None:
    assert tally("=== 1 error in 0.01s ===") == "0 passed, 0 failed, 1 errors, 0 skipped\n"


def test_other_lines_do_not_count() -> None:
    log = ("===== test session starts =====", "collected 812 items", "tests/a.py 9 passed", "= 1 slowest durations =")
    assert tally(*log, "======== no tests ran in 0.01s ========") == "0 passed, 0 failed, 0 errors, 0 skipped\n"

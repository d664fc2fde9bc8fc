"""Every fault has its tests, they exist, and what cannot be tried here is said in every run."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.faults.coverage import SCENARIOS

TESTS = Path(__file__).resolve().parent.parent
FAULTS = range(1, 31)


@cache
def functions_in(file: Path) -> frozenset[str]:
    """The test functions of a file, without importing it."""
    return frozenset(node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef))


def test_no_fault_is_left_out() -> None:
    assert list(SCENARIOS) == list(FAULTS)
    assert all(each.tests for each in SCENARIOS.values())


@pytest.mark.parametrize("number", FAULTS)
def test_the_tests_that_are_named_exist(number: int) -> None:
    for name in SCENARIOS[number].tests:
        file, _, function = name.partition("::")
        assert function in functions_in(TESTS / file), name


@pytest.mark.parametrize("number", [number for number in FAULTS if SCENARIOS[number].not_here])
def test_what_cannot_be_tried_here(number: int) -> None:
    pytest.skip(f"F{number}, {SCENARIOS[number].fault}: {SCENARIOS[number].not_here}")

from __future__ import annotations

from typing import Any

import pytest

from tests.http.shapes import TYPES, differences

TIME = "2025-10-20T12:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ("int", 3),
        ("float", 3),
        ("float", 0.5),
        ("int|null", None),
        ("time", TIME),
        ("decimal", "42000.10"),
        ("decimal", "1e-05"),
        ({"a": "int"}, {"a": 1, "b": "more"}),
        ({"*": "int"}, {"a": 1, "b": 2}),
        (["str"], ["a", "b"]),
        ([], []),
        ({}, {}),
    ],
)
def test_what_fits_has_no_difference(shape: Any, value: Any) -> None:
    assert list(differences(shape, value)) == []


@pytest.mark.parametrize(
    ("shape", "value", "found"),
    [
        ("int", True, ": True is no int"),
        ("int", 1.5, ": 1.5 is no int"),
        ("int", None, ": None is no int"),
        ("str|null", 1, ": 1 is no str|null"),
        ("time", "2025-10-20T12:00:00", ": '2025-10-20T12:00:00' is no time"),
        ("decimal", 42.5, ": 42.5 is no decimal"),
        ({"a": {"b": "int"}}, {"a": {}}, ".a.b: is missing"),
        ({"a": {}}, {"a": []}, ".a: [] is no object"),
        ({"*": "int"}, {}, ": is empty"),
        ({"*": "int"}, {"a": "1"}, ".a: '1' is no int"),
        (["str"], [], ": is empty"),
        (["str"], ["a", 2], "[1]: 2 is no str"),
        ([], {}, ": {} is no list"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(shape: Any, value: Any, found: str) -> None:
    assert list(differences(shape, value)) == [found]


def test_null_is_of_no_type_by_itself() -> None:
    assert not any(fits(None) for fits in TYPES.values())

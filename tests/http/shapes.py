"""Whether an answer has the keys and types of a shape.

A shape is an object of shapes, a list of the one shape that every entry has, or a name of TYPES, `|null` behind it
where null may stand. The key `*` stands for every key that is there, of which there must be one. An answer may hold
keys that its shape does not name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

TYPES: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "time": lambda value: matches(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", value),
    "decimal": lambda value: matches(r"-?\d+(\.\d+)?(e-?\d+)?", value),
}


def matches(pattern: str, value: object) -> bool:
    """Whether it is text of that pattern."""
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def differences(shape: Any, value: Any, where: str = "") -> Iterator[str]:
    """What is not as the shape says, each with its place; empty when all is well."""
    if isinstance(shape, str):
        name, _, null = shape.partition("|")
        if not ((value is None and null) or TYPES[name](value)):
            yield f"{where}: {value!r} is no {shape}"
    elif isinstance(shape, list):
        yield from differences_of_list(shape, value, where)
    elif not isinstance(value, dict):
        yield f"{where}: {value!r} is no object"
    elif "*" in shape:
        if not value:
            yield f"{where}: is empty"
        for key, each in value.items():
            yield from differences(shape["*"], each, f"{where}.{key}")
    else:
        for key, inside in shape.items():
            if key in value:
                yield from differences(inside, value[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}: is missing"


def differences_of_list(shape: list[Any], value: Any, where: str) -> Iterator[str]:
    """The same for a list; one that has a shape has an entry, too."""
    if not isinstance(value, list):
        yield f"{where}: {value!r} is no list"
    elif shape and not value:
        yield f"{where}: is empty"
    elif shape:
        for number, each in enumerate(value):
            yield from differences(shape[0], each, f"{where}[{number}]")

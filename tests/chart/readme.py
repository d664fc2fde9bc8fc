"""The table of values in chart/README.md, made from values.yaml and its comments.

    python -m tests.chart.readme

writes it between the two marks, and a test holds it there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import yaml

from tests.chart.rendering import CHART

README, VALUES = CHART / "README.md", CHART / "values.yaml"
BEGIN, END = "<!-- values: made by `python -m tests.chart.readme` -->", "<!-- end of values -->"


class Value(NamedTuple):
    """One line of the table; `default` is None for a section, whose values follow."""

    name: str
    default: str | None
    meaning: str

    def __str__(self) -> str:
        default = "" if self.default is None else f"`{self.default}`"
        return f"| `{self.name}` | {default} | {self.meaning} |".replace("|  |", "| |")


def values_of(text: str) -> list[Value]:
    """Every value of a values.yaml, in its order. What stands in one line is one value."""
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return list(_values(root, "", text))


def _values(section: yaml.MappingNode, prefix: str, text: str) -> Iterator[Value]:
    for key, value in section.value:
        name = f"{prefix}{key.value}"
        meaning = comment_above(text.splitlines(), key.start_mark.line)
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            if meaning:
                yield Value(name, None, meaning)
            yield from _values(value, f"{name}.", text)
        else:
            default = text[value.start_mark.index : value.end_mark.index]
            yield Value(name, default.strip(), meaning)


def comment_above(lines: list[str], line: int) -> str:
    """The comment that stands directly above a line, as one text."""
    first = line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(each.strip().removeprefix("#").strip() for each in lines[first:line])


def table() -> str:
    """The table for the chart's own values."""
    lines = ["| value | default | meaning |", "|---|---|---|", *map(str, values_of(VALUES.read_text()))]
    return "\n".join(lines)


def with_table(readme: str) -> str:
    """The README with the present table between the marks."""
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))

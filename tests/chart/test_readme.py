"""chart/README.md tells the values that there are, and its commands name what exists."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.chart.readme import README, VALUES, comment_above, table, values_of, with_table
from tests.chart.rendering import ROOT, loaded, render

SHELL = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
OURS = [line for line in SHELL if re.match(r"helm upgrade --install \S+ chart( |$)", line)]


def test_the_table_is_that_of_the_present_values() -> None:
    text = README.read_text()
    assert with_table(text) == text, "run python -m tests.chart.readme"


def test_every_value_is_in_the_table() -> None:
    def names(values: dict[str, object], prefix: str = "") -> set[str]:
        found: set[str] = set()
        for name, value in values.items():
            found |= names(value, f"{prefix}{name}.") if isinstance(value, dict) and value else {f"{prefix}{name}"}
        return found

    listed = tuple(f"{value.name}." for value in values_of(VALUES.read_text()))
    with loaded() as chart:
        assert not {name for name in names(chart.values) if not f"{name}.".startswith(listed)}


def test_a_comment_is_told_with_the_value_below_it_and_a_section_before_its_values() -> None:
    text = (
        "# About the file.\n\n# Where.\n# In two lines.\nwhere:\n  # How many.\n  many: 3\n  flow: { a: 1 }\nlast: []\n"
    )
    assert [tuple(value) for value in values_of(text)] == [
        ("where", None, "Where. In two lines."),
        ("where.many", "3", "How many."),
        ("where.flow", "{ a: 1 }", ""),
        ("last", "[]", ""),
    ]
    assert comment_above(["a: 1"], 0) == ""


def test_no_meaning_breaks_the_table() -> None:
    assert {line.count("|") for line in table().splitlines()} == {4}


@pytest.mark.parametrize("line", OURS)
def test_a_command_that_installs_renders(line: str) -> None:
    values: dict[str, object] = {}
    for path in re.findall(r"--values (\S+)", line):
        values |= yaml.safe_load((ROOT / path).read_text())
    for name, value in re.findall(r"--set (\S+?)=(\S+)", line):
        section, _, key = name.partition(".")
        values[section] = {key: yaml.safe_load(value)}
    assert render(values).one("Deployment")


def test_the_readme_tells_how_to_take_over_and_how_to_get_a_broker() -> None:
    assert any("--take-ownership" in line for line in OURS)
    (nats,) = (line for line in SHELL if line.startswith("helm upgrade --install nats "))
    assert "config.jetstream.enabled=true" in nats
    assert "--namespace nats " in nats

"""What rules and dashboard ask for exists, and what their texts tell somebody to type works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from data_manager.system.cli import app
from data_manager.system.metrics import FAMILIES, bucket_label
from data_manager.system.settings_sources import NAMES
from tests.conf.dashboard import queries
from tests.conf.promtool import groups, metrics_of, rules

HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")


def every_expression() -> Iterator[tuple[str, str]]:
    for group in groups():
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
            for text in rule.get("annotations", {}).values():
                for query in re.findall(r'query "([^"]+)"', text):
                    yield f"{rule['alert']}'s text", query
    for number, asked in enumerate(queries()):
        yield f"panel {asked.panel}, {number}", asked.expression


EXPRESSIONS = dict(every_expression())


def family_of(name: str) -> tuple[str, set[str]]:
    """The family that a series belongs to, and the labels that it can have."""
    if name in FAMILIES:
        assert FAMILIES[name].kind != "histogram", f"{name} has no series of its own"
        return name, set(FAMILIES[name].labels)
    for suffix in HISTOGRAM_SUFFIXES:
        family = name.removesuffix(suffix)
        if family != name and family in FAMILIES:
            assert FAMILIES[family].kind == "histogram"
            return family, {*FAMILIES[family].labels, *(["le"] if suffix == "_bucket" else [])}
    raise AssertionError(f"there is no metric {name}")


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_it_asks_for_metrics_and_labels_that_exist(name: str) -> None:
    asked = metrics_of(EXPRESSIONS[name])
    assert asked
    for metric, labels in asked.items():
        if metric == "ALERTS":
            assert labels == {"alertname", "alertstate"}
        elif ":" in metric:
            assert metric in rules("record"), metric
        else:
            assert labels <= family_of(metric)[1], metric


def test_a_metric_that_does_not_exist_is_noticed() -> None:
    assert metrics_of('sum(data_manager_no_such_total{label=~"x"})') == {"data_manager_no_such_total": {"label"}}
    with pytest.raises(AssertionError, match="no metric"):
        family_of("data_manager_no_such_total")
    with pytest.raises(AssertionError, match="no series of its own"):
        family_of("data_manager_request_duration_seconds")


def test_an_upper_bound_is_one_of_its_histograms() -> None:
    found = 0
    for expression in EXPRESSIONS.values():
        for name, bound in re.findall(r'(\w+)_bucket\{le="([^"]+)"\}', expression):
            assert bound in map(bucket_label, FAMILIES[name].buckets)
            found += 1
    assert found


def test_every_recorded_rule_is_used() -> None:
    used = {metric for expression in EXPRESSIONS.values() for metric in metrics_of(expression)}
    assert rules("record").keys() <= used


# -- texts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", rules("alert"))
def test_an_alert_says_how_urgent_it_is_what_it_is_and_what_to_type_next(name: str) -> None:
    rule = rules("alert")[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description"}
    description = rule["annotations"]["description"]
    commands = re.findall(r"data-manager ((?:[a-z]+ ?){1,2})", description)
    addresses = re.findall(r'curl [^"]*(?:"[^"/]*" )?"http://localhost:\d+(/[^"?]*)', description)
    assert commands or addresses
    for command in commands:
        assert is_command(command.split()), command
    for address in addresses:
        assert address.replace("NAME/resume", "{name:.+}/{action:restart|pause|resume}") in served(), address


def is_command(words: list[str]) -> bool:
    """Whether `data-manager` has a command that begins like this: words after it may belong to the sentence."""
    root: Any = typer.main.get_command(app)
    first = root.commands.get(words[0])
    if first is None or not hasattr(first, "commands"):
        return first is not None
    return len(words) > 1 and words[1] in first.commands


def served() -> set[str]:
    """Every path of the API and of the port of metrics."""
    sources = (Path(__file__).resolve().parents[2] / "http").glob("*.py")
    return {path for source in sources for path in re.findall(r'"(/[^"\s]*)"', source.read_text())}


def test_settings_that_texts_name_exist() -> None:
    text = json.dumps(groups())
    named = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", text))
    assert named
    assert named <= {name.upper() for name in NAMES}

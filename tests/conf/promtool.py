"""Alert rules as Prometheus itself evaluates them: `promtool test rules` on series of the test's making."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ALERTS = Path(__file__).resolve().parents[2] / "conf" / "alerts.yaml"
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'

Inputs = Mapping[str, str]  # series -> values, both in promtool's notation


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it in that folder."""
    return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def groups(rules: Path = ALERTS) -> list[dict[str, Any]]:
    """The rule groups of a file."""
    loaded: list[dict[str, Any]] = yaml.safe_load(rules.read_text())["groups"]
    return loaded


@cache
def rules(kind: str) -> dict[str, dict[str, Any]]:
    """All rules of a kind, `alert` or `record`, by name."""
    return {rule[kind]: rule for group in groups() for rule in group["rules"] if kind in rule}


def check(
    folder: Path,
    inputs: Inputs,
    firing: Mapping[str, Collection[str]],
    *,
    interval: str = "1m",
    file: Path = ALERTS,
    told: Collection[Mapping[str, Any]] = (),
) -> None:
    """Assert which alerts fire at which times, and no others; `told` are promtool's own tests of whole alerts."""
    expected = [
        {
            "expr": FIRING,
            "eval_time": at,
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)],
        }
        for at, names in firing.items()
    ]
    test = {
        "rule_files": [str(file)],
        "evaluation_interval": interval,
        "group_eval_order": [group["name"] for group in groups(file)],
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": series, "values": values} for series, values in inputs.items()],
                "promql_expr_test": expected,
                "alert_rule_test": list(told),
            }
        ],
    }
    path = folder / "test.yaml"
    path.write_text(json.dumps(test))  # JSON is YAML, and quicker to write
    done = promtool("test", "rules", path.name, folder=folder)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def filled_in(rule: Mapping[str, Any], value: str, names: str) -> dict[str, Any]:
    """An alert as promtool expects it, with a value and a list of names in its texts."""
    texts = {
        name: re.sub(r"\{\{ range .*\{\{ end \}\}", names, text.replace("{{ $value }}", value))
        for name, text in rule["annotations"].items()
    }
    return {"exp_labels": {"severity": rule["labels"]["severity"]}, "exp_annotations": texts}


def metrics_of(expression: str) -> dict[str, set[str]]:
    """Every metric that an expression asks for, with the labels by which it chooses among its series."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    found: dict[str, set[str]] = {}
    for name, chosen in re.findall(r"\b((?:data_manager|process|ALERTS)[a-zA-Z0-9_:]*)\s*(\{[^}]*\})?", bare):
        found.setdefault(name, set()).update(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen))
    return found


def asked_for() -> set[str]:
    """Every metric of the service's that a rule asks for."""
    asked = (metrics_of(rule["expr"]) for group in groups() for rule in group["rules"])
    return {name for names in asked for name in names if ":" not in name and name != "ALERTS"}

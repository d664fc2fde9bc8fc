"""The Grafana dashboard as its file has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

DASHBOARD = Path(__file__).resolve().parents[2] / "conf" / "grafana-dashboard.json"
RATE_INTERVAL = "$__rate_interval"  # Grafana's own: as long as a rate needs at the present zoom

Panel = dict[str, Any]


class Asked(NamedTuple):
    """One query of a panel."""

    panel: str
    expression: str


def dashboard() -> dict[str, Any]:
    """All of it."""
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def panels() -> list[Panel]:
    """All panels, rows among them."""
    found: list[Panel] = dashboard()["panels"]
    return found


def charts() -> list[Panel]:
    """The panels that show something."""
    return [panel for panel in panels() if panel["type"] != "row"]


def queries() -> Iterator[Asked]:
    """Every query, with a fixed interval in place of Grafana's."""
    for panel in charts():
        for target in panel["targets"]:
            yield Asked(panel["title"], target["expr"].replace(RATE_INTERVAL, "5m"))

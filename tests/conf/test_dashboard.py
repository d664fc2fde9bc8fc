"""The dashboard is one that Grafana takes, its queries are ones that Prometheus takes, and nothing of it overlaps."""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.conf.dashboard import Panel, charts, dashboard, panels, queries
from tests.conf.promtool import metrics_of, promtool, rules

WIDTH = 24  # of Grafana's grid
ROWS = [
    "Is data flowing?",
    "Is anything missing?",
    "Is anything being repaired?",
    "Actors",
    "Stores",
    "HTTP",
    "Analytics",
]
NOT_SHOWN = ("DataManagerAuditStalls", "DataManagerAnalyticsStalls")  # a count of rounds is nothing to look at


def by_title(panel: Panel) -> str:
    return str(panel["title"])


def test_it_has_an_address_that_stays_and_asks_the_prometheus_that_is_chosen() -> None:
    whole = dashboard()
    assert whole["uid"] == "petrosa-data-manager"
    assert whole["schemaVersion"] >= 38  # Grafana 10
    assert "id" not in whole  # an instance's own: with one, an import may overwrite another dashboard
    variables = {variable["name"]: variable for variable in whole["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["symbol"]["query"]["query"] == "label_values(data_manager_events_total, symbol)"
    sources = [panel["datasource"] for panel in charts()]
    sources += [target["datasource"] for panel in charts() for target in panel["targets"]]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_its_rows_are_the_questions_that_one_asks_in_this_order() -> None:
    assert [panel["title"] for panel in panels() if panel["type"] == "row"] == ROWS


def test_every_panel_has_a_number_and_a_title_of_its_own() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    within: dict[str, list[str]] = {}
    row = ""
    for panel in panels():
        if panel["type"] == "row":
            row = panel["title"]
        else:
            within.setdefault(row, []).append(panel["title"])
    assert within.keys() == set(ROWS)
    assert all(len(set(titles)) == len(titles) for titles in within.values())


def test_no_panel_lies_on_another_or_beyond_the_grid() -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in panels()]
    for title, place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= WIDTH, title
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or above, f"{one} lies on {other}"


@pytest.mark.parametrize("panel", charts(), ids=by_title)
def test_a_panel_says_what_it_shows_in_which_unit_and_what_is_bad(panel: Panel) -> None:
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"]
    steps = defaults["thresholds"]["steps"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values)
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    asked = [re.sub(r"\$symbol", ".+", query.expression) for query in queries()]
    rules = [{"record": f"query:{number}", "expr": expression} for number, expression in enumerate(asked)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool("check", "rules", "queries.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(asked)} rules found" in done.stdout


def test_what_is_chosen_by_symbol_has_symbols() -> None:
    assert any("$symbol" in query.expression for query in queries())
    for query in queries():
        for variable in re.findall(r"\$\w+", query.expression):
            assert variable == "$symbol", query.panel


@pytest.mark.parametrize("name", rules("alert"))
def test_what_an_alert_tells_of_can_be_looked_at(name: str) -> None:
    assert measured_by(rules("alert")[name]["expr"]) & shown() or name in NOT_SHOWN


@cache
def shown() -> set[str]:
    """The metrics that the panels rest on."""
    return {metric for query in queries() for metric in measured_by(query.expression)}


def measured_by(expression: str) -> set[str]:
    """The metrics that an expression rests on, those behind recorded rules included."""
    found: set[str] = set()
    for metric in metrics_of(expression):
        found |= measured_by(rules("record")[metric]["expr"]) if ":" in metric else {metric}
    return found - {"ALERTS"}

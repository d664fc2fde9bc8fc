"""What the chart renders is valid: by Helm's own lint, and by the schemas of three versions of Kubernetes."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import helm_python as helm
import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.chart.crds import CRDS
from tests.chart.rendering import CHART, DEFAULTS, ROOT, SETS, Object, render, rendered

VERSIONS = ("1.25", "1.31", "1.37")  # the oldest that Chart.yaml names, the newest known, and one between
RULES = {"groups": [{"name": "a", "rules": [{"alert": "Down", "expr": "up == 0", "for": "5m"}]}]}


def validate(each: Object, version: str) -> None:
    """Raise for what that version would refuse; a kind that it does not know is an error too."""
    if each["kind"] in CRDS:
        jsonschema.validate(each, CRDS[each["kind"]])
    else:
        kubernetes_validate.validate(each, version, strict=True)


def copied(folder: Path, files: dict[str, str]) -> Path:
    """The chart as it would be with other files of conf/."""
    chart = shutil.copytree(CHART, folder / "chart", ignore=shutil.ignore_patterns("files"))
    (chart / "files").mkdir()
    for name, text in files.items():
        (chart / "files" / name).write_text(text)
    return chart


def test_lint_finds_no_error_and_no_warning() -> None:
    found = helm.lint(str(CHART))
    assert found["errors"] == []
    assert [each["error"] for each in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [DEFAULTS, *SETS])
def test_every_object_of_every_set_of_values_is_valid(name: str, version: str) -> None:
    objects = rendered(name).objects
    assert {"Deployment", "Service", "ConfigMap", "Pod"} <= {each["kind"] for each in objects}
    for each in objects:
        validate(each, version)


def test_the_sets_between_them_render_every_template() -> None:
    kinds = {each["kind"] for name in SETS for each in rendered(name).objects}
    optional = {"HorizontalPodAutoscaler", "PodDisruptionBudget", "PersistentVolumeClaim", "NetworkPolicy", "Job"}
    assert optional | CRDS.keys() <= kinds


def test_a_kind_that_nobody_knows_is_an_error() -> None:
    budget = render().one("PodDisruptionBudget")
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        validate(budget | {"kind": "PodDisruptionBudgett"}, VERSIONS[0])


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "ServiceMonitor"])
def test_a_field_that_nobody_knows_is_an_error(kind: str) -> None:
    each = render({"metrics": {"scrape": "serviceMonitor"}}).one(kind)
    validate(each, VERSIONS[0])
    each["spec"]["minAvail"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minAvail"):
        validate(each, VERSIONS[0])


def test_the_files_of_the_chart_are_those_of_conf() -> None:
    link = CHART / "files"
    assert link.is_symlink()
    assert str(link.readlink()) == "../conf"
    assert link.resolve() == ROOT / "conf"


def test_a_package_holds_what_the_link_points_at_and_not_the_sets_for_tests(tmp_path: Path) -> None:
    archive = Path(helm.package(str(CHART), destination=str(tmp_path)))
    with tarfile.open(archive) as tar:
        held = {each.name.partition("/")[2]: reader.read() for each in tar if (reader := tar.extractfile(each))}
    in_conf = {f"files/{path.name}": path.read_bytes() for path in (ROOT / "conf").iterdir()}
    assert {name: content for name, content in held.items() if name.startswith("files/")} == in_conf
    assert not [name for name in held if name.startswith("ci/")]
    assert {"README.md", "values.schema.json", "templates/NOTES.txt"} <= held.keys()
    assert render({}, archive).objects == render({}).objects


def test_alerts_and_dashboard_are_those_of_conf() -> None:
    made = rendered("everything")
    rule, dashboard = made.one("PrometheusRule"), made.one("ConfigMap", "-dashboard")
    assert rule["spec"] == yaml.safe_load((ROOT / "conf" / "alerts.yaml").read_text())
    assert dashboard["data"] == {"data-manager.json": (ROOT / "conf" / "grafana-dashboard.json").read_text()}
    assert dashboard["metadata"]["labels"]["dashboards"] == "data"
    assert not render().all("PrometheusRule")


def test_alerts_are_taken_as_they_stand(tmp_path: Path) -> None:
    rules = yaml.safe_load(yaml.safe_dump(RULES))
    rules["groups"][0]["rules"][0]["annotations"] = {"summary": "{{ $labels.pod }} is down"}
    chart = copied(tmp_path, {"alerts.yaml": yaml.safe_dump(rules)})
    values = {"prometheusRule": {"enabled": True}, "metrics": {"labels": {"release": "prometheus"}}}
    rule = render(values, chart).one("PrometheusRule")
    validate(rule, VERSIONS[0])
    assert rule["spec"] == rules
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_a_dashboard_is_taken_as_it_stands(tmp_path: Path) -> None:
    text = '{"title": "{{instance}}", "panels": []}\n'
    chart = copied(tmp_path, {"grafana-dashboard.json": text})
    found = render({"grafanaDashboard": {"enabled": True}}, chart).one("ConfigMap", "-dashboard")
    validate(found, VERSIONS[0])
    assert found["data"] == {"data-manager.json": text}
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize("part", ["prometheusRule", "grafanaDashboard"])
def test_a_chart_without_its_files_says_so(part: str, tmp_path: Path) -> None:
    with pytest.raises(helm.HelmRenderError, match="is not in this chart: package it from a whole checkout"):
        render({part: {"enabled": True}}, copied(tmp_path, {}))

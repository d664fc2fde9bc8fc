"""Rendering the chart as Helm does, and reading what it rendered as Kubernetes does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import helm_python as helm
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "chart"
DEFAULTS = "defaults"  # beside the sets of chart/ci: no value set
RELEASE, NAMESPACE = "market", "petrosa-apps"
SETS = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
NAME = "petrosa-data-manager"

# What the original's namespace holds: the chart names these and makes none of them.
COMMON = {"petrosa-common-config": {"NATS_URL": "nats://nats.nats:4222"}, "shared-settings": {"NATS_URL": "nats://n:1"}}
CREDENTIALS = {
    "MYSQL_URI": "mysql+pymysql://petrosa:secret@mysql.example:3306/petrosa_crypto",
    "mongodb-connection-string": "mongodb+srv://petrosa:secret@cluster.example/petrosa_data_manager",
    "api-token": "a token",
    "mongodb-url": "mongodb://petrosa:secret@mongo.example:27017/",
    "mysql-uri": "mysql://petrosa:secret@mysql.example/petrosa_crypto",
    "otlp-headers": "Authorization=Bearer%20key",
    "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20key",
}
SECRETS = {
    "petrosa-sensitive-credentials": CREDENTIALS,
    "blue-credentials": CREDENTIALS,
    "blue-owner-credentials": {"mysql-uri": "mysql://owner:secret@mysql.example/petrosa_crypto"},
}

Object = dict[str, Any]


class Rendered(NamedTuple):
    """Everything that an install would send, hooks and the test included, and what it would print."""

    objects: list[Object]
    notes: str

    def all(self, kind: str) -> list[Object]:
        """The objects of one kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name_ends: str = "") -> Object:
        """The only object of its kind whose name ends so."""
        (found,) = (each for each in self.all(kind) if each["metadata"]["name"].endswith(name_ends))
        return found

    @property
    def pod(self) -> Object:
        """The specification of the service's pods."""
        return dict(self.one("Deployment")["spec"]["template"]["spec"])

    @property
    def container(self) -> Object:
        """The service's container."""
        (container,) = self.pod["containers"]
        return dict(container)

    def containers(self) -> Iterator[Object]:
        """Those of the service, the job and the test."""
        for pod in pods(self.objects):
            yield from pod["spec"]["containers"]

    def environment(self, container: Object) -> dict[str, str]:
        """What the container's process finds in its environment; KeyError for what keeps it from starting."""
        maps = COMMON | {each["metadata"]["name"]: each["data"] for each in self.all("ConfigMap")}
        found: dict[str, str] = {}
        for source in container["envFrom"]:
            found |= maps[source["configMapRef"]["name"]]
        for entry in container["env"]:
            value = value_of(entry, maps)
            found |= {} if value is None else {entry["name"]: value}
        return found


def value_of(entry: Object, config_maps: Mapping[str, Mapping[str, str]]) -> str | None:
    """The value of one entry of `env`; None for an optional one that is not there."""
    ((form, content),) = ((form, content) for form, content in entry.items() if form != "name")
    if form == "value":
        return str(content)
    ((kind, reference),) = content.items()
    if kind == "fieldRef":
        return {"metadata.name": "a-pod"}[reference["fieldPath"]]
    there = {"configMapKeyRef": config_maps, "secretKeyRef": SECRETS}[kind][reference["name"]]
    return there.get(reference["key"]) if reference.get("optional") else there[reference["key"]]


def pods(objects: list[Object]) -> Iterator[Object]:
    """Pods, and the templates of pods."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each
        elif each["kind"] in ("Deployment", "Job"):
            yield each["spec"]["template"]


@contextmanager
def loaded(chart: Path = CHART) -> Iterator[helm.Chart]:
    """The chart, closed afterwards."""
    with helm.Chart.load(str(chart)) as opened:
        yield opened


def render(values: Mapping[str, Any] | None = None, chart: Path = CHART) -> Rendered:
    """What `helm install market chart --namespace petrosa-apps` makes of these values."""
    with loaded(chart) as opened:
        texts = opened.render(dict(values or {}), name=RELEASE, namespace=NAMESPACE)
    notes = [text for path, text in texts.items() if path.endswith("NOTES.txt")]
    objects = [each for path, text in texts.items() if path.endswith(".yaml") for each in yaml.safe_load_all(text)]
    return Rendered([each for each in objects if each], "".join(notes))


def ci_values(name: str) -> dict[str, Any]:
    """One of the value sets of chart/ci."""
    return dict(yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text()))


@cache
def rendered(name: str) -> Rendered:
    """What one of the sets of chart/ci makes, or DEFAULTS; nobody may change it."""
    return render({} if name == DEFAULTS else ci_values(name))


def refusal(values: Mapping[str, Any]) -> str:
    """The sentences with which Helm refuses these values; AssertionError where it takes them."""
    try:
        render(values)
    except (helm.HelmValuesError, helm.HelmRenderError) as error:
        return str(error)
    raise AssertionError(f"{values} are taken")

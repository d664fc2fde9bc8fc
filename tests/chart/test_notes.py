"""What Helm prints after an install: commands that work, what must be there, and what replicas do."""

from __future__ import annotations

import re

import pytest

from data_manager.system.cli import app
from tests.chart.rendering import DEFAULTS, NAMESPACE, RELEASE, SETS, render, rendered

ALL = [DEFAULTS, *SETS]


@pytest.mark.parametrize("name", ALL)
def test_notes_name_commands_on_what_was_made(name: str) -> None:
    made = rendered(name)
    deployment, service = (made.one(kind)["metadata"]["name"] for kind in ("Deployment", "Service"))
    kubectl = f"kubectl --namespace {NAMESPACE}"
    assert f"{kubectl} rollout status deployment/{deployment}\n" in made.notes
    assert f"helm test {RELEASE} --namespace {NAMESPACE} --logs\n" in made.notes
    port = made.one("Service")["spec"]["ports"][0]["port"]
    assert f"{kubectl} port-forward service/{service} 8000:{port}\n" in made.notes
    assert f"helm upgrade --install {RELEASE} <this chart> --namespace {NAMESPACE} --take-ownership" in made.notes


def test_notes_name_commands_that_the_image_has() -> None:
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    named = re.findall(r"-- data-manager (\S+)", rendered(DEFAULTS).notes)
    assert named == ["status", "doctor"]
    assert set(named) <= known


def test_notes_tell_what_must_be_there_and_where_older_manifests_have_it() -> None:
    notes = rendered(DEFAULTS).notes
    assert "ConfigMap petrosa-common-config with NATS_URL" in notes
    assert "Secret petrosa-sensitive-credentials with mongodb-connection-string" in notes
    assert "set secret.mongodbKey=mongodb-url" in notes
    assert "Secret petrosa-sensitive-credentials with MYSQL_URI" in notes
    assert "Secret petrosa-sensitive-credentials with api-token, for API_TOKEN" in rendered("production").notes
    older = render({"secret": {"mongodbKey": "mongodb-url"}}).notes
    assert "with mongodb-url\n" in older
    assert "set secret.mongodbKey" not in older


def test_notes_tell_what_replicas_do() -> None:
    assert "more replicas than symbols stand by" in rendered(DEFAULTS).notes
    assert "One replica: its data is SQLite's, on the volume petrosa-data-manager-data" in rendered("minimal").notes
    assert "What it stores ends with the pod" in rendered("demo").notes
    assert "Secret" not in rendered("demo").notes

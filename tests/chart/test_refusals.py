"""Values that are wrong, alone or together, are refused before anything is sent, with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from data_manager.system.settings import Settings
from tests.chart.rendering import ci_values, refusal, render

SQLITE = ci_values("minimal")


def changed(values: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The values with one of them changed, by its dotted name."""
    first, _, rest = path.partition(".")
    return {**values, first: changed(values.get(first, {}), rest, value) if rest else value}


def test_the_value_sets_that_others_start_from_are_taken() -> None:
    assert render()
    assert render(SQLITE)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("replicaCount", 0, "at '/replicaCount': minimum: got 0, want 1"),
        ("replicaCount", "three", "at '/replicaCount': got string, want integer"),
        ("replicas", 3, "additional properties 'replicas' not allowed"),
        ("image.pullPolicy", "Sometimes", "must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("image.tag", "a tag", "at '/image/tag': 'a tag' does not match pattern"),
        ("stores.market", "postgres", "at '/stores/market': value must be one of 'mongodb', 'sqlite'"),
        ("stores.catalog", "mongodb", "at '/stores/catalog': value must be one of 'mysql', 'sqlite'"),
        ("secret.mongodbKey", "", "at '/secret/mongodbKey': '' does not match pattern"),
        ("secret.mongodbUrl", "mongodb://h", "additional properties 'mongodbUrl' not allowed"),
        ("nats.url", "localhost", "at '/nats/url': 'localhost' does not match pattern"),
        ("nats.url", "nats://user:secret@nats:4222", "at '/nats/url'"),
        ("config.supported_pairs", "BTCUSDT", "'supported_pairs' does not match pattern"),
        ("config.SUPPORTED_PAIRS", ["BTCUSDT"], "at '/config/SUPPORTED_PAIRS': got array"),
        ("ports.http", 80, "at '/ports/http': minimum: got 80, want 1,024"),
        ("service.type", "ExternalName", "at '/service/type'"),
        ("metrics.scrape", "both", "value must be one of 'annotations', 'serviceMonitor', 'none'"),
        ("autoscaling.cpuPercent", 0, "at '/autoscaling/cpuPercent': minimum: got 0, want 1"),
        ("podDisruptionBudget.maxUnavailable", 0, "at '/podDisruptionBudget/maxUnavailable': minimum"),
        ("resources.limits.memory", None, "at '/resources/limits': missing property 'memory'"),
        ("resources.limits.memory", "2G", "at '/resources/limits/memory': '2G' does not match pattern"),
        ("networkPolicy.ports.nats", 70000, "at '/networkPolicy/ports/nats': maximum"),
        ("selectorLabels", None, "missing property 'selectorLabels'"),
        ("persistence.size", "20", "at '/persistence/size': '20' does not match pattern"),
    ],
)
def test_a_value_of_the_wrong_form_is_refused_by_its_name(path: str, value: object, sentence: str) -> None:
    assert sentence in refusal(changed({}, path, value))


@pytest.mark.parametrize("store", ["market", "catalog"])
@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("replicaCount", 2, "at '/replicaCount': value must be one of 1, 'only 1 while a store is sqlite"),
        ("autoscaling.enabled", True, "at '/autoscaling/enabled': value must be one of false, 'only false while a"),
        ("persistence.enabled", False, "at '/persistence/enabled': value must be one of true, 'only true while a"),
    ],
)
def test_sqlite_is_one_replica_with_a_volume(store: str, path: str, value: object, sentence: str) -> None:
    servers = {"market": "mongodb", "catalog": "mysql"}
    values = {**SQLITE, "stores": {**servers, store: "sqlite"}}
    assert render(values)
    assert sentence in refusal(changed(values, path, value))


def test_the_reason_that_a_refusal_tells_is_not_itself_a_value() -> None:
    reason = refusal(changed(SQLITE, "replicaCount", 2)).split("'only 1")[1].split("'")[0]
    assert "got string, want integer" in refusal(changed(SQLITE, "replicaCount", f"only 1{reason}"))


def test_servers_take_no_volume() -> None:
    assert "'only false while both stores are servers" in refusal({"persistence": {"enabled": True}})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"config": {"API_PORT": 8001}}, "config.API_PORT: set ports.http instead"),
        ({"config": {"NATS_URL": "nats://a:1"}}, "config.NATS_URL: set nats.url instead"),
        ({"config": {"MONGODB_HOST": "a"}}, "config.MONGODB_HOST: set stores.market and secret.mongodbKey instead"),
        ({"config": {"MYSQL_PASSWORD": "a"}}, "config.MYSQL_PASSWORD: set secret.env instead"),
        ({"config": {"API_TOKEN": "a"}}, "config.API_TOKEN: set secret.env instead"),
        ({"commonConfig": ""}, "nats.url: nothing says where NATS is"),
        ({"autoscaling": {"minReplicas": 11}}, "autoscaling.minReplicas is 11 and must not be above maxReplicas, 10"),
        ({"ports": {"http": 9090}}, "ports.http and ports.metrics are both 9090"),
        ({"terminationGracePeriodSeconds": 25}, "terminationGracePeriodSeconds is 25 and must be above 25"),
        ({"preStopSeconds": 20}, "terminationGracePeriodSeconds is 30 and must be above 40"),
        ({"config": {"DRAIN_TIMEOUT_S": 25.5}}, "terminationGracePeriodSeconds is 30 and must be above 38.5"),
        (
            {"config": {"SUPPORTED_PAIRS": "A1,B1,C1,D1,E1,F1"}},
            "resources.limits.memory is 2Gi and must be at least 2136Mi: 6 symbols with INGEST_MEMORY_HARD_MB 256 each",
        ),
        ({"config": {"INGEST_MEMORY_HARD_MB": 512}}, "resources.limits.memory is 2Gi and must be at least 3160Mi"),
        ({"config": {"INGEST_MEMORY_HARD_MB": None}}, "must be at least 3160Mi"),
        ({"resources": {"limits": {"memory": "1879Mi"}}}, "is 1879Mi and must be at least 1880Mi"),
        (
            {**SQLITE, "migrations": {"job": {"enabled": True}}},
            "migrations.job.enabled: the catalog is SQLite's, whose file no job can reach",
        ),
        ({"demo": {"enabled": True}, "migrations": {"job": {"enabled": True}}}, "migrations.job.enabled"),
    ],
    ids=str,
)
def test_values_that_contradict_each_other_are_refused_with_what_to_do(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(values)


def test_what_is_just_enough_is_taken() -> None:
    assert render({"resources": {"limits": {"memory": "1880Mi"}}})
    assert render({"terminationGracePeriodSeconds": 26})
    assert render({"autoscaling": {"minReplicas": 10}})
    assert render({"commonConfig": "", "secret": {"env": {"NATS_URL": "nats"}}})


def test_the_defaults_that_the_chart_reckons_with_are_those_of_the_settings() -> None:
    settings = Settings()
    assert len(settings.supported_pairs) == 5
    assert (settings.ingest_memory_hard_mb, settings.drain_timeout_s) == (512, 12)
    pairs = {"SUPPORTED_PAIRS": None, "INGEST_MEMORY_HARD_MB": None}
    assert "5 symbols with INGEST_MEMORY_HARD_MB 512 each" in refusal({"config": pairs})

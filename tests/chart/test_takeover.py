"""Helm takes over the objects that the original's manifests made: nothing fights, nothing is refused, nothing lingers.

Without a cluster this merges by hand as Kubernetes does. What a live object has and the chart does not name stays:
the old entries of `env` and the old keys of the ConfigMap too.
"""

from __future__ import annotations

from typing import Any

import pytest

from data_manager.system.settings import Settings
from data_manager.system.settings_sources import NAMES, load
from tests.chart.rendering import COMMON, DEFAULTS, NAME, Object, Rendered, render, rendered

# The original's ConfigMap, as it was in production: most of the service was switched off.
CONFIG = {
    "ENVIRONMENT": "production",
    "LOG_LEVEL": "INFO",
    "NATS_CONSUMER_SUBJECT": "binance.futures.websocket.data",
    "NATS_CLIENT_NAME": "petrosa-data-manager-consumer",
    "NATS_CONNECT_TIMEOUT": "10",
    "NATS_MAX_RECONNECT_ATTEMPTS": "10",
    "NATS_RECONNECT_TIME_WAIT": "2",
    "ENABLE_AUDITOR": "false",
    "ENABLE_BACKFILLER": "false",
    "ENABLE_ANALYTICS": "false",
    "ENABLE_API": "true",
    "AUDIT_INTERVAL": "300",
    "ANALYTICS_INTERVAL": "900",
    "HEALTH_CHECK_INTERVAL": "60",
    "API_HOST": "0.0.0.0",
    "API_PORT": "8000",
    "API_WORKERS": "4",
    "BINANCE_API_BASE_URL": "https://api.binance.com",
    "BINANCE_FAPI_BASE_URL": "https://fapi.binance.com",
    "BINANCE_RATE_LIMIT": "1200",
    "MAX_BATCH_SIZE": "1000",
    "MAX_CONCURRENT_TASKS": "10",
    "MESSAGE_QUEUE_SIZE": "10000",
    "GAP_TOLERANCE_SECONDS": "60",
    "MIN_GAP_SIZE_SECONDS": "120",
    "DEFAULT_VOLATILITY_WINDOW": "30",
    "DEFAULT_VOLUME_WINDOW": "24",
    "DEFAULT_TREND_WINDOW": "20",
    "HEALTH_CHECK_PORT": "8080",
    "METRICS_PORT": "9090",
    "OTEL_ENABLED": "true",
    "OTEL_SERVICE_NAME": "petrosa-data-manager",
    "SUPPORTED_PAIRS": "BTCUSDT,ETHUSDT,BNBUSDT,ADAUSDT,SOLUSDT",
    "CANDLE_DATABASE_TYPE": "mongodb",
}
FROM_CONFIG = (
    *("ENVIRONMENT", "LOG_LEVEL", "NATS_CONSUMER_SUBJECT", "ENABLE_AUDITOR", "ENABLE_BACKFILLER", "ENABLE_ANALYTICS"),
    *("ENABLE_API", "API_PORT", "SUPPORTED_PAIRS", "AUDIT_INTERVAL", "ANALYTICS_INTERVAL", "CANDLE_DATABASE_TYPE"),
)
SHARED = {
    "NATS_URL": "nats://nats.nats:4222",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://grafana-alloy.observability.svc.cluster.local:4317",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
}
FROM_SECRET = {
    "MYSQL_URI": "MYSQL_URI",
    "MONGODB_URL": "mongodb-connection-string",
    "OTEL_EXPORTER_OTLP_HEADERS": "OTEL_EXPORTER_OTLP_HEADERS",
}
SELECTOR = {"app": "data-manager"}
MERGED_BY = {"containers": ("name",), "env": ("name",), "ports": ("containerPort", "port"), "volumes": ("name",)}


def reference(kind: str, name: str, key: str, **more: Any) -> Object:
    return {kind: {"name": name, "key": key, **more}}


def live() -> dict[str, Object]:
    """The original's objects by their kinds, as far as the chart could clash with them."""
    common, secret = "petrosa-common-config", "petrosa-sensitive-credentials"
    sources = {name: reference("configMapKeyRef", f"{NAME}-config", name) for name in FROM_CONFIG}
    sources |= {name: reference("configMapKeyRef", common, name) for name in SHARED}
    sources |= {name: reference("secretKeyRef", secret, key) for name, key in FROM_SECRET.items()}
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET"):
        sources[name] = reference("secretKeyRef", secret, name, optional=True)
    container = {
        "name": "data-manager",
        "image": "yurisa2/petrosa-data-manager:1.1.0",
        "env": [{"name": name, "valueFrom": source} for name, source in sources.items()],
        "ports": [{"name": "http", "containerPort": 8000}, {"name": "metrics", "containerPort": 9090}],
        "livenessProbe": {"httpGet": {"path": "/health/liveness", "port": 8000}, "periodSeconds": 30},
        "securityContext": {"readOnlyRootFilesystem": False, "runAsUser": 1000},
    }
    template = {"metadata": {"labels": SELECTOR}, "spec": {"containers": [container], "serviceAccountName": "default"}}
    return {
        "ConfigMap": made(f"{NAME}-config", data=CONFIG),
        "Deployment": made(NAME, spec={"replicas": 1, "selector": {"matchLabels": SELECTOR}, "template": template}),
        "Service": made(NAME, spec={"selector": SELECTOR, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]}),
        "HorizontalPodAutoscaler": made(f"{NAME}-hpa", spec={"minReplicas": 3}),
        "NetworkPolicy": made(f"{NAME}-network-policy", spec={"podSelector": {"matchLabels": SELECTOR}}),
    }


def made(name: str, **content: Object) -> Object:
    return {"metadata": {"name": name}, **content}


def merged(old: Any, new: Any, field: str = "") -> Any:
    """`old` with `new` applied: mappings by key, some lists by their items' key, everything else replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: merged(old.get(name), value, name) for name, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and field in MERGED_BY:
        items = {identity(item, field): item for item in old}
        for item in new:
            items[identity(item, field)] = merged(items.get(identity(item, field)), item)
        return list(items.values())
    return new


def identity(item: Object, field: str) -> object:
    return next(item[key] for key in MERGED_BY[field] if key in item)


def taken_over(values: dict[str, Any] | None = None) -> Rendered:
    """What the namespace holds afterwards."""
    before = live()
    fresh = render(values).objects
    return Rendered(
        [
            merged(before[each["kind"]], each)
            if each["kind"] in before and each["metadata"]["name"] == before[each["kind"]]["metadata"]["name"]
            else each
            for each in fresh
        ],
        "",
    )


@pytest.fixture
def shared_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMON, "petrosa-common-config", SHARED)


def test_each_of_the_originals_objects_is_taken_over_and_none_is_left_beside_its_heir() -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in rendered(DEFAULTS).objects}
    assert {(kind, each["metadata"]["name"]) for kind, each in live().items()} <= names


def test_nothing_that_cannot_change_is_changed() -> None:
    before, after = live(), rendered(DEFAULTS)
    assert after.one("Deployment")["spec"]["selector"] == before["Deployment"]["spec"]["selector"]
    assert after.one("Service")["spec"]["type"] == "ClusterIP"


def test_there_is_one_container_and_each_of_its_variables_has_one_source() -> None:
    (container,) = taken_over().pod["containers"]
    assert container["image"] == "yurisa2/petrosa-data-manager:2.0.0"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for entry in container["env"]:
        assert len(entry) == 2, entry
        assert len(entry.get("valueFrom", {"value": 1})) == 1, entry


@pytest.mark.usefixtures("shared_settings")
def test_old_variables_find_what_they_refer_to_and_old_settings_switch_nothing_off() -> None:
    after = taken_over()
    loaded = load({}, after.environment(after.container))
    assert loaded.settings.enable_auditor
    assert loaded.settings.enable_backfiller
    assert loaded.settings.enable_analytics
    fresh = rendered(DEFAULTS)
    wanted = load({}, fresh.environment(fresh.container)).settings.shown()
    added = {"otel_exporter_otlp_endpoint", "otel_exporter_otlp_headers"}  # the original's own, which still work
    assert {name: value for name, value in loaded.settings.shown().items() if name not in added} == {
        name: value for name, value in wanted.items() if name not in added
    }
    assert loaded.warnings == []


@pytest.mark.usefixtures("shared_settings")
def test_an_address_of_nats_of_ones_own_replaces_the_shared_one() -> None:
    after = taken_over({"nats": {"url": "nats://mine:4222"}})
    assert after.environment(after.container)["NATS_URL"] == "nats://mine:4222"


def test_every_setting_of_the_originals_config_map_is_the_charts_too() -> None:
    data = rendered(DEFAULTS).one("ConfigMap")["data"]
    fixed = {"OTEL_SERVICE_NAME"}  # said by the code where nobody says it
    assert (CONFIG.keys() & NAMES) - fixed <= data.keys()


def test_what_the_chart_says_of_these_is_what_the_service_does_without_it() -> None:
    """But for the memory of ingest processes, of which all must fit the original's limit."""
    data = rendered(DEFAULTS).one("ConfigMap")["data"]
    memory = {"INGEST_MEMORY_SOFT_MB", "INGEST_MEMORY_HARD_MB"}
    loaded = load({}, {name: value for name, value in data.items() if name not in memory | {"DATA_DIR"}})
    assert loaded.settings.shown() == Settings().shown()

"""What the chart makes: the original's names and figures, and what was added to them on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import DEFAULTS, NAME, RELEASE, SETS, Object, ci_values, pods, render, rendered

ALL = [DEFAULTS, *SETS]
SHARED = ["production", "everything", DEFAULTS]
ALONE = ["minimal", "demo"]


def labels(each: Object) -> dict[str, str]:
    return dict(each["metadata"]["labels"])


# -- the original's -----------------------------------------------------------------------------------------


def test_names_are_the_originals_whatever_the_release_is_called() -> None:
    made = rendered(DEFAULTS)
    assert RELEASE not in NAME
    names = {kind: made.one(kind)["metadata"]["name"] for kind in ("Deployment", "Service", "ConfigMap")}
    assert names == {"Deployment": NAME, "Service": NAME, "ConfigMap": f"{NAME}-config"}
    assert made.one("HorizontalPodAutoscaler")["metadata"]["name"] == f"{NAME}-hpa"  # two would fight
    assert made.one("NetworkPolicy")["metadata"]["name"] == f"{NAME}-network-policy"
    assert "namespace" not in made.one("Deployment")["metadata"]  # the release's


def test_the_selector_is_the_one_label_that_the_original_selects_by() -> None:
    made = rendered(DEFAULTS)
    assert made.one("Deployment")["spec"]["selector"] == {"matchLabels": {"app": "data-manager"}}
    assert made.one("Service")["spec"]["selector"] == {"app": "data-manager"}
    assert labels(made.one("Deployment")["spec"]["template"])["app"] == "data-manager"
    wanted = {"app": "data-manager", "component": "data-intelligence", "version": "2.0.0"}
    assert labels(made.one("Deployment")).items() >= wanted.items()


def test_figures_are_the_originals() -> None:
    made = rendered(DEFAULTS)
    spec = made.one("Deployment")["spec"]
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert made.pod["terminationGracePeriodSeconds"] == 30
    assert made.container["image"] == "yurisa2/petrosa-data-manager:2.0.0"
    assert [(port["name"], port["containerPort"]) for port in made.container["ports"]] == [
        ("http", 8000),
        ("metrics", 9090),
    ]
    assert made.container["resources"] == {
        "requests": {"cpu": "250m", "memory": "1Gi"},  # 512Mi in the original: less than a pod always needs
        "limits": {"cpu": "1000m", "memory": "2Gi"},
    }
    ports = made.one("Service")["spec"]["ports"]
    assert [(port["port"], port["targetPort"]) for port in ports] == [(80, "http"), (9090, "metrics")]
    annotations = spec["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == "9090"
    assert annotations["prometheus.io/path"] == "/metrics"


def test_probes_are_the_originals_and_wait_for_the_start() -> None:
    container = rendered(DEFAULTS).container
    live = {"initialDelaySeconds": 30, "periodSeconds": 30, "timeoutSeconds": 5, "failureThreshold": 3}
    ready = {"initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
    alive, whole = ({"httpGet": {"path": f"/health/{name}", "port": "http"}} for name in ("liveness", "readiness"))
    assert container["livenessProbe"] == alive | live
    assert container["readinessProbe"] == whole | ready
    assert container["startupProbe"] == alive | {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 24}


def test_autoscaling_is_the_originals_but_for_memory() -> None:
    spec = rendered(DEFAULTS).one("HorizontalPodAutoscaler")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    assert spec["metrics"] == [utilization("cpu", 70)]
    assert spec["behavior"]["scaleDown"] == {
        "stabilizationWindowSeconds": 300,
        "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
    }
    assert spec["behavior"]["scaleUp"] == {
        "stabilizationWindowSeconds": 60,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 30},
            {"type": "Pods", "value": 2, "periodSeconds": 30},
        ],
    }
    with_memory = render({"autoscaling": {"memoryPercent": 80}}).one("HorizontalPodAutoscaler")["spec"]
    assert with_memory["metrics"] == [utilization("cpu", 70), utilization("memory", 80)]


def utilization(resource: str, percent: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


def test_the_network_policy_lets_through_what_the_originals_did_and_dns_over_tcp() -> None:
    spec = rendered(DEFAULTS).one("NetworkPolicy")["spec"]
    assert spec["podSelector"] == {"matchLabels": {"app": "data-manager"}}
    clients, monitoring = spec["ingress"]
    assert tcp_ports(clients) == [8000, 9090]
    assert clients["from"] == [{"podSelector": {}}, {"namespaceSelector": named("petrosa-apps")}]
    assert (monitoring["from"], tcp_ports(monitoring)) == ([{"namespaceSelector": named("monitoring")}], [9090])
    dns, nats, anywhere = spec["egress"]
    assert dns["ports"] == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    assert dns["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]
    assert tcp_ports(nats) == [4222]
    assert nats["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nats"}}}]
    assert sorted(tcp_ports(anywhere)) == [443, 3306, 4317, 4318, 27017]
    assert "to" not in anywhere


def tcp_ports(rule: Object) -> list[int]:
    return [port["port"] for port in rule["ports"] if port["protocol"] == "TCP"]


def named(*namespaces: str) -> Object:
    return {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}]}


def test_the_network_policys_ports_and_namespaces_are_values() -> None:
    spec = rendered("everything").one("NetworkPolicy")["spec"]
    assert [len(rule["from"]) for rule in spec["ingress"]] == [2, 1]  # ours and the extra one; monitoring has none
    dns, nats, anywhere, extra = spec["egress"]
    assert dns["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "dns"}
    assert (tcp_ports(nats), nats.get("to")) == ([4223], None)
    assert tcp_ports(anywhere) == [27018, 443, 3307]
    assert extra["to"] == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]
    assert not render({"networkPolicy": {"enabled": False}}).all("NetworkPolicy")


# -- how many -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHARED)
def test_beside_an_autoscaler_nothing_says_how_many_replicas(name: str) -> None:
    made = rendered(name)
    assert made.all("HorizontalPodAutoscaler")
    assert "replicas" not in made.one("Deployment")["spec"]
    budget = made.one("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == (2 if name == "everything" else 1)
    assert budget["selector"] == made.one("Deployment")["spec"]["selector"]


def test_without_an_autoscaler_the_value_says_it() -> None:
    made = render({"autoscaling": {"enabled": False}, "replicaCount": 2})
    assert made.one("Deployment")["spec"]["replicas"] == 2
    assert not made.all("HorizontalPodAutoscaler")
    assert made.all("PodDisruptionBudget")
    assert not render({"autoscaling": {"enabled": False}, "replicaCount": 1}).all("PodDisruptionBudget")


@pytest.mark.parametrize("name", ALONE)
def test_on_sqlite_one_pod_ends_before_the_next_begins_and_may_be_drained(name: str) -> None:
    made = rendered(name)
    spec = made.one("Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"]["type"] == "Recreate"
    assert not made.all("HorizontalPodAutoscaler")
    assert not made.all("PodDisruptionBudget")
    assert "topologySpreadConstraints" not in made.pod


def test_pods_are_spread_over_nodes_and_zones() -> None:
    constraints = rendered(DEFAULTS).pod["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for each in constraints:
        assert (each["maxSkew"], each["whenUnsatisfiable"]) == (1, "ScheduleAnyway")
        assert each["labelSelector"] == {"matchLabels": {"app": "data-manager"}}


# -- storage ------------------------------------------------------------------------------------------------


def volumes(made: Any) -> dict[str, Object]:
    return {volume["name"]: volume for volume in made.pod["volumes"]}


@pytest.mark.parametrize("name", ALL)
def test_every_container_writes_to_its_data_volume_alone(name: str) -> None:
    for pod in pods(rendered(name).objects):
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["/data"]


def test_the_volume_of_sqlite_outlives_an_uninstall() -> None:
    made = rendered("minimal")
    claim = made.one("PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert volumes(made)["data"]["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}


def test_a_claim_that_exists_is_used_and_none_made() -> None:
    values = ci_values("minimal") | {"persistence": {"enabled": True, "existingClaim": "mine"}}
    made = render(values)
    assert not made.all("PersistentVolumeClaim")
    assert volumes(made)["data"]["persistentVolumeClaim"] == {"claimName": "mine"}


@pytest.mark.parametrize("name", [*SHARED, "demo"])
def test_what_is_kept_elsewhere_or_nowhere_needs_no_claim(name: str) -> None:
    made = rendered(name)
    assert not made.all("PersistentVolumeClaim")
    assert volumes(made)["data"]["emptyDir"] == {}


# -- safety -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_no_pod_has_rights_that_it_does_not_need(name: str) -> None:
    for pod in pods(rendered(name).objects):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False  # a Service called `mysql` would set MYSQL_PORT
        security = spec["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 1000, 1000)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", ALL)
def test_the_service_sends_nothing_to_jobs_and_tests(name: str) -> None:
    made = rendered(name)
    selector = made.one("Service")["spec"]["selector"].items()
    selected = [pod["spec"]["containers"][0]["name"] for pod in pods(made.objects) if selector <= labels(pod).items()]
    assert selected == ["data-manager"]


@pytest.mark.parametrize("name", ALL)
def test_the_chart_makes_no_secret_and_none_is_optional(name: str) -> None:
    made = rendered(name)
    assert {each["metadata"]["name"] for each in made.all("Secret")} <= {f"{RELEASE}-more"}  # of extraObjects
    for container in made.containers():
        assert not [entry for entry in container["env"] if "optional" in str(entry)]
        assert not [source for source in container["envFrom"] if "optional" in str(source)]


# -- changes ------------------------------------------------------------------------------------------------


def annotations(made: Any) -> dict[str, str]:
    return dict(made.one("Deployment")["spec"]["template"]["metadata"]["annotations"])


def test_pods_start_anew_when_settings_change_and_not_otherwise() -> None:
    before = annotations(render())["checksum/config"]
    assert annotations(render({"service": {"type": "NodePort"}}))["checksum/config"] == before
    assert annotations(render({"config": {"LOG_LEVEL": "DEBUG"}}))["checksum/config"] != before
    assert annotations(render({"ports": {"http": 8001}}))["checksum/config"] != before


def test_numbers_of_values_reach_the_config_map_as_they_are_written() -> None:
    data = rendered("everything").one("ConfigMap", "-config")["data"]
    assert data["FEED_MAX_BYTES"] == "2147483648"
    assert data["ENABLE_AUTO_BACKFILL"] == "false"
    assert data["INGEST_MEMORY_HARD_MB"] == "256"


def test_a_pod_leaves_the_service_before_it_stops() -> None:
    assert rendered(DEFAULTS).container["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "5"]}}}


@pytest.mark.parametrize(
    ("scrape", "annotated", "monitors"), [("annotations", True, 0), ("serviceMonitor", False, 1), ("none", False, 0)]
)
def test_metrics_are_found_in_one_way(scrape: str, annotated: bool, monitors: int) -> None:
    made = render({"metrics": {"scrape": scrape}})
    assert any(name.startswith("prometheus.io/") for name in annotations(made)) is annotated
    assert len(made.all("ServiceMonitor")) == monitors


def test_a_service_monitor_selects_the_service_and_its_metrics() -> None:
    made = rendered("everything")
    monitor, service = made.one("ServiceMonitor"), made.one("Service")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels(service).items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "15s"}
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert labels(monitor)["release"] == "prometheus"


# -- more of one's own --------------------------------------------------------------------------------------


def test_what_users_add_is_added() -> None:
    made = rendered("everything")
    assert made.container["env"][-1] == {"name": "NATS_CA_FILE", "value": "/certificates/ca.crt"}
    assert volumes(made)["certificates"]["secret"] == {"secretName": "nats-certificates"}
    assert made.one("ConfigMap", "-more")["metadata"]["name"] == "data-manager-blue-more"
    assert made.one("Secret")["metadata"]["name"] == f"{RELEASE}-more"
    pod = made.one("Deployment")["spec"]["template"]
    assert labels(pod)["example.com/tier"] == "ingest"
    assert pod["metadata"]["annotations"]["example.com/owner"] == "data"
    spec = made.pod
    assert (spec["serviceAccountName"], spec["priorityClassName"]) == ("data-manager", "important")
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "amd64"}
    assert spec["tolerations"][0]["value"] == "data"
    assert "nodeAffinity" in spec["affinity"]


def test_a_label_given_twice_stands_once_and_the_selectors_stay() -> None:
    values = {"selectorLabels": {"app": "x", "component": "y"}, "podLabels": {"app": "z", "version": "w"}}
    pod = render(values).one("Deployment")["spec"]["template"]
    found = {name: labels(pod)[name] for name in ("app", "component", "version")}
    assert found == {"app": "x", "component": "y", "version": "w"}


def test_every_value_is_changed_by_the_set_of_everything() -> None:
    """But for switches, whose other position is in another set."""
    made, default = rendered("everything"), rendered(DEFAULTS)
    for kind in ("Deployment", "Service", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget"):
        assert made.one(kind)["metadata"]["name"] != default.one(kind)["metadata"]["name"]
        assert made.one(kind)["spec"] != default.one(kind)["spec"]

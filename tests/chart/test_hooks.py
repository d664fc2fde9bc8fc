"""What Helm runs beside the release: migrations before it, and its test."""

from __future__ import annotations

import pytest

from tests.chart.rendering import DEFAULTS, SETS, Object, rendered

ALL = [DEFAULTS, *SETS]


def hook(each: Object) -> dict[str, str]:
    return {
        name.removeprefix("helm.sh/"): value
        for name, value in each["metadata"].get("annotations", {}).items()
        if name.startswith("helm.sh/hook")
    }


def test_migrations_run_before_the_rest_with_settings_of_their_own_and_a_secret_that_exists() -> None:
    made = rendered("everything")
    job, settings = made.one("Job"), made.one("ConfigMap", "-migrate")
    before = {"hook": "pre-install,pre-upgrade", "hook-delete-policy": "before-hook-creation"}
    assert hook(job) == before | {"hook-weight": "0"}
    assert hook(settings) == before | {"hook-weight": "-5"}
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["backoffLimit"]) == (300, 3)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["migrate"]
    assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    uri, *_ = container["env"]
    assert uri["valueFrom"]["secretKeyRef"] == {"name": "blue-owner-credentials", "key": "mysql-uri"}


def test_the_job_uses_the_services_secret_where_it_has_none_of_its_own_and_is_off_by_default() -> None:
    (container,) = rendered("production").one("Job")["spec"]["template"]["spec"]["containers"]
    assert container["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "petrosa-sensitive-credentials"
    assert not rendered(DEFAULTS).all("Job")


@pytest.mark.parametrize("name", ALL)
def test_a_hook_depends_on_nothing_that_is_installed_after_it(name: str) -> None:
    made = rendered(name)
    later = {each["metadata"]["name"] for each in made.all("ConfigMap") if not hook(each)}
    for job in made.all("Job"):
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert not [source for source in container["envFrom"] if source["configMapRef"]["name"] in later]


@pytest.mark.parametrize("name", ALL)
def test_helms_test_sends_a_probe_through_the_service_with_the_releases_own_image(name: str) -> None:
    made = rendered(name)
    pod = made.one("Pod")
    assert hook(pod)["hook"] == "test"
    (container,) = pod["spec"]["containers"]
    assert container["image"] == made.container["image"]
    service = made.one("Service")
    port = next(each["port"] for each in service["spec"]["ports"] if each["name"] == "http")
    assert container["args"] == ["selftest", f"--url=http://{service['metadata']['name']}:{port}", "--within=60"]
    assert made.environment(container) == made.environment(made.container)

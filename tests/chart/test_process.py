"""What the chart renders, done by hand on this host: its commands, environment, probes, test and job."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import Object, Rendered, ci_values, render
from tests.servers.command import PROGRAM, Command
from tests.servers.databases import free_port
from tests.servers.nats import NatsServer
from tests.test_image import instruction

pytestmark = pytest.mark.faults

QUIET = {"ENABLE_BACKFILLER": False, "ENABLE_ANALYTICS": False, "SUPPORTED_PAIRS": "BTCUSDT,ETHUSDT"}


def environment(made: Rendered, container: Object, folder: Path) -> dict[str, str]:
    """The container's; its volume is `folder`."""
    (mount, *_) = container["volumeMounts"]
    given = made.environment(container)
    assert given["DATA_DIR"] == mount["mountPath"]
    return {"PATH": os.environ["PATH"], **given, "DATA_DIR": str(folder)}


class Pod(Command):
    """The service's container, started as Kubernetes starts it."""

    def __init__(self, folder: Path, made: Rendered) -> None:
        entry, container = instruction("ENTRYPOINT"), made.container
        assert entry == [PROGRAM.name]
        assert "command" not in container  # it would replace the entry point
        super().__init__(folder, *container["args"])
        self._environment = environment(made, container, self.data_dir)
        self._made, self._container = made, container

    def probe(self, name: str) -> bool:
        """Ask as the kubelet does: any status from 200 to 399 is good."""
        probe = self._container[f"{name}Probe"]
        url = f"http://127.0.0.1:{self.port(probe['httpGet']['port'])}{probe['httpGet']['path']}"
        try:
            with urllib.request.urlopen(url, timeout=probe["timeoutSeconds"]) as answer:
                return bool(200 <= answer.status < 400)
        except OSError:
            return False

    def port(self, name: str) -> int:
        """A port of the container by its name."""
        return next(int(port["containerPort"]) for port in self._container["ports"] if port["name"] == name)

    def patience(self, name: str) -> float:
        """How long a probe may fail before the container is killed, or the pod is taken out of the Service."""
        probe = self._container[f"{name}Probe"]
        return float(probe["periodSeconds"] * probe["failureThreshold"])

    def helm_test(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run the test's container, to which the Service's name is this host."""
        (container,) = self._made.one("Pod")["spec"]["containers"]
        service = self._made.one("Service")
        (port,) = (each for each in service["spec"]["ports"] if each["name"] == "http")
        address = f"http://{service['metadata']['name']}:{port['port']}"
        here = f"http://127.0.0.1:{self.port(port['targetPort'])}"
        arguments = [text.replace(address, here) for text in container["args"]]
        assert arguments != container["args"]
        return subprocess.run(
            [PROGRAM, *arguments],
            env=environment(self._made, container, folder),
            capture_output=True,
            text=True,
            timeout=90,
        )


@pytest.fixture
def ports() -> dict[str, Any]:
    return {"http": free_port(), "metrics": free_port()}


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path / "nats") as server:
        yield server


def test_the_pod_passes_its_probes_takes_an_event_and_stops_in_time(
    tmp_path: Path, nats: NatsServer, ports: dict[str, Any]
) -> None:
    made = render({**ci_values("minimal"), "nats": {"url": nats.url}, "ports": ports, "config": QUIET})
    pod = Pod(tmp_path, made)
    with pod.starting():
        pod.wait(lambda: pod.probe("startup"), pod.patience("startup"))
        pod.wait(lambda: pod.probe("readiness"), pod.patience("readiness"))
        assert pod.probe("liveness")
        metrics = f"http://127.0.0.1:{pod.port('metrics')}/metrics"
        with urllib.request.urlopen(metrics, timeout=5) as answer:
            assert b"data_manager_actor_up" in answer.read()
        tested = pod.helm_test(tmp_path / "elsewhere")
        assert (tested.returncode, tested.stderr) == (0, "")
        assert shutil.which(made.container["lifecycle"]["preStop"]["exec"]["command"][0])
        assert pod.end(timeout=made.pod["terminationGracePeriodSeconds"]) == 0
        assert not pod.probe("liveness")


def test_helms_test_fails_where_the_pod_is_away(tmp_path: Path, nats: NatsServer, ports: dict[str, Any]) -> None:
    made = render({**ci_values("minimal"), "nats": {"url": nats.url}, "ports": ports, "config": QUIET})
    (container,) = made.one("Pod")["spec"]["containers"]
    arguments = [*container["args"][:2], "--within=1"]
    done = subprocess.run(
        [PROGRAM, *(text.replace("petrosa-data-manager:80", f"127.0.0.1:{ports['http']}") for text in arguments)],
        env=environment(made, container, tmp_path),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 3


def test_the_demo_is_a_whole_system_and_says_so_to_helms_test(tmp_path: Path, ports: dict[str, Any]) -> None:
    pod = Pod(tmp_path, render({**ci_values("demo"), "ports": ports, "config": {"SUPPORTED_PAIRS": "BTCUSDT"}}))
    with pod.starting():
        pod.wait(lambda: pod.probe("readiness"), pod.patience("startup") + pod.patience("readiness"))
        tested = pod.helm_test(tmp_path / "elsewhere")
        assert (tested.returncode, tested.stderr) == (0, "")
        assert "accounts for each" in tested.stdout
        assert pod.end() == 0


def test_the_job_brings_the_schema_up_to_date_and_may_run_again(tmp_path: Path, new_mysql: Callable[[], str]) -> None:
    made = render(ci_values("production"))
    (container,) = made.one("Job")["spec"]["template"]["spec"]["containers"]
    given = {**environment(made, container, tmp_path), "MYSQL_URI": new_mysql()}
    changed, unchanged = (
        subprocess.run([PROGRAM, *container["args"]], env=given, capture_output=True, text=True, timeout=60)
        for _ in range(2)
    )
    assert (changed.returncode, unchanged.returncode) == (0, 0), changed.stderr
    assert "now has schema" in changed.stdout
    assert "is up to date" in unchanged.stdout

"""What the chart renders, done by hand on this host: its commands, environment, probes, test and job."""

from __future__ import annotations

import os
import re
import shlex
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
from tests.servers.service import alive
from tests.test_image import DOCKERFILE, instruction

pytestmark = pytest.mark.faults

QUIET = {"ENABLE_BACKFILLER": False, "ENABLE_ANALYTICS": False, "SUPPORTED_PAIRS": "BTCUSDT,ETHUSDT"}


# Leaves of all that can be written one folder ($0), and goes there.
READ_ONLY = 'mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,ro,bind / && cd "$0" && exec "$@"'


def environment(made: Rendered, container: Object, folder: Path) -> dict[str, str]:
    """The image's and the container's, where `folder` is the container's volume."""
    (volume, *_) = [mount["mountPath"] for mount in container["volumeMounts"]]
    image = dict(
        pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE) for pair in shlex.split(line)
    )
    given = image | made.environment(container) | {"PATH": os.environ["PATH"]}
    assert given["DATA_DIR"].startswith(volume)
    return {name: re.sub(rf"^{volume}(?=/|$)", str(folder), value) for name, value in given.items()}


def confined(folder: Path, *command: str) -> list[str]:
    """The command, where `folder` is all that can be written."""
    return ["unshare", "--mount", "sh", "-c", READ_ONLY, str(folder), *command]


def mounts_are_allowed() -> bool:
    """Whether this user may make a file system of its own view."""
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


needs_mounts = pytest.mark.skipif(not mounts_are_allowed(), reason="only root may take away what can be written")


class Pod(Command):
    """The service's container, started as Kubernetes starts it, where it can write to its volume alone."""

    def __init__(self, folder: Path, made: Rendered) -> None:
        entry, container = instruction("ENTRYPOINT"), made.container
        assert entry[-1] == PROGRAM.name  # under an init
        assert "command" not in container  # it would replace the entry point
        volume = folder / "volume"
        volume.mkdir()
        super().__init__(volume, *container["args"])
        self.data_dir = volume
        self._environment = environment(made, container, volume)
        self._made, self._container = made, container

    def program(self) -> list[str]:
        """What is executed."""
        return confined(self.folder, *super().program())

    def _is_ours(self, pid: int) -> bool:
        try:  # by the folder itself: its path is another one there
            return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), self.folder.stat()) and alive(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False

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
        return run(self._made, container, arguments, folder)


def run(
    made: Rendered, container: Object, arguments: list[str], folder: Path, **instead: str
) -> subprocess.CompletedProcess[str]:
    """A container that ends, with an empty volume of its own at `folder`."""
    folder.mkdir()
    return subprocess.run(
        confined(folder, str(PROGRAM), *arguments),
        env=environment(made, container, folder) | instead,
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


@needs_mounts
def test_the_pod_passes_its_probes_takes_an_event_and_stops_in_time(
    tmp_path: Path, nats: NatsServer, ports: dict[str, Any]
) -> None:
    made = render({**ci_values("minimal"), "nats": {"url": nats.url}, "ports": ports, "config": QUIET})
    pod = Pod(tmp_path, made)
    with pod.starting():
        pod.wait(lambda: pod.probe("startup"), pod.patience("startup"))
        pod.wait(lambda: pod.probe("readiness"), pod.patience("readiness"))
        assert pod.probe("liveness")
        assert re.search(r"^\S+ / \S+ ro,", Path(f"/proc/{pod.pid}/mounts").read_text(), re.MULTILINE)
        metrics = f"http://127.0.0.1:{pod.port('metrics')}/metrics"
        with urllib.request.urlopen(metrics, timeout=5) as answer:
            assert b"data_manager_actor_up" in answer.read()
        tested = pod.helm_test(tmp_path / "elsewhere")
        assert (tested.returncode, tested.stderr) == (0, "")
        assert shutil.which(made.container["lifecycle"]["preStop"]["exec"]["command"][0])
        assert pod.end(timeout=made.pod["terminationGracePeriodSeconds"]) == 0
        assert not pod.probe("liveness")


@needs_mounts
def test_helms_test_fails_where_the_pod_is_away(tmp_path: Path, nats: NatsServer, ports: dict[str, Any]) -> None:
    made = render({**ci_values("minimal"), "nats": {"url": nats.url}, "ports": ports, "config": QUIET})
    (container,) = made.one("Pod")["spec"]["containers"]
    arguments = ["selftest", f"--url=http://127.0.0.1:{ports['http']}", "--within=1"]
    assert [text.partition("=")[0] for text in arguments] == [text.partition("=")[0] for text in container["args"]]
    assert run(made, container, arguments, tmp_path / "volume").returncode == 3


@needs_mounts
def test_the_demo_is_a_whole_system_and_says_so_to_helms_test(tmp_path: Path, ports: dict[str, Any]) -> None:
    pod = Pod(tmp_path, render({**ci_values("demo"), "ports": ports, "config": {"SUPPORTED_PAIRS": "BTCUSDT"}}))
    with pod.starting():
        pod.wait(lambda: pod.probe("readiness"), pod.patience("startup") + pod.patience("readiness"))
        tested = pod.helm_test(tmp_path / "elsewhere")
        assert (tested.returncode, tested.stderr) == (0, "")
        assert "accounts for each" in tested.stdout
        assert pod.end() == 0


@needs_mounts
def test_the_job_brings_the_schema_up_to_date_and_may_run_again(tmp_path: Path, new_mysql: Callable[[], str]) -> None:
    made = render(ci_values("production"))
    (container,) = made.one("Job")["spec"]["template"]["spec"]["containers"]
    uri = new_mysql()
    changed, unchanged = (
        run(made, container, container["args"], tmp_path / name, MYSQL_URI=uri) for name in ("first", "second")
    )
    assert (changed.returncode, unchanged.returncode) == (0, 0), changed.stderr
    assert "now has schema" in changed.stdout
    assert "is up to date" in unchanged.stdout

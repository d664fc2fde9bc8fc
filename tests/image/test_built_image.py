"""The image built by buildah and run: as user 1000, on a read-only root, with one volume."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import data_manager
from tests.image import standin
from tests.image.buildah import ROOT, Buildah, Image
from tests.image.container import Container, new_volume, run
from tests.servers.databases import free_port
from tests.servers.load import Load
from tests.servers.nats import NatsServer
from tests.test_image import BASE

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
RATE = 1500  # events a second, over all symbols
IMPORT_ALL = """
import importlib, pkgutil, data_manager
for package in ("actors", "http", "storage", "system"):
    path = importlib.import_module(f"data_manager.{package}").__path__
    for module in pkgutil.walk_packages(path, f"data_manager.{package}."):
        if ".migrations.versions." not in module.name and not module.name.endswith(".env"):
            importlib.import_module(module.name)
"""

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]


def obstacle() -> str | None:
    """Why no image can be built and run here, besides that there may be no base for it."""
    if shutil.which("buildah") is None:
        return "buildah is not installed"
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"]).returncode != 0:
        return "only root may give a container its own view of files and processes"
    return None


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if reason := obstacle():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("image")
    with Buildah(folder / "buildah") as buildah:
        if not buildah.pull():
            if reason := standin.obstacle():
                pytest.skip(f"the base image cannot be pulled, and has no stand-in here: {reason}")
            files = folder / "base"
            standin.make(files)
            buildah.import_base(files)
            shutil.rmtree(files)
        yield buildah.build()


@pytest.fixture
def ports() -> dict[str, str]:
    return {"api_port": str(free_port()), "metrics_port": str(free_port())}


@pytest.fixture
def quiet(ports: dict[str, str]) -> dict[str, str]:
    """Settings of a service that asks nothing of the real exchange."""
    return ports | {
        "supported_pairs": ",".join(SYMBOLS),
        "enable_backfiller": "false",
        "enable_analytics": "false",
        "api_host": "127.0.0.1",
    }


def in_the_image(image: Image, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command that ends, with a volume of its own."""
    return run(image, new_volume(folder / "volume", image), *command)


# -- what is in it ------------------------------------------------------------------------------------------


def test_it_is_this_version_and_all_of_it_can_be_imported(image: Image, tmp_path: Path) -> None:
    version = in_the_image(image, tmp_path, "data-manager", "version")
    assert version.stdout.strip() == data_manager.__version__
    imported = run(image, tmp_path / "volume", "python", "-c", IMPORT_ALL)
    assert (imported.returncode, imported.stderr) == (0, "")


def test_the_detectors_start_on_the_read_only_root(image: Image, tmp_path: Path) -> None:
    loaded = in_the_image(
        image, tmp_path, "python", "-c", "from data_manager.actors.analytics.models import load; load()"
    )
    assert loaded.returncode == 0, loaded.stderr
    assert (tmp_path / "volume" / "cache" / "matplotlib").is_dir()


def test_nothing_in_it_compiles_or_installs(image: Image) -> None:
    programs = {path.name for folder in image.environment["PATH"].split(":") for path in programs_in(image, folder)}
    assert {"python", "data-manager", "nats-server", "tini", "sh"} <= programs
    compilers = re.compile(r"(.*-)?(cc|gcc|g\+\+|c\+\+|clang|cpp|ld|as|make|cargo|rustc)(-\d+)?")
    assert not sorted(name for name in programs if compilers.fullmatch(name))
    assert not list((image.root / "opt/venv").rglob("pip"))


def programs_in(image: Image, folder: str) -> list[Path]:
    """What can be found by name in a folder of PATH."""
    inside = image.root / folder.lstrip("/")
    return list(inside.iterdir()) if inside.is_dir() else []


def test_its_size_is_what_the_dockerfile_says(image: Image) -> None:
    said = re.search(r"about (\d+) MB", (ROOT / "Dockerfile").read_text())
    assert said
    used = subprocess.run(
        ["du", "--summarize", "--block-size=1000000", image.root / "opt/venv"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(used.stdout.split()[0]) == pytest.approx(int(said[1]), rel=0.1)


def test_it_says_what_it_is_and_how_it_is_run(image: Image) -> None:
    assert image.user == "1000:1000"
    assert (image.volumes, image.folder) == (["/data"], "/data")
    assert image.labels["org.opencontainers.image.title"] == "petrosa-data-manager"
    assert image.labels["org.opencontainers.image.base.name"] == BASE
    assert image.entry[-1] == "data-manager"
    assert image.command == ["run"]


# -- how it runs --------------------------------------------------------------------------------------------


def test_it_can_write_to_its_volume_alone(image: Image, tmp_path: Path) -> None:
    closed, volume = ["/etc", "/home", "/opt/venv", "/run", "/tmp", "/var/tmp"], new_volume(tmp_path / "volume", image)
    tried = run(image, volume, "sh", "-c", f"for place in {' '.join(closed)} /data; do touch $place/x; done; id -u")
    assert tried.stdout.strip() == "1000"
    assert re.findall(r"touch '(.*)/x': Read-only file system", tried.stderr) == closed
    assert [path.name for path in volume.iterdir()] == ["x"]
    temporary = run(image, volume, "python", "-c", "import tempfile; print(tempfile.mkdtemp())")
    assert temporary.stdout.startswith("/data/")


def test_the_demo_reconciles(image: Image, tmp_path: Path, ports: dict[str, str]) -> None:
    demo = Container(tmp_path, image, "demo", "--for", "10", api_host="127.0.0.1", **ports)
    assert demo.run(timeout=240) == 0
    assert "The counts reconcile" in demo.stdout


def test_sigterm_under_load_ends_in_order_and_the_next_start_gets_nothing_twice(
    image: Image, tmp_path: Path, quiet: dict[str, str]
) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        Container(tmp_path, image, *image.command, nats_url=nats.url, **quiet) as service,
    ):
        assert service.is_healthy()
        with Load(nats.url, SYMBOLS, RATE) as load:
            service.wait(lambda: stored(service, SYMBOLS[0]) > 500)
            assert service.end(signal.SIGTERM, timeout=15) == 0
            assert not service.is_healthy()
            service.start()
        service.wait(lambda: [stored(service, symbol) for symbol in SYMBOLS] == [load.sent] * 3, 60)
        again = [(total["redelivered"], total["duplicate"]) for total in map(partial(totals, service), SYMBOLS)]
        assert again == [(0, 0)] * 3
        assert service.end() == 0


def totals(service: Container, symbol: str) -> dict[str, int]:
    """The symbol's ledger, empty while nobody answers."""
    status, body = service.get("/ledger", pair=symbol)
    return dict(body["total"]) if status == 200 else {}


def stored(service: Container, symbol: str) -> int:
    """How many of its events were stored so far."""
    return totals(service, symbol).get("stored", 0)


def test_a_second_sigterm_forces_the_end(image: Image, tmp_path: Path, quiet: dict[str, str]) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        Container(tmp_path, image, *image.command, nats_url=nats.url, heartbeat_miss_s="60", **quiet) as service,
    ):
        os.kill(service.on_the_host(service.actor("ingest/BTCUSDT")["pid"]), signal.SIGSTOP)
        os.kill(service.pid, signal.SIGTERM)
        service.wait(lambda: service.actor("router")["state"] == "stopped")
        assert service.end(signal.SIGTERM, timeout=5) == 130


def test_a_command_without_handlers_obeys_sigterm_though_it_begins_the_container(image: Image, tmp_path: Path) -> None:
    waiting = Container(tmp_path, image, "-c", "echo up; while :; do :; done", instead="sh")
    with waiting.starting():
        waiting.wait(lambda: waiting.stdout == "up\n")
        assert waiting.end(signal.SIGTERM, timeout=5) == 128 + signal.SIGTERM

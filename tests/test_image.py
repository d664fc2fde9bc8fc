"""What can be known of the container image without building it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
(BASE,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE)


class Answer(BaseHTTPRequestHandler):
    """Answers liveness with the status the test sets, and anything else with 404."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/liveness" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def instruction(name: str) -> list[str]:
    """The arguments of an instruction in its exec form."""
    found = re.search(rf"^{name}\b.*?(\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    return list(json.loads(found[1]))


def pairs(name: str) -> dict[str, str]:
    """All that an instruction sets, as ENV and LABEL do."""
    lines = re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in shlex.split(line))


def health(port: int) -> int:
    """The exit code of the image's health check."""
    program, *arguments = instruction("HEALTHCHECK")
    assert program == "python"
    environment = {"API_PORT": str(port)}
    check = [sys.executable, *arguments]
    return subprocess.run(check, env=environment, stderr=subprocess.DEVNULL, timeout=30).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (404, 1), (500, 1), (503, 1)])
def test_the_health_check_says_what_liveness_says(
    port: int, status: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answer, "status", status)
    assert health(port) == code


def test_the_health_check_fails_where_nothing_listens() -> None:
    with HTTPServer(("127.0.0.1", 0), Answer) as closed:
        nobody = closed.server_port
    assert health(nobody) == 1


def test_it_runs_the_service_under_an_init_as_a_user_without_rights() -> None:
    assert [*instruction("ENTRYPOINT"), *instruction("CMD")] == ["tini", "--", "data-manager", "run"]
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["1000:1000"]


def test_all_that_it_writes_is_below_its_one_volume() -> None:
    assert re.findall(r"^VOLUME (.*)$", DOCKERFILE, re.MULTILINE) == ["/data"]
    given = pairs("ENV")
    for name in ("DATA_DIR", "TMPDIR", "HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "THESPLOG_FILE"):
        assert Path(given[name]).is_relative_to("/data")
    # a volume hides what the image has there, and a folder for temporary files must exist
    assert given["TMPDIR"] == "/data"


def test_both_stages_are_on_the_base_that_the_tests_run_on_and_its_label_names_it() -> None:
    assert BASE.rpartition("/")[2] == "python:3.11-slim-bookworm"
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON_IMAGE}"] * 2
    assert pairs("LABEL")["org.opencontainers.image.base.name"] == "${PYTHON_IMAGE}"


def test_whatever_installs_is_left_behind_in_the_first_stage() -> None:
    first, last = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert not re.search(r"\b(apt-get|apt|pip|curl|wget)\b", re.sub(r"^#.*$", "", last, flags=re.MULTILINE))
    installed = re.findall(r"apt-get install (.*?)(?:&&|$)", first, re.MULTILINE)
    packages = [word for line in installed for word in line.split() if not word.startswith("-")]
    assert packages
    assert not [package for package in packages if "=" not in package]


def test_it_is_built_from_all_that_the_package_is_made_of() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    links = {path.name for path in (ROOT / "src" / "data_manager").iterdir() if path.is_symlink()}
    assert let_through == {"src", *links, "pyproject.toml", "requirements.txt", "README.md", "LICENSE"}

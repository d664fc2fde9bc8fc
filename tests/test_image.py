"""What can be known of the container image without building it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")


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


def test_it_runs_the_service_as_a_user_without_rights() -> None:
    assert [*instruction("ENTRYPOINT"), *instruction("CMD")] == ["data-manager", "run"]
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["1000:1000"]


def test_it_is_built_from_all_that_the_package_is_made_of() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    links = {path.name for path in (ROOT / "src" / "data_manager").iterdir() if path.is_symlink()}
    assert let_through == {"src", *links, "pyproject.toml", "requirements.txt", "README.md", "LICENSE"}

"""What looks like a demo, on the test's own process: a folder that it owns, an API that it sets, and a child."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.data_dir import DataDir
from tests.servers.api import ServedApi, served_api

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder that this process owns."""
    lock = DataDir(tmp_path)
    lock.acquire()
    yield tmp_path
    lock.release()


@pytest.fixture
def api(folder: Path) -> Iterator[ServedApi]:
    """An API that says that it belongs to the folder."""
    with served_api(folder) as served:
        (folder / "http.json").write_text(json.dumps({"api_port": int(served.url.rpartition(":")[2])}))
        yield served


@pytest.fixture
def child() -> Iterator[int]:
    """A process that this one has started."""
    with subprocess.Popen(SLEEPER) as process:
        yield process.pid
        process.kill()

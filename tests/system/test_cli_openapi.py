from __future__ import annotations

import json
from pathlib import Path

from data_manager import __version__
from data_manager.http.app import OPERATIONS
from data_manager.http.docs import written
from tests.system.test_cli import command


def test_the_description_is_printed_and_nothing_needs_to_run() -> None:
    done = command("openapi", NATS_URL="nats://127.0.0.1:1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode() == written(OPERATIONS)
    assert json.loads(done.stdout)["info"]["version"] == __version__


def test_it_goes_into_a_file_when_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    done = command("openapi", "--output", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert file.read_bytes() == written(OPERATIONS)


def test_a_file_that_cannot_be_written_ends_with_2_and_a_sentence(tmp_path: Path) -> None:
    done = command("openapi", "--output", str(tmp_path / "missing" / "openapi.json"))
    assert done.returncode == 2
    assert done.stderr == f"{tmp_path}/missing/openapi.json cannot be written: No such file or directory\n"

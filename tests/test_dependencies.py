"""The contracts in pyproject.toml bite: each finds a violation planted in a copy of the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("actors", "http", "storage", "system")
LINTER = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the sources, linked as in the root."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "src" / "data_manager", tmp_path / "src" / "data_manager", symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of the copy; PYTHONPATH goes before the installed package."""
    return subprocess.run(
        [LINTER, "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_tree_keeps_all_contracts(tree: Path) -> None:
    checked = lint(tree)
    assert checked.returncode == 0, checked.stdout
    assert "5 kept, 0 broken" in checked.stdout


@pytest.mark.parametrize(
    ("importer", "imported", "contract"),
    [
        ("system/clock.py", "data_manager.storage.records", "Dependencies point one way"),
        ("system/strategy.py", "data_manager.http.app", "Dependencies point one way"),
        ("storage/records.py", "data_manager.http.app", "Dependencies point one way"),
        ("storage/sqlite/store.py", "data_manager.actors.routing", "Dependencies point one way"),
        ("http/paging.py", "data_manager.actors.routing", "Dependencies point one way"),
        ("storage/records.py", "data_manager.system.connection", "storage knows clock, settings and errors"),
        ("actors/router.py", "data_manager.storage.catalog", "import nothing heavy"),
        ("actors/ingest/rows.py", "numpy", "import nothing heavy"),
        ("system/worker.py", "pandas.core", "import nothing heavy"),
        ("system/aio.py", "opentelemetry.trace", "only system.telemetry imports OpenTelemetry"),
        ("actors/ingest/candles.py", "time", "domain logic does no I/O"),
        ("storage/records.py", "sqlite3", "domain logic does no I/O"),
        ("http/condition.py", "data_manager.http.store_thread", "domain logic does no I/O"),
    ],
)
def test_a_planted_import_is_found(tree: Path, importer: str, imported: str, contract: str) -> None:
    with (tree / importer).open("a") as source:
        source.write(f"\nimport {imported}\n")
    checked = lint(tree)
    assert checked.returncode == 1
    broken = [line for line in checked.stdout.splitlines() if " BROKEN" in line]
    assert any(contract in line for line in broken), checked.stdout

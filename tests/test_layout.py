"""The folders the project promises; one of them, http/, must not hide the standard library's http."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import data_manager

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("actors", "conf", "http", "storage", "system")
PROMISED = {
    *LINKED,
    *("chart", "src", "tests", ".ci", ".github"),
    *("README.md", "LICENSE", "Makefile", "Dockerfile", ".dockerignore", ".gitignore", ".pre-commit-config.yaml"),
    *("pyproject.toml", "requirements.txt", "requirements-dev.txt"),
}
WHICH_HTTP = "import http, http.client, http.server; print(http.HTTPStatus.OK, http.__file__, http.client.__file__)"


def git_files(*options: str) -> list[str]:
    """What git lists in the root, as `git ls-files` prints it; skips the test where there is no checkout."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, timeout=30
        )
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return listing.stdout.rstrip("\0").split("\0")


def run_in_root(*command: str, **environment: str) -> str:
    """The output of a Python that starts in the root, with nothing of this process's environment."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_promised_entry_is_there() -> None:
    assert not {name for name in PROMISED if not (ROOT / name).exists()}


def test_the_top_level_holds_nothing_else() -> None:
    listed = git_files("--cached", "--others", "--exclude-standard")
    present = {name.partition("/")[0] for name in listed if (ROOT / name).exists()}
    assert present == PROMISED


@pytest.mark.parametrize("folder", ["http", "conf"])
def test_folder_is_no_regular_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("environment", [{}, {"PYTHONPATH": "."}, {"PYTHONPATH": str(ROOT)}], ids=str)
def test_the_standard_http_wins_from_the_root(environment: dict[str, str]) -> None:
    shown = run_in_root("-c", WHICH_HTTP, **environment)
    assert shown.startswith("200 ")
    assert f"{ROOT / 'http'}/" not in shown


@pytest.mark.parametrize("module", ["http.server", "pytest", "data_manager"])
def test_modules_run_from_the_root(module: str) -> None:
    assert run_in_root("-m", module, "--help")


def test_our_http_is_found_under_the_package() -> None:
    shown = run_in_root("-c", "import data_manager.http.ports as ours; print(ours.__file__)")
    assert Path(shown.strip()).resolve() == ROOT / "http" / "ports.py"


@pytest.mark.parametrize("folder", LINKED)
def test_link_points_at_the_folder_of_the_root(folder: str) -> None:
    link = ROOT / "src" / "data_manager" / folder
    assert link.is_symlink()
    assert str(link.readlink()) == f"../../{folder}"
    assert link.resolve() == ROOT / folder


def test_git_keeps_the_links_as_links() -> None:
    links = [line for line in git_files("--stage", "src/data_manager") if line.startswith("120000 ")]
    assert sorted(Path(line).name for line in links) == sorted(LINKED)


def test_the_import_package_has_no_files_but_its_own() -> None:
    real = {path.name for path in (ROOT / "src" / "data_manager").iterdir() if not path.is_symlink()}
    assert real - {"__pycache__"} == {"__init__.py", "__main__.py", "py.typed"}


def test_every_tests_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert ROOT / "tests" in folders
    assert not {str(folder) for folder in folders if not (folder / "__init__.py").exists()}


def test_every_source_folder_but_http_and_conf_is_a_package() -> None:
    folders = {path.parent for name in LINKED for path in (ROOT / name).rglob("*.py")}
    bare = {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()}
    assert bare == {"http"}


def test_the_chart_ships_this_version() -> None:
    chart = yaml.safe_load((ROOT / "chart" / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == data_manager.__version__

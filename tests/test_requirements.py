"""What is installed is what is written down: exact versions of all that the product imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROMISED = (
    "aiohttp",
    "nats-py",
    "numpy",
    "pandas",
    "prometheus-client",
    "pymongo",
    "pymysql",
    "pyod",
    "scikit-learn",
    "tenacity",
    "thespian",
)


def requirements(name: str) -> dict[str, Requirement]:
    """The lines of a requirements file, by canonical name."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    assert len({canonicalize_name(one.name) for one in wanted}) == len(wanted), "a package is named twice"
    return {canonicalize_name(one.name): one for one in wanted}


RUN, DEV = requirements("requirements.txt"), requirements("requirements-dev.txt")


def imported() -> Iterator[str]:
    """The top-level names of other people's packages that the product imports, wherever in a module."""
    for folder in ("actors", "http", "storage", "system", "src/data_manager"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    yield from (alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", PROMISED)
def test_promised_package_is_required(package: str) -> None:
    assert package in RUN


@pytest.mark.parametrize("package", sorted(RUN))
def test_what_runs_is_pinned_to_one_version(package: str) -> None:
    pins = list(RUN[package].specifier)
    assert [pin.operator for pin in pins] == ["=="]
    assert "*" not in pins[0].version


@pytest.mark.parametrize("package", sorted(RUN))
def test_the_pinned_version_is_the_one_installed_here(package: str) -> None:
    marker = RUN[package].marker
    if marker and not marker.evaluate():
        pytest.skip(f"not wanted here: {marker}")
    assert RUN[package].specifier.contains(version(package), prereleases=True)


def held_by_the_pinned() -> set[str]:
    """What a pinned package itself requires in exactly one version, as pydantic does its core."""
    wanted = (Requirement(line) for package in RUN for line in requires(package) or ())
    return {canonicalize_name(one.name) for one in wanted if [pin.operator for pin in one.specifier] == ["=="]}


def test_the_version_of_all_that_the_product_imports_is_settled() -> None:
    homes = packages_distributions()
    foreign = set(imported()) - set(sys.stdlib_module_names) - {"data_manager"}
    assert {"nats", "aiohttp", "sqlalchemy"} <= foreign
    settled = set(RUN) | held_by_the_pinned()
    assert not {name for name in foreign if settled.isdisjoint(map(canonicalize_name, homes.get(name, ())))}


def test_no_package_is_asked_for_by_both_files() -> None:
    assert not set(RUN) & set(DEV)


def test_no_index_and_no_address_is_written_down() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert not [line for line in text.splitlines() if line.startswith("-")]

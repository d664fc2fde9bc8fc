"""Processes of which there is one per symbol stay small: what they import, every symbol pays for."""

import json
import pkgutil
import subprocess
import sys

import pytest

import data_manager.actors.ingest

HEAVY = ("numpy", "pandas", "sklearn", "pyod", "sqlalchemy", "aiohttp")
ANALYTICS_ONLY = ("pandas", "sklearn", "pyod", "scipy")
WORKERS = [f"data_manager.actors.{name}.worker" for name in ("analytics", "audit", "backfill", "exchange", "feed")]
START_ONLY = (
    "pydantic_settings",
    "yaml",
    "typer",
    "rich",
)  # main reads settings and flags; actors are handed them

INGEST = [
    f"data_manager.actors.ingest.{module.name}" for module in pkgutil.iter_modules(data_manager.actors.ingest.__path__)
]


def imported_by(module: str) -> set[str]:
    """The top-level packages in a fresh interpreter that imported `module`."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize("module", ["data_manager.actors.router", *INGEST])
def test_router_and_ingest_import_nothing_heavy(module: str):
    assert not imported_by(module) & set(HEAVY)


@pytest.mark.parametrize("module", ["data_manager.actors.http", "data_manager.http.app", *WORKERS])
def test_only_what_computes_analytics_imports_pandas_and_its_like(module: str):
    assert not imported_by(module) & set(ANALYTICS_ONLY)


def test_what_computes_imports_no_detector_before_something_is_to_be_detected():
    imported = imported_by("data_manager.actors.analytics.analysis")
    assert "scipy" in imported
    assert not imported & {"pandas", "sklearn", "pyod"}


def test_what_only_the_start_needs_is_not_in_what_every_actor_imports():
    imported = imported_by("data_manager.system.messages")
    assert "pydantic" in imported
    assert not imported & {*HEAVY, *START_ONLY}


@pytest.mark.parametrize("module", ["data_manager.storage.symbols", "data_manager.storage.symbols_file"])
def test_main_reads_the_list_of_symbols_without_what_no_actor_needs(module: str):
    assert not imported_by(module) & {*HEAVY, *START_ONLY}

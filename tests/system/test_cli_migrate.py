import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from data_manager.storage.catalog_tables import metadata
from data_manager.storage.migrating import REVISION, VERSION_TABLE
from data_manager.system.settings_sources import NAMES
from tests.servers.databases import free_port
from tests.storage.catalogs import driven
from tests.storage.migrated import engine_of
from tests.storage.original_schemas import V11, load


def migrate(*arguments: object, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run `data-manager migrate` with no settings of ours but `environ`."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [sys.executable, "-m", "data_manager", "migrate", *map(str, arguments)],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_says_what_it_changed_and_then_that_nothing_is_left_to_do(tmp_path: Path):
    place = f"sqlite file {tmp_path}/catalog.sqlite3"
    first, second = (migrate("--data-dir", tmp_path) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    *changes, last = first.stdout.splitlines()
    assert {f"CREATE TABLE {name}" for name in (*metadata.tables, VERSION_TABLE)} < set(changes)
    assert last == f"{place} now has schema {REVISION}"
    assert (second.returncode, second.stdout) == (0, f"{place} is up to date: schema {REVISION}\n")


def test_it_brings_the_originals_database_to_the_schema_and_reports_in_json(new_mysql: Callable[[], str]):
    url = new_mysql()
    with engine_of(driven(url)) as engine:
        load(engine, *V11)
    done = migrate("--json", MYSQL_URI=url)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["version"] == REVISION
    assert "ALTER TABLE backfill_jobs" in report["changes"]
    assert report["catalog"].startswith("mysql+pymysql://127.0.0.1:")
    assert "only" not in done.stdout  # the password
    assert json.loads(migrate("--json", MYSQL_URI=url).stdout)["changes"] == []


def test_a_server_that_is_away_ends_with_3_and_a_wrong_setting_with_2(tmp_path: Path):
    away = migrate(MYSQL_URI=f"mysql://user:geheim@127.0.0.1:{free_port()}/catalog")
    assert away.returncode == 3
    assert "cannot be reached" in away.stderr
    assert "geheim" not in away.stderr
    assert "Traceback" not in away.stderr
    assert migrate("--data-dir", tmp_path / "none").returncode == 3
    wrong = migrate("--set", "mysql_port=many")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "MYSQL_PORT" in wrong.stderr


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_newer_schema_ends_with_1(tmp_path: Path, arguments: tuple[str, ...]):
    migrate("--data-dir", tmp_path)
    with engine_of(f"sqlite:///{tmp_path}/catalog.sqlite3") as engine, engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    done = migrate(*arguments, "--data-dir", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "install the version that wrote it" in done.stderr

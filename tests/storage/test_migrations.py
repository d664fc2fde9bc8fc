"""Migrations on every database of the catalog; those from the original's schemas are in test_migrations_mysql.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, insert, inspect, select, text, update
from sqlalchemy.sql import column, table

from data_manager.storage import catalog_tables, migrating, migrations
from data_manager.storage.catalog_tables import metadata
from data_manager.storage.database import Database
from data_manager.storage.migrating import REVISION, VERSION_TABLE, is_current, migrate
from data_manager.system.errors import StoreCorrupt
from tests.storage.catalogs import CATALOGS, empty_database
from tests.storage.examples import T0
from tests.storage.migrated import at_once, changes, definitions, engine_of, killed_before, migrate_at, migrate_to

REVISIONS = int(REVISION)
VERSIONS = table(VERSION_TABLE, column("version_num"))

JOB = {
    "job_id": "a",
    "symbol": "BTCUSDT",
    "data_type": "candles",
    "start_time": T0,
    "end_time": T0 + 1,
    "status": "pending",
    "created_at": T0 + 2,
}


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    with engine_of(url) as engine:
        yield engine


def test_an_empty_database_gets_every_table_and_the_version(engine: Engine) -> None:
    done = migrate(engine)
    tables = {statement.split()[2] for statement in done if statement.startswith("CREATE TABLE")}
    assert tables == {*metadata.tables, VERSION_TABLE}
    assert set(inspect(engine).get_table_names()) == tables
    with engine.connect() as connection:
        assert connection.scalars(select(VERSIONS)).all() == [REVISION]


def test_what_it_leaves_is_what_the_code_uses(engine: Engine) -> None:
    """Alembic's own comparison: tables, columns, types, nullability, defaults and indexes, both ways."""
    migrate(engine)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_the_newest_revision_is_the_one_the_code_asks_for() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_heads() == [REVISION]


def test_the_second_time_nothing_is_changed(engine: Engine) -> None:
    migrate(engine)
    with changes(engine) as seen:
        assert migrate(engine) == []
    assert seen == []


def test_a_schema_is_current_once_it_was_migrated(engine: Engine) -> None:
    with engine.connect() as connection:
        assert not is_current(connection)
    migrate(engine)
    with engine.connect() as connection:
        assert is_current(connection)


def test_a_process_that_finds_the_present_schema_does_not_load_alembic(url: str) -> None:
    script = (
        "import sys\n"
        "from data_manager.storage.catalog import SqlCatalog\n"
        "from data_manager.system.clock import SystemClock\n"
        "catalog = SqlCatalog(sys.argv[1], clock=SystemClock())\n"
        "catalog.check()\n"
        "catalog.close()\n"
        "print('alembic' in sys.modules)\n"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script, url], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        for _ in range(2)
    ]
    assert printed == ["True\n", "False\n"]


def test_a_catalog_that_has_only_incidents_keeps_them(engine: Engine) -> None:
    """As the first versions of this program made it."""
    catalog_tables.incidents.create(engine)
    row = {"incident_id": "a", "kind": "k", "subject": "s", "cause": "c", "detail": "币安", "started_at": T0 + 1}
    with engine.begin() as connection:
        connection.execute(insert(catalog_tables.incidents).values(row))
    migrate(engine)
    with engine.connect() as connection:
        (kept,) = connection.execute(select(catalog_tables.incidents)).mappings()
    assert kept == {**row, "ended_at": None}
    assert set(metadata.tables) < set(inspect(engine).get_table_names())


def test_jobs_of_the_first_schema_are_kept_and_have_no_reason_and_no_checkpoint(engine: Engine) -> None:
    migrate_to(engine, "0001")
    first = {column["name"] for column in inspect(engine).get_columns("backfill_jobs")}
    with engine.begin() as connection:
        connection.execute(insert(catalog_tables.backfill_jobs).values(JOB))
    with changes(engine) as seen:
        migrate_to(engine, "0002")
    assert len(seen) > 1
    assert all("backfill_jobs" in statement for statement in seen[:-1])
    migrate(engine)
    assert {column["name"] for column in inspect(engine).get_columns("backfill_jobs")} - first == {
        "reason",
        "checkpoint",
    }
    with engine.connect() as connection:
        (kept,) = connection.execute(select(catalog_tables.backfill_jobs)).mappings()
        assert connection.scalars(select(VERSIONS)).all() == [REVISION]
    assert {name: value for name, value in kept.items() if value is not None} == {**JOB, "priority": 5}


def test_the_first_schema_ends_as_an_empty_database_does(url: str, engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        wanted = definitions(connection)
        for name in wanted:
            connection.execute(text(f"DROP TABLE {name}"))
    migrate_to(engine, "0001")
    migrate(engine)
    with engine.connect() as connection:
        assert definitions(connection) == wanted


@pytest.mark.parametrize("already", [
    "ALTER TABLE backfill_jobs ADD COLUMN reason VARCHAR(20)",
    "CREATE INDEX idx_backfill_jobs_created_at ON backfill_jobs (created_at)",
])  # fmt: skip
def test_what_is_there_already_is_not_added_again(engine: Engine, already: str) -> None:
    migrate_to(engine, "0001")
    with engine.begin() as connection:
        connection.execute(text(already))
    migrate(engine)
    inspector = inspect(engine)
    columns = [column["name"] for column in inspector.get_columns("backfill_jobs")]
    indexes = [index["name"] for index in inspector.get_indexes("backfill_jobs")]
    assert (columns.count("reason"), columns.count("checkpoint")) == (1, 1)
    assert indexes.count("idx_backfill_jobs_created_at") == 1


def test_several_processes_at_once_migrate_once_and_all_go_on(url: str, engine: Engine) -> None:
    done = sorted(at_once(lambda: migrate_at(url), processes=3), key=len)
    assert done[:2] == [[], []]
    assert len(done[2]) > len(metadata.tables)
    with engine.connect() as connection:
        assert is_current(connection)


def test_a_schema_from_a_newer_version_is_told_and_left_alone(url: str, engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(update(VERSIONS).values(version_num="9999"))
        connection.execute(text("DROP TABLE data_manager_leases"))
        before = definitions(connection)
    database = Database(url)
    with pytest.raises(StoreCorrupt, match=f"version 9999, and this program knows up to {REVISION}: install"):
        database.maintain(migrate)
    database.close()
    with engine.connect() as connection:
        assert definitions(connection) == before
        assert connection.scalars(select(VERSIONS)).all() == ["9999"]


def test_sqlite_migrates_wholly_or_not_at_all(tmp_path: Path) -> None:
    count = len(migrate_at(f"sqlite:///{tmp_path}/whole.sqlite3")) + REVISIONS  # and the version's row
    for number in range(1, count + 1):
        url = f"sqlite:///{tmp_path}/{number}.sqlite3"
        assert killed_before(url, number) == -9
        with engine_of(url) as engine, engine.connect() as connection:
            assert inspect(connection).get_table_names() == []
    assert killed_before(url, count + 1) == 0
    with engine_of(url) as engine, engine_of(f"sqlite:///{tmp_path}/whole.sqlite3") as other:
        with engine.connect() as left, other.connect() as right:
            assert definitions(left) == definitions(right)
        assert migrate(engine) == []


def test_revisions_import_nothing_that_may_change() -> None:
    for revision in (Path(migrations.__file__).parent / "versions").glob("v*.py"):
        ours = [line for line in revision.read_text().splitlines() if "import" in line and "data_manager" in line]
        assert all(line.startswith("from data_manager.storage.migrations.") for line in ours)
    assert migrating.REVISION in {path.name[1:5] for path in revision.parent.glob("v*.py")}

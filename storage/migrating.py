"""Bringing the catalog's database to the schema of storage/catalog_tables.py, whatever version left it."""

from __future__ import annotations

import logging

from sqlalchemy import Connection, Engine, column, event, func, inspect, select, table

from data_manager.system.errors import StoreCorrupt, StoreUnavailable

REVISION = "0003"  # the newest of storage/migrations/versions: what this code reads and writes
VERSION_TABLE = "data_manager_schema_version"
LOCK_WAIT_S = 30
LOCK_NAME_LENGTH = 64  # the longest that MySQL takes
ZERO_DATES_REFUSED = ("NO_ZERO_DATE", "NO_ZERO_IN_DATE", "TRADITIONAL")  # the last implies the others


def is_current(connection: Connection) -> bool:
    """Whether the database has the present schema; cheap, and without Alembic."""
    return revision_of(connection) == REVISION


def migrate(engine: Engine) -> list[str]:
    """Bring the database to the present schema; return what changed it, e.g. `ALTER TABLE datasets`.

    One process at a time: others wait, up to LOCK_WAIT_S in MySQL and the connection's own time-out in SQLite, then
    find nothing to do. In SQLite all happens or nothing; in MySQL the next call finishes what this one could not.
    Tables that are not the catalog's are left alone. Raises StoreCorrupt for a schema that is newer than this
    version, StoreUnavailable when the wait is over, and SQLAlchemy's errors.
    """
    with engine.connect() as connection:
        connection.detach()  # closing it for good ends the lock and the session's settings
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            _lock(connection, engine)
            _allow_zero_dates(connection)
        done: list[str] = []
        event.listen(connection, "before_cursor_execute", lambda *arguments: _note(done, arguments[2]))
        _upgrade(connection, engine)
        connection.commit()
    return done


def revision_of(connection: Connection) -> str | None:
    """The schema that the database has; None where it has none of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))


def _lock(connection: Connection, engine: Engine) -> None:
    """Keep all others from migrating this database until the connection is closed."""
    name = func.left(func.concat("data_manager:", func.database()), LOCK_NAME_LENGTH)
    if connection.scalar(select(func.get_lock(name, LOCK_WAIT_S))) != 1:
        raise StoreUnavailable(
            f"another process has been changing the schema of {engine.url.database} for {LOCK_WAIT_S} s: wait for it "
            "to end; SHOW PROCESSLIST on the server shows what it does"
        )


def _allow_zero_dates(connection: Connection) -> None:
    """The original has left such dates, and ALTER TABLE fails on their rows where the server refuses them."""
    modes = str(connection.exec_driver_sql("SELECT @@sql_mode").scalar()).split(",")
    kept = ",".join(mode for mode in modes if mode not in ZERO_DATES_REFUSED)
    connection.exec_driver_sql(f"SET SESSION sql_mode = '{kept}'")


def _upgrade(connection: Connection, engine: Engine) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)  # else it tells of its parts, line by line
    from alembic.command import upgrade
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
    config.set_main_option("script_location", "data_manager.storage:migrations")
    found = revision_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreCorrupt(
            f"the catalog {engine.url.database} has schema version {found}, and this program knows up to {REVISION}: "
            "install the version that wrote it, or name another database"
        )
    upgrade(config, "head")


def _note(done: list[str], statement: str) -> None:
    words = statement.split(maxsplit=3)
    if words[0] in ("CREATE", "ALTER", "DROP"):
        done.append(" ".join(words[:3]))

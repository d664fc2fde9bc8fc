"""Watching and interrupting migrations, and comparing what they leave."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from alembic.command import upgrade
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.pool import NullPool

from data_manager.storage.catalog_tables import metadata
from data_manager.storage.database import Database
from data_manager.storage.migrating import VERSION_TABLE, migrate

FORK = multiprocessing.get_context("fork")
CHANGING = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")

Definitions = dict[str, list[str]]


@contextmanager
def engine_of(url: str, **options: Any) -> Iterator[Engine]:
    engine = create_engine(url, **{"poolclass": NullPool, **options})
    try:
        yield engine
    finally:
        engine.dispose()


def migrate_at(url: str) -> list[str]:
    """As the service does."""
    database = Database(url)
    try:
        return database.maintain(migrate)
    finally:
        database.close()


def migrate_to(engine: Engine, revision: str) -> None:
    """As the version of this program whose newest revision it was."""
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection, "version_table": VERSION_TABLE})
        config.set_main_option("script_location", "data_manager.storage:migrations")
        upgrade(config, revision)


@contextmanager
def changes(engine: Engine) -> Iterator[list[str]]:
    """Every statement meanwhile that changes rows or tables."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].split()[0] in CHANGING:
            seen.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def killed_before(url: str, number: int) -> int | None:
    """Migrate in a process that kills itself before its change of that number, counted from 1; its exit code."""
    process = FORK.Process(target=_die_before, args=(url, number))
    process.start()
    process.join(60)
    return process.exitcode


def _die_before(url: str, number: int) -> None:
    with engine_of(url) as engine, changes(engine) as seen:

        def kill(*_: Any) -> None:
            if len(seen) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(engine, "before_cursor_execute", kill)
        migrate(engine)


def at_once(work: Callable[[], list[str]], processes: int = 2) -> list[list[str]]:
    """What `work` returns in each of several processes that begin it together."""
    barrier, results = FORK.Barrier(processes), FORK.SimpleQueue()

    def run() -> None:
        barrier.wait(30)
        results.put(work())

    running = [FORK.Process(target=run) for _ in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * processes
    return [results.get() for _ in running]


def definitions(connection: Connection) -> Definitions:
    """How each of the catalog's tables is defined, in an order that does not depend on how it came to be."""
    names = [name for name in inspect(connection).get_table_names() if name in metadata.tables or name == VERSION_TABLE]
    return {name: sorted(_definition(connection, name)) for name in names}


def _definition(connection: Connection, name: str) -> list[str]:
    if connection.dialect.name == "sqlite":
        query = f"SELECT sql FROM sqlite_schema WHERE tbl_name = '{name}' AND sql IS NOT NULL"
        return [str(sql) for sql in connection.exec_driver_sql(query).scalars()]
    shown = connection.exec_driver_sql(f"SHOW CREATE TABLE {name}").one()[1]
    return [line.strip(" ,") for line in str(shown).splitlines()]

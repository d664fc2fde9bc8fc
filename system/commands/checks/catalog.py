"""The catalog: its schema, its tables, and what this user may do with them. Nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, text

from data_manager.storage.choice import MYSQL, catalog_backend, catalog_url, described
from data_manager.storage.database import Database
from data_manager.storage.migrating import REVISION, VERSION_TABLE, revision_of
from data_manager.system.commands.checks.check import Check, away, by_sentence, fail, ok, warn
from data_manager.system.errors import StoreError, StoreUnavailable
from data_manager.system.settings import Settings

NAME = "catalog"
TO_MIGRATE = ("ALTER", "CREATE", "DELETE", "INDEX", "INSERT", "SELECT", "UPDATE")
GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\S+) TO ", re.IGNORECASE)
TABLES = (
    "SELECT table_name, engine, table_collation FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name LIKE 'data\\_manager\\_%' AND table_name <> :version"
)


class Table(NamedTuple):
    """One of our own tables in MySQL."""

    name: str
    engine: str
    collation: str


class MySql(NamedTuple):
    """What a MySQL or MariaDB server tells."""

    version: str
    database: str
    tables: list[Table]
    grants: list[str]


def catalog(settings: Settings) -> list[Check]:
    """All checks of the catalog that the settings choose."""
    place, mysql = described(settings)["catalog"], catalog_backend(settings) == MYSQL
    if not mysql and not settings.catalog_file.exists():
        return [ok(NAME, f"{place} is not there yet and will be made.")]
    database = Database(catalog_url(settings), timeout_s=settings.store_timeout_s, read_only=True)
    try:
        checks = [schema(place, database.run(revision_of))]
        return [*checks, *server(database.run(told))] if mysql else checks
    except StoreUnavailable as error:
        fix = "start it, or check MYSQL_URI; without any the catalog is a SQLite file"
        return [away(NAME, f"{error}.", fix)]
    except StoreError as error:
        return [by_sentence(NAME, str(error))]
    finally:
        database.close()


def schema(place: str, revision: str | None) -> Check:
    """Whether the schema is the present one; the service brings an older one up to date at its start."""
    if revision is None:
        return ok(NAME, f"{place} is empty: its tables are made at the first start.")
    if revision == REVISION:
        return ok(NAME, f"{place} has schema {revision}, the present one.")
    if revision > REVISION:
        fix = "install the version that wrote it, or name another database"
        return fail(NAME, f"{place} has schema {revision}, and this version knows up to {REVISION}.", fix)
    return warn(NAME, f"{place} has schema {revision}, the present one is {REVISION}.", "data-manager migrate")


def told(connection: Connection) -> MySql:
    """What the server tells of itself, of our tables and of this user."""
    version, database = connection.execute(text("SELECT VERSION(), DATABASE()")).one()
    tables = [Table(*row) for row in connection.execute(text(TABLES), {"version": VERSION_TABLE})]
    grants = [str(row[0]) for row in connection.execute(text("SHOW GRANTS FOR CURRENT_USER()"))]
    return MySql(str(version), str(database), tables, grants)


def server(facts: MySql) -> list[Check]:
    """The server's tables and grants, judged."""
    return [tables(facts), privileges(facts)]


def tables(facts: MySql) -> Check:
    """Whether our tables can be changed in transactions, and hold every text."""
    says = f"Server {facts.version}, {len(facts.tables)} tables of ours"
    other = [table.name for table in facts.tables if table.engine.lower() != "innodb"]
    if other:
        fix = "; ".join(f"ALTER TABLE {name} ENGINE=InnoDB" for name in other)
        return fail("tables", f"{says}; {', '.join(other)}: not InnoDB, and so without transactions.", fix)
    narrow = [table.name for table in facts.tables if not table.collation.startswith("utf8mb4")]
    if narrow:
        fix = "; ".join(f"ALTER TABLE {name} CONVERT TO CHARACTER SET utf8mb4" for name in narrow)
        return warn("tables", f"{says}; {', '.join(narrow)}: not in utf8mb4, so some texts are refused.", fix)
    return ok("tables", f"{says}, all InnoDB and utf8mb4.")


def privileges(facts: MySql) -> Check:
    """Whether this user may bring the schema up to date."""
    missing = sorted(set(TO_MIGRATE) - granted(facts.grants, facts.database))
    if not missing:
        return ok("privileges", "This user may read and write, and bring the schema up to date.")
    account = "the user of MYSQL_URI"
    fix = f"GRANT {', '.join(missing)} ON `{facts.database}`.* TO that user, or `data-manager migrate` as another one"
    return warn("privileges", f"{account[:1].upper()}{account[1:]} lacks {', '.join(missing)}.", fix)


def granted(grants: Iterable[str], database: str) -> set[str]:
    """Which of TO_MIGRATE the grants give on a database; a grant on a role or on a single table gives none."""
    given: set[str] = set()
    for line in grants:
        found = GRANT.match(line)
        if found and covers(found["where"].replace("`", "").replace("\\", ""), database):
            words = {word.strip().upper() for word in found["what"].split(",")}
            given |= set(TO_MIGRATE) if "ALL PRIVILEGES" in words else words & set(TO_MIGRATE)
    return given


def covers(where: str, database: str) -> bool:
    """Whether a grant is on everything, or on all of the database, whose name may hold `%` for anything."""
    pattern, _, table = where.rpartition(".")
    if table != "*":
        return False
    return pattern == "*" or re.fullmatch(re.escape(pattern).replace("%", ".*"), database) is not None

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import catalog_url
from data_manager.system.clock import SystemClock
from data_manager.system.commands.checks.catalog import MySql, Table, catalog, granted, privileges, schema, tables
from data_manager.system.commands.checks.check import Check, Verdict
from data_manager.system.settings import Settings
from tests.servers.databases import free_port


def found(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in catalog(settings)}


def make(settings: Settings) -> None:
    made = SqlCatalog(catalog_url(settings), clock=SystemClock())
    made.check()
    made.close()


def test_a_file_that_is_not_there_is_good_and_not_made(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    assert found(settings)["catalog"].verdict is Verdict.OK
    assert list(tmp_path.iterdir()) == []


def test_the_present_schema_is_good_a_newer_one_a_failure_an_older_one_a_command(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    make(settings)
    assert "the present one" in found(settings)["catalog"].found
    for revision, verdict, fix in (
        ("9999", Verdict.FAIL, "install the version"),
        ("0001", Verdict.WARN, "data-manager migrate"),
    ):
        with sqlite3.connect(settings.catalog_file) as connection:
            connection.execute("UPDATE data_manager_schema_version SET version_num = ?", (revision,))
        check = found(settings)["catalog"]
        assert check.verdict is verdict
        assert fix in check.fix
    assert schema("x", None).verdict is Verdict.OK


def test_a_damaged_file_is_a_failure_that_names_it_and_is_not_touched(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    settings.catalog_file.write_bytes(b"this is no database" * 1000)
    check = found(settings)["catalog"]
    assert (check.verdict, check.away) == (Verdict.FAIL, False)
    assert str(settings.catalog_file) in check.found
    assert settings.catalog_file.read_bytes() == b"this is no database" * 1000


# -- MySQL and MariaDB --------------------------------------------------------------------------------------


def test_a_server_tells_schema_tables_and_privileges(new_mysql: Callable[[], str]):
    settings = Settings(mysql_uri=new_mysql())
    assert "is empty" in found(settings)["catalog"].found
    make(settings)
    checks = found(settings)
    assert {name: check.verdict for name, check in checks.items()} == dict.fromkeys(
        ("catalog", "tables", "privileges"), Verdict.OK
    )
    assert "all InnoDB and utf8mb4" in checks["tables"].found
    assert " 0 tables" not in checks["tables"].found


def test_a_server_that_is_away_is_unreachable():
    settings = Settings(mysql_uri=f"mysql://me:hunter2@127.0.0.1:{free_port()}/x", store_timeout_s=0.5)
    check = found(settings)["catalog"]
    assert (check.verdict, check.away) == (Verdict.FAIL, True)
    assert "hunter2" not in str(check)


def facts(*grants: str, engine: str = "InnoDB", collation: str = "utf8mb4_bin") -> MySql:
    return MySql("10.11", "mine", [Table("data_manager_x", engine, collation)], list(grants))


def test_tables_without_transactions_or_of_a_narrow_character_set_are_named_with_the_statement():
    assert tables(facts()).verdict is Verdict.OK
    other = tables(facts(engine="MyISAM"))
    assert (other.verdict, other.fix) == (Verdict.FAIL, "ALTER TABLE data_manager_x ENGINE=InnoDB")
    narrow = tables(facts(collation="latin1_swedish_ci"))
    assert (narrow.verdict, "CONVERT TO CHARACTER SET utf8mb4" in narrow.fix) == (Verdict.WARN, True)


@pytest.mark.parametrize(
    "grant",
    [
        "GRANT ALL PRIVILEGES ON *.* TO `me`@`%` WITH GRANT OPTION",
        "GRANT ALL PRIVILEGES ON `mine`.* TO `me`@`%`",
        r"GRANT ALL PRIVILEGES ON `m%`.* TO `me`@`%`",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX ON `mine`.* TO `me`@`%`",
    ],
)
def test_whoever_may_do_all_of_it_may_migrate(grant: str):
    assert privileges(facts("GRANT USAGE ON *.* TO `me`@`%`", grant)).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("grants", "missing"),
    [
        (["GRANT SELECT, INSERT, UPDATE, DELETE ON `mine`.* TO `me`@`%`"], "ALTER, CREATE, INDEX"),
        (
            ["GRANT ALL PRIVILEGES ON `other`.* TO `me`@`%`", "GRANT ALL PRIVILEGES ON `mine`.`t` TO `me`@`%`"],
            "ALTER, CREATE, DELETE, INDEX, INSERT, SELECT, UPDATE",
        ),
        (["GRANT `role` TO `me`@`%`"], "ALTER, CREATE, DELETE, INDEX, INSERT, SELECT, UPDATE"),
    ],
)
def test_what_is_missing_is_named_with_the_statement(grants: list[str], missing: str):
    check = privileges(facts(*grants))
    assert check.verdict is Verdict.WARN
    assert check.fix.startswith(f"GRANT {missing} ON `mine`.*")


def test_grants_add_up():
    assert granted(["GRANT SELECT ON *.* TO x", "GRANT INSERT ON `a\\_b`.* TO x"], "a_b") == {"SELECT", "INSERT"}

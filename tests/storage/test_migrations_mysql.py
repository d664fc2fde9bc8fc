"""From the schemas of the original's versions, with rows, in a database that others use too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, insert, make_url, select, text
from sqlalchemy.pool import QueuePool

from data_manager.storage import migrating
from data_manager.storage.catalog_tables import (
    COLLATION,
    audit_logs,
    backfill_jobs,
    datasets,
    health_metrics,
    lineage_records,
    metadata,
    symbols,
)
from data_manager.storage.database import Database
from data_manager.storage.migrating import REVISION, VERSION_TABLE, migrate
from data_manager.system.errors import StoreUnavailable
from tests.storage.catalogs import driven
from tests.storage.examples import T0
from tests.storage.migrated import at_once, definitions, engine_of, killed_before, migrate_at
from tests.storage.original_schemas import HEAD, V11, load

ORIGINALS = (datasets, audit_logs, health_metrics, backfill_jobs, lineage_records)
ADDED = (
    "health_metrics.timeframe",
    "health_metrics.consistency_score",
    "backfill_jobs.priority",
    "backfill_jobs.reason",
    "backfill_jobs.checkpoint",
)
OTHERS = ("schemas", "klines_h1", "klines_m5", "klines_1h", "data_manager_of_somebody_else")
ZERO = "0000-00-00 00:00:00"

Rows = list[tuple[Any, ...]]


@pytest.fixture
def new_engine(new_mysql: Callable[[], str]) -> Iterator[Callable[..., Engine]]:
    """Engines on new databases that hold the schemas of those names."""
    with ExitStack() as stack:

        def new(*names: str, **options: Any) -> Engine:
            engine = stack.enter_context(engine_of(driven(new_mysql()), **options))
            load(engine, *names)
            return engine

        yield new


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def kept(connection: Connection) -> dict[str, Rows]:
    """Every value of the original's columns, as text without a fraction."""
    found: dict[str, Rows] = {}
    for table in ORIGINALS:
        names = [column.name for column in table.columns if str(column) not in ADDED]
        columns = ", ".join(f"TRIM(TRAILING '.000000' FROM CAST({name} AS CHAR))" for name in names)
        rows = connection.exec_driver_sql(f"SELECT {columns} FROM {table} ORDER BY 1")
        found[table.name] = [tuple(row) for row in rows]
    return found


def others(connection: Connection) -> list[Rows]:
    """All that can be seen of the tables that are not the catalog's."""
    statements = [f"{what} TABLE `{name}`" for name in OTHERS for what in ("SHOW CREATE", "CHECKSUM")]
    return [[tuple(row)[1:] for row in connection.exec_driver_sql(statement)] for statement in statements]


@pytest.mark.parametrize("names", [V11, HEAD], ids=["V11", "HEAD"])
@pytest.mark.parametrize("mode", ["", "TRADITIONAL,ANSI_QUOTES"], ids=["lenient", "strict"])
def test_every_row_of_the_original_is_kept(
    new_engine: Callable[..., Engine], names: tuple[str, ...], mode: str
) -> None:
    """Also where the server refuses the zero dates that are in some of them."""
    engine = new_engine(*names, connect_args={"init_command": f"SET SESSION sql_mode = '{mode}'"})
    with engine.connect() as connection:
        before = kept(connection)
    migrate(engine)
    with engine.connect() as connection:
        assert kept(connection) == before
    assert [len(rows) for rows in before.values()] == [1, 1, 2, 3, 1]
    assert before["datasets"][0][2] == "Größe: 100 °"
    assert before["backfill_jobs"][1][4] == ZERO


@pytest.mark.parametrize("names", [V11, HEAD], ids=["V11", "HEAD"])
def test_the_original_ends_as_an_empty_database_does(new_engine: Callable[..., Engine], names: tuple[str, ...]) -> None:
    empty, original = new_engine(), new_engine(*names)
    migrate(empty)
    migrate(original)
    with empty.connect() as made, original.connect() as changed:
        assert definitions(changed) == definitions(made)


def test_text_is_utf8mb4_compared_by_code_point_and_times_have_microseconds(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(*HEAD)
    migrate(engine)
    query = text(
        "SELECT collation_name, IF(data_type = 'datetime', column_type, NULL) FROM information_schema.columns"
        " WHERE table_schema = DATABASE() AND table_name IN :tables"
    )
    with engine.connect() as connection:
        found = set(map(tuple, connection.execute(query, {"tables": tuple(metadata.tables)})))
        engines = text("SELECT DISTINCT engine FROM information_schema.tables WHERE table_name IN :tables")
        assert connection.scalars(engines, {"tables": tuple(metadata.tables)}).all() == ["InnoDB"]
    assert found == {(COLLATION, None), (None, "datetime(6)"), (None, None)}


def test_blank_jobs_are_read_without_invented_times_and_old_jobs_have_the_usual_priority(
    new_engine: Callable[..., Engine],
) -> None:
    engine = new_engine(*HEAD)
    migrate(engine)
    jobs = backfill_jobs.c
    query = select(jobs.symbol, jobs.start_time, jobs.created_at, jobs.priority).order_by(jobs.job_id)
    with engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(query)] == [
            ("BTCUSDT", 1_759_276_800_000, 1_760_961_600_000, 5),
            ("", None, 1_760_963_400_000, 5),
            ("", None, None, 5),
        ]


def test_the_original_goes_on_writing_afterwards(new_engine: Callable[..., Engine]) -> None:
    """It runs beside us while we are rolled out."""
    engine = new_engine(*HEAD)
    migrate(engine)
    job = "INSERT IGNORE INTO backfill_jobs (job_id, status, progress, created_at) VALUES ('b', 'pending', 0, NOW())"
    score = "INSERT IGNORE INTO health_metrics (metric_id, dataset_id, symbol, timestamp) VALUES ('b', 'd', 's', NOW())"
    with engine.begin() as connection:
        assert connection.exec_driver_sql(job).rowcount == 1
        assert connection.exec_driver_sql(score).rowcount == 1
        assert connection.scalar(select(backfill_jobs.c.priority).where(backfill_jobs.c.job_id == "b")) == 5


def test_tables_of_others_are_not_touched(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(*HEAD)
    with engine.connect() as connection:
        before = others(connection)
    migrate(engine)
    with engine.connect() as connection:
        assert others(connection) == before


def test_killed_before_any_of_its_changes_the_next_start_finishes(new_engine: Callable[..., Engine]) -> None:
    whole = new_engine(*HEAD)
    count = len(migrate(whole)) + int(REVISION)  # and the version's row
    with whole.connect() as connection:
        wanted, rows, foreign = definitions(connection), kept(connection), others(connection)
    for number in range(1, count + 1):
        engine = new_engine(*HEAD)
        assert killed_before(url_of(engine), number) == -9
        migrate(engine)
        with engine.connect() as connection:
            assert (definitions(connection), kept(connection), others(connection)) == (wanted, rows, foreign)
        assert migrate(engine) == []
    assert killed_before(url_of(new_engine(*HEAD)), count + 1) == 0


def test_several_processes_at_once_change_the_originals_tables_once(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(*V11)
    done = sorted(at_once(lambda: migrate_at(url_of(engine))), key=len)
    assert done[0] == []
    assert [statement for statement in done[1] if statement.startswith("ALTER")] == [
        *(f"ALTER TABLE {table}" for table in ORIGINALS),
        "ALTER TABLE backfill_jobs",
    ]


def test_the_wait_for_another_process_ends_with_a_sentence(
    new_engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "LOCK_WAIT_S", 0)
    engine, elsewhere = new_engine(), new_engine()
    name = f"data_manager:{make_url(url_of(engine)).database}"
    with elsewhere.connect() as other:
        assert other.scalar(select(func.get_lock(name, 0))) == 1
        with pytest.raises(StoreUnavailable, match="another process has been changing the schema of"):
            migrate(engine)
        assert migrate(elsewhere)  # another database, another lock
    assert migrate(engine)


def test_a_pool_gets_back_neither_the_lock_nor_the_lenient_session(new_engine: Callable[..., Engine]) -> None:
    mode = "STRICT_TRANS_TABLES,NO_ZERO_DATE"
    pooled = new_engine(poolclass=QueuePool, connect_args={"init_command": f"SET SESSION sql_mode = '{mode}'"})
    migrate(pooled)
    with pooled.connect() as connection:
        assert connection.scalar(text("SELECT @@sql_mode")) == mode
    name = f"data_manager:{pooled.url.database}"
    with new_engine().connect() as other:
        assert other.scalar(select(func.get_lock(name, 5))) == 1


def test_an_account_that_may_not_change_tables_is_told_what_it_lacks(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(*V11)
    name = engine.url.database
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'geheim'")
        connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO reader@'127.0.0.1'")
    url = engine.url.set(username="reader", password="geheim").render_as_string(hide_password=False)
    try:
        for missing in ("CREATE", "ALTER", "INDEX"):
            with pytest.raises(StoreUnavailable, match=f"{missing} command denied .* grant") as refused:
                migrate_at(url)
            assert "geheim" not in str(refused.value)
            with engine.begin() as connection:
                connection.exec_driver_sql(f"GRANT {missing} ON {name}.* TO reader@'127.0.0.1'")
        assert migrate_at(url)
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP USER reader@'127.0.0.1'")


def test_a_statement_that_waits_for_a_reader_gives_up_and_the_next_start_finishes(
    new_engine: Callable[..., Engine],
) -> None:
    engine = new_engine(*V11)
    database = Database(url_of(engine), timeout_s=1)
    with engine.connect() as reader:
        reader.execute(select(func.count()).select_from(text("datasets")))  # its transaction keeps the table as it is
        with pytest.raises(StoreUnavailable, match="SHOW PROCESSLIST"):
            database.maintain(migrate)
    assert database.maintain(migrate)
    database.close()
    with engine.connect() as connection:
        assert VERSION_TABLE in definitions(connection)


def test_case_and_accents_make_different_keys(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(*V11)
    migrate(engine)
    names = ["BTCUSDT", "BTCÜSDT", "btcusdt", "币安人生USDT"]
    with engine.begin() as connection:
        connection.execute(insert(symbols), [{"symbol": name, "status": "active", "added_at": T0} for name in names])
        assert connection.scalars(select(symbols.c.symbol).order_by(symbols.c.symbol)).all() == names

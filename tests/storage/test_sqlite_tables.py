"""The generated tables: every record type has one, and rows come back as records whatever they hold."""

from __future__ import annotations

import sqlite3
from typing import get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.records import MARKET_RECORDS, Levels, Record, Trade
from data_manager.storage.sqlite.tables import COLUMN_TYPES, TABLES, Table, schema
from tests.storage.examples import trade

integers = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = {
    int: integers,
    int | None: st.none() | integers,
    str: text,
    str | None: st.none() | text,
    bool: st.booleans(),
    bytes: st.binary(),
    Levels: st.lists(st.tuples(text, text), max_size=4).map(tuple),
}


@pytest.fixture
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in schema():
        connection.execute(statement)
    return connection


def any_of(record: type[Record]) -> st.SearchStrategy[Record]:
    hints = get_type_hints(record)
    return st.builds(record, *(VALUES[hints[field]] for field in record.__struct_fields__))


@pytest.mark.parametrize("record", MARKET_RECORDS)
def test_any_record_comes_back_equal(record: type[Record]) -> None:
    connection = sqlite3.connect(":memory:")
    table = TABLES[record]
    for statement in table.ddl():
        connection.execute(statement)

    @given(any_of(record))
    @settings(derandomize=True, deadline=None, max_examples=50)
    def check(value: Record) -> None:
        connection.execute(table.replace, table.row(value))
        (row,) = connection.execute(table.select_by_key, table.key_of(value)).fetchall()
        back = table.record_of(row)
        assert back == value
        assert list(map(type, msgspec.structs.astuple(back))) == list(map(type, msgspec.structs.astuple(value)))
        assert [tuple(each) for each in table.rows([value])] == [table.row(value)]

    check()
    connection.close()


@pytest.mark.parametrize("record", MARKET_RECORDS)
def test_columns_are_the_fields_in_order(database: sqlite3.Connection, record: type[Record]) -> None:
    hints = get_type_hints(record)
    columns = database.execute(f"PRAGMA table_info({record.dataset})").fetchall()
    assert [column[1] for column in columns] == list(record.__struct_fields__)
    assert [bool(column[3]) for column in columns] == ["NOT NULL" in COLUMN_TYPES[hints[c[1]]] for c in columns]
    database.close()


@pytest.mark.parametrize("record", MARKET_RECORDS)
def test_the_natural_key_is_unique(database: sqlite3.Connection, record: type[Record]) -> None:
    indexes = database.execute(f"PRAGMA index_list({record.dataset})").fetchall()
    unique = [
        tuple(column[2] for column in database.execute(f"PRAGMA index_info({index[1]})"))
        for index in indexes
        if index[2]
    ]
    assert unique == [record.key]
    assert len(indexes) <= 2  # each further one would cost every insert
    database.close()


def test_a_field_of_a_type_without_a_column_is_noticed_at_once() -> None:
    class Odd(Record, frozen=True):
        dataset = "odd"
        time_field = "time_ms"
        key = ("time_ms",)

        time_ms: int
        price: float

    with pytest.raises(KeyError):
        Table(Odd).ddl()


def test_many_rows_go_in_by_one_statement(database: sqlite3.Connection) -> None:
    table = TABLES[Trade]
    rows = [trade(number) for number in range(7)]
    values = [value for row in table.rows(rows) for value in row]
    database.execute(table.insert_many(len(rows)), values)
    assert [table.record_of(row) for row in database.execute(table.select)] == rows
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        database.execute(table.insert_many(len(rows)), values)

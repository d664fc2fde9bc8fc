"""Schemas: complete, and true to what readers find."""

from __future__ import annotations

import re

import pytest
from bson.datetime_ms import DatetimeMS

from data_manager.storage.computed import METRICS
from data_manager.storage.mongo.documents import DOCUMENTS
from data_manager.storage.records import ALL_SYMBOLS, Analytics, Candle, Depth, Record, Trade, all_series_of, series_of
from data_manager.storage.schemas import BY_ID, DESCRIPTIONS, DOCUMENT_SCHEMAS, SCHEMAS, Field, Schema, schema_for
from tests.storage.examples import BTC, ONE_OF_EACH, document

EXAMPLES = {type(record): record for record in ONE_OF_EACH}
TYPES = {
    "string": str,
    "decimal": str,
    "integer": int,
    "boolean": bool,
    "date": DatetimeMS,
    "array": list,
    "object": dict,
}


def field_of(record: type[Record], name: str) -> Field:
    return next(field for field in SCHEMAS[record].fields if field.name == name)


def test_every_series_has_a_schema() -> None:
    assert {series.record for series in series_of(BTC)} == SCHEMAS.keys()
    every = [schema_for(series) for symbol in (BTC, ALL_SYMBOLS) for series in all_series_of(symbol)]
    assert {schema.schema_id for schema in every} == BY_ID.keys()


def test_the_ids_that_others_know_stay() -> None:
    known = {f"{name}_schema_v1" for name in ("candle", "trade", "funding", "depth", "ticker")}
    assert known <= BY_ID.keys()
    assert len(BY_ID) == len(SCHEMAS) + len(DOCUMENT_SCHEMAS)


@pytest.mark.parametrize("record", SCHEMAS, ids=lambda record: record.dataset)
def test_the_fields_are_those_of_a_stored_document(record: type[Record]) -> None:
    document = DOCUMENTS[record].document(BTC, EXAMPLES[record])
    assert {field.name for field in SCHEMAS[record].fields} == document.keys() - {"_id"}
    for field in SCHEMAS[record].fields:
        value = document[field.name]
        assert field.nullable if value is None else isinstance(value, TYPES[field.type]), field
        if field.type == "decimal" and value is not None:
            assert re.fullmatch(r"-?[0-9.]+(e[0-9]+)?", value), field


@pytest.mark.parametrize("category", DOCUMENT_SCHEMAS)
def test_the_fields_of_documents_are_those_of_a_stored_one(category: str) -> None:
    schema = DOCUMENT_SCHEMAS[category]
    symbol = next(each for each in (BTC, ALL_SYMBOLS) if category in {row.category for row in all_series_of(each)})
    found = DOCUMENTS[Analytics].document(symbol, document(category=category))
    outer = {field.name: field for field in schema.fields if not field.nullable}
    assert outer.keys() == found.keys() - {"_id", "rolling_stddev", "parkinson"}
    assert all(isinstance(found[name], TYPES[field.type]) for name, field in outer.items())
    assert [field.name for field in schema.fields if field.nullable] == [metric.name for metric in METRICS[category]]


@pytest.mark.parametrize("schema", BY_ID.values(), ids=lambda schema: schema.schema_id)
def test_key_and_time_are_fields_without_nulls(schema: Schema) -> None:
    required = {field.name for field in schema.fields if not field.nullable}
    assert {*schema.primary_key, schema.time_field} <= required
    assert schema.primary_key[0] == "symbol"


def test_types_tell_text_from_decimals_and_times_from_numbers() -> None:
    assert field_of(Trade, "price").type == "decimal"
    assert field_of(Trade, "kind").type == "string"
    assert field_of(Trade, "timestamp").type == "date"
    assert field_of(Trade, "trade_id").type == "integer"
    assert field_of(Depth, "bids").type == "array"
    assert field_of(Candle, "quote_volume").nullable
    assert field_of(Candle, "timestamp").description == "Open time of the bar."


def test_no_description_is_left_over() -> None:
    used = {field.name for schema in BY_ID.values() for field in schema.fields}
    assert DESCRIPTIONS.keys() <= used

"""Schemas: complete, and true to what readers find."""

from __future__ import annotations

import re

import pytest
from bson.datetime_ms import DatetimeMS

from data_manager.storage.mongo.documents import DOCUMENTS
from data_manager.storage.records import Candle, Depth, Record, Trade, series_of
from data_manager.storage.schemas import BY_ID, DESCRIPTIONS, SCHEMAS, Field
from tests.storage.examples import BTC, ONE_OF_EACH

EXAMPLES = {type(record): record for record in ONE_OF_EACH}
TYPES = {"string": str, "decimal": str, "integer": int, "boolean": bool, "date": DatetimeMS, "array": list}


def field_of(record: type[Record], name: str) -> Field:
    return next(field for field in SCHEMAS[record].fields if field.name == name)


def test_every_series_has_a_schema() -> None:
    assert {series.record for series in series_of(BTC)} == SCHEMAS.keys()


def test_the_ids_that_others_know_stay() -> None:
    known = {f"{name}_schema_v1" for name in ("candle", "trade", "funding", "depth", "ticker")}
    assert known <= BY_ID.keys()
    assert len(BY_ID) == len(SCHEMAS)


@pytest.mark.parametrize("record", SCHEMAS, ids=lambda record: record.dataset)
def test_the_fields_are_those_of_a_stored_document(record: type[Record]) -> None:
    document = DOCUMENTS[record].document(BTC, EXAMPLES[record])
    assert {field.name for field in SCHEMAS[record].fields} == document.keys() - {"_id"}
    for field in SCHEMAS[record].fields:
        value = document[field.name]
        assert field.nullable if value is None else isinstance(value, TYPES[field.type]), field
        if field.type == "decimal" and value is not None:
            assert re.fullmatch(r"-?[0-9.]+(e[0-9]+)?", value), field


@pytest.mark.parametrize("record", SCHEMAS, ids=lambda record: record.dataset)
def test_key_and_time_are_fields_without_nulls(record: type[Record]) -> None:
    schema = SCHEMAS[record]
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
    used = {field.name for schema in SCHEMAS.values() for field in schema.fields}
    assert DESCRIPTIONS.keys() <= used

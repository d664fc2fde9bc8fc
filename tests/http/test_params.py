from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from data_manager.http.params import CandleParams, Moment, items

moment = TypeAdapter(Moment)

moments = st.datetimes(datetime(1970, 1, 2), datetime(2262, 1, 1))
zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(derandomize=True, deadline=None)
@given(moments, zones)
def test_any_zone_is_read_exactly(naive: datetime, zone: timezone) -> None:
    aware = naive.replace(tzinfo=zone)
    read = moment.validate_python(aware.isoformat())
    assert read == aware
    assert read.utcoffset() == timedelta(0)


@settings(derandomize=True, deadline=None)
@given(moments)
def test_a_naive_time_is_utc_and_a_plus_may_have_become_a_space(naive: datetime) -> None:
    utc = naive.replace(tzinfo=UTC)
    assert moment.validate_python(naive.isoformat()) == utc
    assert moment.validate_python(utc.isoformat().replace("+", " ")) == utc


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 4 * 10**9))
def test_epoch_seconds_and_milliseconds_are_read(seconds: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert moment.validate_python(str(seconds)) == expected
    if seconds * 1000 > 2 * 10**10:  # smaller numbers are seconds: pydantic's rule, which the contract keeps
        assert moment.validate_python(str(seconds * 1000 + 7)) == expected + timedelta(milliseconds=7)


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_validation_error(text: str) -> None:
    try:
        read = moment.validate_python(text)
    except ValidationError:
        return
    assert 1970 <= read.year <= 9999
    assert read.tzinfo is UTC


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.sampled_from(list(CandleParams.model_fields)), st.text(max_size=30)))
def test_any_query_is_accepted_or_described_in_plain_values(query: dict[str, str]) -> None:
    try:
        CandleParams.model_validate(query)
    except ValidationError as error:
        for item in items(error, "query"):
            assert item["loc"][0] == "query"
            assert isinstance(item["msg"], str)
            assert item["input"] is None or isinstance(item["input"], str)
            assert all(isinstance(value, str | int | float) for value in item.get("ctx", {}).values())


@pytest.mark.parametrize(
    ("query", "newest"),
    [
        ({}, True),
        ({"end": "1"}, True),
        ({"limit": "5"}, True),
        ({"start": "1"}, False),
        ({"offset": "0"}, False),
    ],
)
def test_the_newest_rows_are_meant_unless_a_place_is_named(query: dict[str, str], newest: bool) -> None:
    assert CandleParams.model_validate({"pair": "BTCUSDT", "period": "1m", **query}).newest is newest

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.http.answers import both_dialects, from_us, stamp, stamp_datetime, stamp_or_none
from data_manager.system.clock import iso


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 253_402_300_799_999))
def test_stamp_writes_what_the_clock_module_writes(ms: int) -> None:
    assert stamp(ms) == iso(ms) == stamp_datetime(from_us(ms * 1000))


def test_a_time_has_microseconds_and_an_explicit_zone() -> None:
    assert stamp(0) == "1970-01-01T00:00:00.000000+00:00"
    assert stamp_or_none(None) is None
    assert stamp_or_none(1) == "1970-01-01T00:00:00.001000+00:00"


@pytest.mark.parametrize(("dialect", "names"), [("v11", ["values"]), ("head", ["data"]), ("both", ["values", "data"])])
def test_both_names_hold_the_same_list(dialect: str, names: list[str]) -> None:
    spliced = orjson.loads(orjson.dumps(both_dialects([{"price": "1.10"}], dialect)))
    assert spliced == {name: [{"price": "1.10"}] for name in names}


def test_the_old_name_is_that_of_the_route() -> None:
    assert both_dialects([], "both", "datasets").keys() == {"datasets", "data"}

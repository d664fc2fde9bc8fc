"""What every result carries: reasons in the place of what is not known, and how far it can be trusted."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from data_manager.actors.analytics.bars import Window
from data_manager.actors.analytics.results import NOT_FINITE, Result, Unknown, built, empty, envelope
from tests.actors.analytics.series import HOUR_MS, START_MS, walk, without


class Sample(Result, frozen=True, kw_only=True):
    one: float | None
    many: dict[str, float | None] | None


ABOUT = envelope("method", walk(10), Window("4h", START_MS + 6 * HOUR_MS, START_MS + 10 * HOUR_MS), {"length": 3})


def test_a_result_with_all_its_numbers_is_complete():
    result = built(Sample, ABOUT, {"one": 1.0, "many": {"a": 2.0}})
    assert (result.one, result.many, result.reasons, result.state) == (1.0, {"a": 2.0}, {}, "complete")


def test_a_number_that_is_not_there_leaves_its_reason():
    result = built(Sample, ABOUT, {"one": Unknown("nobody knows"), "many": {"a": 2.0, "b": Unknown("too far")}})
    assert result.one is None
    assert result.many == {"a": 2.0, "b": None}
    assert result.reasons == {"one": "nobody knows", "many[b]": "too far"}
    assert result.state == "partial"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_is_not_finite_never_leaves(value: float):
    result = built(Sample, ABOUT, {"one": value, "many": {"a": value}})
    assert (result.one, result.many) == (None, {"a": None})
    assert result.reasons == {"one": NOT_FINITE, "many[a]": NOT_FINITE}


def test_numbers_of_arrays_become_plain_ones():
    result = built(Sample, ABOUT, {"one": np.float64(0.1), "many": {"a": np.int64(3)}})
    assert repr(result.one) == "0.1"
    assert type(result.many["a"]) is int
    assert msgspec.json.decode(msgspec.json.encode(result))["one"] == 0.1


def test_an_empty_result_says_why_of_each_field():
    result = empty(Sample, ABOUT, "too few")
    assert (result.one, result.many) == (None, None)
    assert result.reasons == {"one": "too few", "many": "too few"}
    assert result.state == "empty"


def test_the_fields_of_a_category_are_its_own():
    assert Sample.metrics() == ("one", "many")


def test_a_field_that_does_not_exist_is_a_mistake():
    with pytest.raises(TypeError):
        built(Sample, ABOUT, {"one": 1.0, "many": None, "other": 2.0})


def test_an_envelope_counts_what_was_there():
    bars = without(walk(20), 12, 13, 16, 19)
    window = Window("10h", START_MS + 10 * HOUR_MS, START_MS + 20 * HOUR_MS)
    about = envelope("method", bars, window, {"length": 3})
    assert (about.n, about.expected, about.completeness, about.gaps, about.warm_up) == (6, 10, 60.0, 2, 10)
    assert about.newest_ms == START_MS + 19 * HOUR_MS
    assert (about.method, about.window, about.parameters) == ("method", "10h", {"length": 3})
    assert (about.start_ms, about.end_ms) == window[1:]


def test_an_envelope_of_nothing_is_zero_percent():
    about = envelope("method", walk(5), Window("2h", START_MS - 2 * HOUR_MS, START_MS), {})
    assert (about.n, about.completeness, about.gaps, about.newest_ms) == (0, 0.0, 0, None)
    narrow = envelope("method", walk(5), Window("0", START_MS, START_MS), {})
    assert (narrow.expected, narrow.completeness) == (0, 0.0)

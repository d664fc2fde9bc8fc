"""Bodies of computed documents: exact numbers as text, and the fields that the calculators give."""

from __future__ import annotations

import math
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.correlation import Correlation, CorrelationMatrix
from data_manager.actors.analytics.deviation import Deviation
from data_manager.actors.analytics.regime import Regime
from data_manager.actors.analytics.results import Result
from data_manager.actors.analytics.seasonality import Seasonality
from data_manager.actors.analytics.spread import Spread
from data_manager.actors.analytics.trend import Cross, Trend
from data_manager.actors.analytics.volatility import Volatility
from data_manager.actors.analytics.volume import Volume
from data_manager.storage.computed import METRICS, bars_used, body_of
from data_manager.storage.records import CATEGORIES, MARKET_WIDE
from tests.storage.examples import T0, document

RESULTS: dict[str, type[Result]] = {
    "volatility": Volatility,
    "volume": Volume,
    "spread": Spread,
    "trend": Trend,
    "deviation": Deviation,
    "seasonality": Seasonality,
    "correlation": Correlation,
    "regime": Regime,
    "correlation_matrix": CorrelationMatrix,
}


def type_of(hint: Any) -> str:
    """The type that a metric of this Python type has in a document."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    plain = {float: "number", int: "integer", str: "string", tuple: "array", dict: "object"}
    kind = get_origin(hint) or hint
    if kind in plain:
        return plain[kind]
    return "object" if isinstance(kind, type) else "string"  # a struct; a Literal of strings


def test_every_category_has_its_metrics() -> None:
    assert METRICS.keys() == {*CATEGORIES, *MARKET_WIDE}
    assert METRICS.keys() - RESULTS.keys() == {"market_overview"}


@pytest.mark.parametrize("category", RESULTS)
def test_the_metrics_are_those_that_are_computed(category: str) -> None:
    result = RESULTS[category]
    hints = get_type_hints(result)
    assert [(metric.name, metric.type) for metric in METRICS[category]] == [
        (name, type_of(hints[name])) for name in result.metrics()
    ]


@pytest.mark.parametrize("category", METRICS)
def test_no_metric_has_the_name_of_a_field_of_the_document(category: str) -> None:
    own = {"symbol", "category", "timeframe", "timestamp", "computed_at", "state", "stored_at", "metadata", "replaced"}
    names = [metric.name for metric in METRICS[category]]
    assert not own & set(names)
    assert len(set(names)) == len(names)
    assert all("/" not in name and "." not in name for name in names)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_the_shortest_text_that_reads_back_the_same(value: float) -> None:
    text = orjson.loads(body_of({"x": value}, {}))["x"]
    assert isinstance(text, str)
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    assert float(text) == value
    assert len(text) <= len(f"{value:.17g}") + len(".0e-00")


def test_structs_mappings_and_sequences_are_written_through_and_all_else_stays() -> None:
    fields = {
        "a": 0.1,
        "b": 7,
        "c": None,
        "d": "bullish",
        "e": {"5": 1e-9, "10": None},
        "f": Cross("bullish", 2, T0),
        "g": ({"power": 0.5}, 1.0),
    }
    assert orjson.loads(body_of(fields, {})) == {
        "a": "0.1",
        "b": 7,
        "c": None,
        "d": "bullish",
        "e": {"5": "1e-09", "10": None},
        "f": {"direction": "bullish", "age_bars": 2, "time_ms": T0},
        "g": [{"power": "0.5"}, "1.0"],
        "metadata": {},
    }


def test_numbers_of_the_metadata_stay_numbers() -> None:
    class Sum(msgspec.Struct):
        total: float

    metadata = {"completeness": 99.5, "parameters": {"lags": (1, 5)}, "sums": {"a": Sum(0.25)}}
    assert orjson.loads(body_of({}, metadata))["metadata"] == {
        "completeness": 99.5,
        "parameters": {"lags": [1, 5]},
        "sums": {"a": {"total": 0.25}},
    }


def test_the_bars_that_were_used_are_told() -> None:
    assert bars_used(document()) == 720

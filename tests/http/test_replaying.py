from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.http.replaying import obstacle
from tests.storage.examples import quarantined

BOOK = {"lastUpdateId": 7, "bids": [["1", "1"]], "asks": [["2", "1"]]}
AT = "2025-10-20T12:00:00"


def hindered(event: object) -> bool:
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return obstacle(quarantined(1, raw=raw), AT) is not None


@pytest.mark.parametrize(
    "event",
    [
        {"e": "trade", "E": 1, "T": 1, "s": "BTCUSDT"},
        {"e": "trade", "s": "BTCUSDT"},  # of a type that is never dated by its arrival
        {**BOOK, "E": 1},
        {**BOOK, "T": 1},
        {"stream": "btcusdt@depth20", "data": {**BOOK, "T": 1}},
        {"stream": "btcusdt@depth20", "data": BOOK, "timestamp": "2025-10-20T12:00:00Z"},
    ],
)
def test_an_event_that_tells_its_time_or_its_type_may_be_replayed(event: object) -> None:
    assert not hindered(event)


@pytest.mark.parametrize("event", [BOOK, {"stream": "btcusdt@depth20", "data": BOOK}, {**BOOK, "E": None}])
def test_a_book_without_any_time_may_not_and_the_sentence_tells_when_it_came(event: object) -> None:
    sentence = obstacle(quarantined(1, raw=json.dumps(event).encode()), AT)
    assert sentence is not None
    assert AT in sentence


@pytest.mark.parametrize("raw", [b"", b"\xff\x00", b"[1]", b"7", b'{"e":', b'{"data":{"e"', b"[" * 100_000])
def test_what_is_no_json_object_will_be_refused_as_before_and_may_be_replayed(raw: bytes) -> None:
    assert not hindered(raw)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_no_bytes_are_too_much(raw: object) -> None:
    hindered(raw)

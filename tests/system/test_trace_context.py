from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.trace_context import SpanId, carried, parse, traceparent

pure = settings(derandomize=True, deadline=None)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


@pure
@given(hexadecimal(32), hexadecimal(16), st.booleans())
def test_what_is_written_is_read_back(trace_id: str, span_id: str, sampled: bool) -> None:
    span = SpanId(trace_id, span_id, sampled)
    assert parse(traceparent(span)) == span


@pure
@given(st.text(max_size=80))
def test_any_text_is_a_span_or_nothing(text: str) -> None:
    span = parse(text)
    assert span is None or traceparent(span)[3:52] == text[3:52]


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",  # a version that never is
        f"00-{TRACE}-{SPAN}-01\n",
        f"01-{TRACE}-{SPAN}-01-{'x' * 40}",
    ],
)
def test_what_does_not_follow_the_recommendation_is_no_span(text: str) -> None:
    assert parse(text) is None


def test_versions_to_come_may_say_more_and_set_other_flags() -> None:
    assert parse(f"01-{TRACE}-{SPAN}-03-more") == SpanId(TRACE, SPAN, True)
    assert parse(f"00-{TRACE}-{SPAN}-02") == SpanId(TRACE, SPAN, False)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("headers", [{}, {"tracestate": "a=1,b=2"}])
def test_the_envelope_carries_it_however_it_is_written(separators: tuple[str, str], headers: dict[str, str]) -> None:
    header = f"00-{TRACE}-{SPAN}-01"
    envelope = {"data": {"e": "trade"}, "_otel_trace_headers": {**headers, "traceparent": header}, "version": "1.0"}
    assert carried(json.dumps(envelope, separators=separators).encode()) == header


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b'{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}',
        b'{"_otel_trace_headers":{}}',
        b'{"_otel_trace_headers":null,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}',
        b'{"_otel_trace_headers":{"traceparent":7}}',
    ],
)
def test_an_envelope_without_one_carries_nothing(payload: bytes) -> None:
    assert carried(payload) is None


@pure
@given(st.binary(max_size=200))
def test_any_bytes_carry_a_header_or_nothing(noise: bytes) -> None:
    assert carried(noise) is None
    assert carried(b'{"_otel_trace_headers":' + noise) is None or b"traceparent" in noise

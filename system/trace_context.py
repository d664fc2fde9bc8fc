"""W3C Trace Context: the `traceparent` header, and where a message of the feed may carry it.

Source: W3C Recommendation "Trace Context", version 00. What does not follow it is as if it were absent, as it asks.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_TRACEPARENT = 64  # characters that are looked at; version 00 has 55

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_CARRIER = b'"_otel_trace_headers"'
_IN_CARRIER = re.compile(rb'"_otel_trace_headers"\s*:\s*\{[^{}]{0,512}?"traceparent"\s*:\s*"([0-9a-f-]{55})"')


class SpanId(NamedTuple):
    """A span as others name it: 32 and 16 lower-case hexadecimal digits, and whether its trace is recorded."""

    trace_id: str
    span_id: str
    sampled: bool


def parse(traceparent: str) -> SpanId | None:
    """The span that a `traceparent` names; None for anything else."""
    match = _PARENT.fullmatch(traceparent) if len(traceparent) <= MAX_TRACEPARENT else None
    return SpanId(match[1], match[2], bool(int(match[3], 16) & 1)) if match else None


def traceparent(span: SpanId) -> str:
    """The header that names the span; its inverse is `parse`."""
    return f"00-{span.trace_id}-{span.span_id}-{int(span.sampled):02x}"


def carried(payload: bytes) -> str | None:
    """The `traceparent` in the publisher's envelope (`_otel_trace_headers`), found without decoding; or None."""
    if payload.find(_CARRIER) < 0:
        return None
    match = _IN_CARRIER.search(payload)
    return match[1].decode() if match else None

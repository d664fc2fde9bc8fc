from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from data_manager.system.settings import Settings
from data_manager.system.telemetry.target import GRPC, HTTP, headers_of, target_of

pure = settings(derandomize=True, deadline=None)


def target(endpoint: str | None, **more: object):
    return target_of(Settings(otel_exporter_otlp_endpoint=endpoint, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("endpoint", "protocol"),
    [
        ("http://alloy.observability.svc.cluster.local:4317", GRPC),
        ("https://collector:4317/", GRPC),
        ("http://localhost:4318", HTTP),
        ("https://otlp.example.com/otlp", HTTP),
    ],
)
def test_the_port_tells_the_protocol(endpoint: str, protocol: str) -> None:
    found = target(endpoint)
    assert found is not None
    assert found.protocol == protocol
    other = HTTP if protocol == GRPC else GRPC
    assert target(endpoint, otel_exporter_otlp_protocol=other).protocol == other


def test_over_http_each_signal_has_a_path_below_the_endpoints() -> None:
    assert target("https://example.com/otlp/").url("traces") == "https://example.com/otlp/v1/traces"
    assert target("http://localhost:4317").url("traces") == "http://localhost:4317"


def test_without_an_endpoint_or_when_it_is_off_there_is_no_target() -> None:
    assert target(None) is None
    assert target("http://localhost:4317", otel_enabled=False) is None


@pytest.mark.parametrize(
    "endpoint", ["localhost:4317", "ftp://host", "http://", "http://user:pw@host:4317", "http://a b"]
)
def test_what_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="otel_exporter_otlp_endpoint"):
        target(endpoint)


def test_keys_are_secret() -> None:
    shown = Settings(otel_exporter_otlp_headers="Authorization=Bearer%20abc").shown()  # type: ignore[arg-type]
    assert "abc" not in str(shown)


NAMES = st.text("abcdefghij-", min_size=1).map(str.strip)


@pure
@given(st.dictionaries(NAMES, st.text(max_size=20).map(str.strip), max_size=4))
def test_headers_come_out_as_they_were_meant(headers: dict[str, str]) -> None:
    text = " , ".join(f"{name.upper()} = {quote(value)}" for name, value in headers.items())
    assert headers_of(text) == headers


@pure
@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert all(name and name == name.strip().lower() for name in headers_of(text))

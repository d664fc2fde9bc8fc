"""Where telemetry goes, as the settings say it."""

from __future__ import annotations

from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from data_manager.system.settings import Settings

GRPC, HTTP = "grpc", "http/protobuf"
GRPC_PORT = 4317  # OTLP's own for gRPC; its other one, 4318, is for HTTP

Signal = Literal["traces", "logs", "metrics"]
SIGNALS: tuple[Signal, ...] = ("traces", "logs", "metrics")


class Target(NamedTuple):
    """A collector: its base address without a final slash, what it speaks, and what each request carries."""

    endpoint: str
    protocol: Literal["grpc", "http/protobuf"]
    headers: dict[str, str]

    def url(self, signal: Signal) -> str:
        """Where one signal is sent."""
        return self.endpoint if self.protocol == GRPC else f"{self.endpoint}/v1/{signal}"


def target_of(settings: Settings) -> Target | None:
    """The collector that the settings name; None when telemetry is off or has nowhere to go."""
    if not settings.otel_enabled or settings.otel_exporter_otlp_endpoint is None:
        return None
    endpoint = settings.otel_exporter_otlp_endpoint.removesuffix("/")
    protocol = settings.otel_exporter_otlp_protocol
    if protocol is None:
        protocol = "grpc" if urlsplit(endpoint).port == GRPC_PORT else "http/protobuf"
    secret = settings.otel_exporter_otlp_headers
    return Target(endpoint, protocol, headers_of(secret.get_secret_value()) if secret else {})


def headers_of(text: str) -> dict[str, str]:
    """`name=value` pairs with commas between, values percent-encoded; names come out in lower case, as gRPC wants.

    What has no `=` or no name is left out, as the specification of OTLP exporters asks.
    """
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip().lower(): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}

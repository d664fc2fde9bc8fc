"""Where telemetry goes, if anywhere."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from data_manager.system.commands.checks.check import Check, ok, skipped, warn
from data_manager.system.logs import redact_url
from data_manager.system.settings import Settings

NAME = "telemetry"
CONNECT_S = 3.0
PORTS = {"https": 443, "http": 4318}


def telemetry(settings: Settings) -> Check:
    """Whether something takes connections there; the service works without it."""
    endpoint = settings.otel_exporter_otlp_endpoint
    if not settings.otel_enabled or endpoint is None:
        return skipped(NAME, "None is sent: OTEL_EXPORTER_OTLP_ENDPOINT is not set, or OTEL_ENABLED is false.")
    address = str(endpoint)
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or PORTS.get(parts.scheme, 4317)), CONNECT_S).close()
    except OSError as error:
        fix = "start the collector, or unset OTEL_EXPORTER_OTLP_ENDPOINT: until then telemetry is dropped"
        return warn(NAME, f"{redact_url(address)} does not answer ({error.strerror or error}).", fix)
    return ok(NAME, f"{redact_url(address)} takes connections.")

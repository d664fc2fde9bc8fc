from __future__ import annotations

import socket

from data_manager.system.commands.checks.check import Verdict
from data_manager.system.commands.checks.telemetry import telemetry
from data_manager.system.settings_sources import load
from tests.servers.databases import free_port


def found(**settings: object) -> Verdict:
    return telemetry(load(settings, {}).settings).verdict


def test_without_an_endpoint_nothing_is_asked():
    assert found() is Verdict.SKIPPED
    assert found(otel_enabled="false", otel_exporter_otlp_endpoint="http://127.0.0.1:1") is Verdict.SKIPPED


def test_a_collector_that_listens_is_good_and_one_that_does_not_only_a_warning():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert found(otel_exporter_otlp_endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}") is Verdict.OK
    assert found(otel_exporter_otlp_endpoint=f"http://127.0.0.1:{free_port()}") is Verdict.WARN

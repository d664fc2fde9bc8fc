from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.telemetry.beginning import NO_TELEMETRY, begin_telemetry, telemetry_modules
from data_manager.system.tracing import CURRENT
from tests.log_capture import logs_to


def warnings(actor: str, generation: int = 1, **settings: object) -> list[str]:
    out = io.StringIO()
    with logs_to(out):
        wanted = Settings(**settings)  # type: ignore[arg-type]
        assert begin_telemetry(wanted, actor, generation, Metrics(), SystemClock()) is NO_TELEMETRY
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    return [line["next_step"] for line in lines if (line["event"], line["level"]) == ("telemetry_off", "WARNING")]


def test_an_endpoint_that_is_empty_is_told_once_by_one_actor() -> None:
    [said] = warnings("http")
    assert "OTEL_ENABLED=false" in said
    assert warnings("http", generation=2) == []
    assert warnings("ingest/BTCUSDT") == warnings("router") == []
    assert len(warnings("router", enable_api=False)) == 1
    assert warnings("http", otel_enabled=False) == []


def test_without_telemetry_nothing_is_opened_and_nothing_happens() -> None:
    tracer = NO_TELEMETRY.tracer
    assert not tracer.on
    for opened in (tracer.batch("b", ["x"], 1, {}), tracer.request("r", "", {}), tracer.call("c", {})):
        with opened as span:
            span.note({"a": 1})
            span.failed("nothing")
            assert CURRENT.get() is None
    NO_TELEMETRY.export_metrics(lambda: None)
    NO_TELEMETRY.close()


@pytest.mark.parametrize("endpoint", ["http://localhost:4317", "http://localhost:4318"])
def test_what_is_imported_before_the_fork_starts_no_thread_and_is_all_that_an_actor_needs(endpoint: str) -> None:
    modules = telemetry_modules(Settings(otel_exporter_otlp_endpoint=endpoint))
    script = f"""
import importlib, sys, threading
for name in {modules!r}: importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
before = set(sys.modules)
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.telemetry.beginning import begin_telemetry
telemetry = begin_telemetry(Settings(otel_exporter_otlp_endpoint={endpoint!r}), "router", 1, Metrics(), SystemClock())
late = {{name for name in set(sys.modules) - before if name.startswith(("opentelemetry", "grpc", "requests"))}}
print(len(late), sorted(late)[:5])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 "), done.stdout


def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    assert telemetry_modules(Settings()) == ()
    script = """
import sys
import data_manager.actors.router, data_manager.actors.ingest.worker, data_manager.system.aio, data_manager.http.app
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "grpc", "requests")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr

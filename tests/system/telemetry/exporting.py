"""A process's telemetry inside the test's own process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from data_manager.system import logs
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics, series
from data_manager.system.settings import Settings
from data_manager.system.telemetry.process import ProcessTelemetry
from data_manager.system.telemetry.target import target_of

ACTOR = "ingest/BTCUSDT"


@contextmanager
def exporting(
    endpoint: str, metrics: Metrics | None = None, *, aloud: bool = False, **settings: object
) -> Iterator[ProcessTelemetry]:
    """As an actor begins it; closed at the end, and the loggers of OpenTelemetry are as they were."""
    wanted = Settings(otel_exporter_otlp_endpoint=endpoint, **settings)  # type: ignore[arg-type]
    target = target_of(wanted)
    assert target is not None
    logger = logging.getLogger("opentelemetry")
    before = logger.handlers, logger.propagate
    telemetry = ProcessTelemetry(target, wanted, ACTOR, 1, metrics or Metrics(), SystemClock(), aloud=aloud)
    try:
        yield telemetry
    finally:
        telemetry.close()
        logs.copy_to(None)
        logger.handlers, logger.propagate = before


def gauge(metrics: Metrics, signal: str) -> float | None:
    """Whether a signal is exported, as the metrics tell it."""
    return metrics.totals().gauges.get(series("data_manager_telemetry_exporting", {"actor": ACTOR, "signal": signal}))


def dropped(metrics: Metrics, signal: str) -> float:
    """How much of a signal was lost."""
    key = series("data_manager_telemetry_dropped_total", {"actor": ACTOR, "signal": signal})
    return metrics.totals().counters.get(key, 0.0)

"""How an actor gets its telemetry, or none: imports nothing of OpenTelemetry before a collector is named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from data_manager.system.clock import Clock
from data_manager.system.logs import log
from data_manager.system.messages import Tree
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.telemetry.target import GRPC, target_of
from data_manager.system.tracing import OFF, Tracer
from data_manager.system.tree import HTTP, ROUTER


class Telemetry(Protocol):
    """What one process exports."""

    @property
    def tracer(self) -> Tracer:
        """For what it does."""
        ...

    def export_metrics(self, tree: Callable[[], Tree | None]) -> None:
        """Send the totals of what `tree` returns from now on, at the pace of the settings; once in a process."""
        ...

    def close(self) -> None:
        """Export what waits, within a second; nothing while the collector does not answer."""
        ...


class _None:
    tracer = OFF

    def export_metrics(self, tree: Callable[[], Tree | None]) -> None:
        pass

    def close(self) -> None:
        pass


NO_TELEMETRY: Telemetry = _None()


def begin_telemetry(settings: Settings, actor: str, generation: int, metrics: Metrics, clock: Clock) -> Telemetry:
    """This process's; to be called after the fork, for it starts threads."""
    target = target_of(settings)
    if target is None:
        if speaks(settings, actor) and settings.otel_enabled and generation == 1:
            log(
                "telemetry_off",
                logging.WARNING,
                reason="OTEL_EXPORTER_OTLP_ENDPOINT is empty: no traces, metrics or logs are sent",
                next_step="name a collector, for example http://localhost:4317, or set OTEL_ENABLED=false",
            )
        return NO_TELEMETRY
    from data_manager.system.telemetry.process import ProcessTelemetry

    aloud = speaks(settings, actor)
    return ProcessTelemetry(target, settings, actor, generation, metrics, clock, aloud=aloud)


def speaks(settings: Settings, actor: str) -> bool:
    """Whether this one of all actors tells what is wrong with telemetry: one voice is enough."""
    return actor == (HTTP if settings.enable_api else ROUTER)


def telemetry_modules(settings: Settings) -> tuple[str, ...]:
    """What every process needs for it; imported before the fork, actors share it and start as quickly as without."""
    target = target_of(settings)
    if target is None:
        return ()
    signals = ("trace_exporter", "_log_exporter", "metric_exporter")
    package, late = "opentelemetry.exporter.otlp.proto.http", ["requests"]
    if target.protocol == GRPC:
        package, late = "opentelemetry.exporter.otlp.proto.grpc", ["grpc.experimental", "grpc._channel"]
    # `late`: what these exporters import only when they are made
    return ("data_manager.system.telemetry.process", *(f"{package}.{signal}" for signal in signals), *late)

"""What is exported, what is lost, and who says so: bounded, counted, and one line a minute at most.

The original's telemetry went nowhere for months without a word, and when its exporter did fail, it flooded the log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import Enum

from data_manager.system.clock import Clock
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics
from data_manager.system.telemetry.target import GRPC, Signal, Target

QUEUE_MAX = 2048  # spans or log records of one process that wait to be exported
BETWEEN_WARNINGS_S = 60.0

NEXT_STEP = {
    GRPC: "is an OTLP receiver for gRPC listening there (4317), with TLS exactly if it says https://, and may this "
    "host reach it? For HTTP set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    "http/protobuf": "is an OTLP receiver for HTTP listening there (4318), and may this host reach it? For gRPC use "
    "port 4317 or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
}


class Complaints(logging.Handler):
    """Keeps the last thing that the exporters logged, which is the only place where they say why they failed.

    Their own lines go nowhere else: they come in bursts, and a failure to export logs would be exported as a log.
    An exporter logs on the thread that called it, so each thread has its own.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._here = threading.local()

    @property
    def last(self) -> str:
        """On this thread; empty when there is none."""
        return getattr(self._here, "last", "")

    def forget(self) -> None:
        """What comes next on this thread is another matter."""
        self._here.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        error = record.exc_info[1] if record.exc_info else None
        self._here.last = record.getMessage() if error is None else f"{record.getMessage()}: {error}"

    def listen(self) -> None:
        """From now on, to all of OpenTelemetry's loggers."""
        logger = logging.getLogger("opentelemetry")
        logger.handlers, logger.propagate = [self], False


complaints = Complaints()
# At once, and again in each actor: Thespian gives every actor a logging tree of its own, while the loggers of
# modules that were imported before the fork stay in the old one.
complaints.listen()


class Speaker:
    """Says that nothing is received, at most once in BETWEEN_WARNINGS_S, and when it is received again.

    Only the process that is told to speaks `aloud`: what ails one ails all, and each has its gauge.
    """

    def __init__(self, target: Target, clock: Clock, aloud: bool) -> None:
        self._target, self._clock, self._aloud = target, clock, aloud
        self._failing: set[Signal] = set()
        self._warned_at = float("-inf")
        self._lock = threading.Lock()  # channels have a thread each

    def failed(self, signal: Signal, cause: str) -> None:
        """A signal was not received."""
        with self._lock:
            self._failing.add(signal)
            now = self._clock.monotonic()
            due = self._aloud and now - self._warned_at >= BETWEEN_WARNINGS_S
            if due:
                self._warned_at = now
        if due:
            log(
                "telemetry_not_received",
                logging.WARNING,
                signals=sorted(self._failing),
                endpoint=self._target.endpoint,
                protocol=self._target.protocol,
                cause=cause,
                next_step=NEXT_STEP[self._target.protocol],
            )

    def received(self, signal: Signal) -> None:
        """A signal was received."""
        with self._lock:
            over = signal in self._failing
            self._failing.discard(signal)
            over = over and not self._failing
        if over and self._aloud:
            log("telemetry_received", endpoint=self._target.endpoint)


class Channel:
    """One signal's way out of this process."""

    def __init__(self, signal: Signal, actor: str, metrics: Metrics, speaker: Speaker) -> None:
        self.signal = signal
        self._labels = {"actor": actor, "signal": signal}
        self._metrics, self._speaker = metrics, speaker
        self._waiting = 0
        self._lock = threading.Lock()  # any thread may end a span or log
        self.well = True  # the last export was received, or there was none yet

    def admit(self) -> bool:
        """Whether one more may wait to be exported; counted as lost otherwise."""
        with self._lock:
            room = self._waiting < QUEUE_MAX
            if room:
                self._waiting += 1
            else:
                self._metrics.inc("data_manager_telemetry_dropped_total", 1, **self._labels)
        return room

    def took(self, items: int) -> None:
        """So many wait no longer."""
        with self._lock:
            self._waiting -= items

    def carry(self, items: int, export: Callable[[], Enum]) -> bool:
        """Export; True when it was received. Never raises: whatever is wrong with it, the service works on."""
        complaints.forget()
        error = ""
        try:
            self.well = export().name == "SUCCESS"
        except Exception as raised:  # noqa: BLE001  the exporter's boundary: its thread must go on
            self.well, error = False, f"{type(raised).__name__}: {raised}"
        with self._lock:
            self._metrics.set("data_manager_telemetry_exporting", float(self.well), **self._labels)
            if not self.well:
                self._metrics.inc("data_manager_telemetry_dropped_total", items, **self._labels)
        if self.well:
            self._speaker.received(self.signal)
        else:
            self._speaker.failed(self.signal, error or complaints.last or "the collector did not take it")
        return self.well

"""The lines of the log once more, as OpenTelemetry's log records: stdout stays the first place."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.resources import Resource

import data_manager
from data_manager.system.logs import HEAD
from data_manager.system.telemetry.channel import QUEUE_MAX, Channel
from data_manager.system.telemetry.exporters import WatchedLogs
from data_manager.system.telemetry.spans import below
from data_manager.system.tracing import CURRENT

SCHEDULE_S = 1.0  # how long a record waits for others, unless BATCH of them do
BATCH = 512


class Admitting(BatchLogRecordProcessor):
    """Batches what the channel admits."""

    def __init__(self, exporter: LogRecordExporter, channel: Channel) -> None:
        super().__init__(
            WatchedLogs(exporter, channel),
            max_queue_size=QUEUE_MAX,
            schedule_delay_millis=SCHEDULE_S * 1000,
            max_export_batch_size=BATCH,
        )
        self._channel = channel

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """See LogRecordProcessor."""
        if self._channel.admit():
            super().on_emit(log_record)


class LogCopies:
    """Takes each line that the process logs."""

    def __init__(self, exporter: LogRecordExporter, channel: Channel, resource: Resource) -> None:
        self._provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_log_record_processor(Admitting(exporter, channel))
        self._logger = self._provider.get_logger("data_manager", data_manager.__version__)

    def take(self, record: logging.LogRecord, line: Mapping[str, object]) -> None:
        """Copy one line: its event is the body, its fields are attributes, its span is the current one."""
        span = CURRENT.get()
        self._logger.emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                context=Context() if span is None else below(span),
                severity_text=record.levelname,
                severity_number=severity(record.levelno),
                body=str(line["event"]),
                attributes={key: attribute(value) for key, value in line.items() if key not in HEAD},
            )
        )

    def close(self) -> None:
        """Export what waits; may take as long as an export."""
        self._provider.shutdown()


def severity(level: int) -> SeverityNumber:
    """A level of `logging` on OpenTelemetry's scale: four steps to each of its names, DEBUG (10) begins at 5."""
    return SeverityNumber(min(max(level // 10 * 4 + 1, 1), 24))


def attribute(value: object) -> str | int | float | bool:
    """A field as an attribute: plain values as they are, anything else as text."""
    return value if isinstance(value, str | int | float | bool) else str(value)

"""The Tracer that keeps spans: OpenTelemetry's own, with its batches behind a channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

import data_manager
from data_manager.system.telemetry.channel import QUEUE_MAX, Channel
from data_manager.system.telemetry.exporters import WatchedSpans
from data_manager.system.trace_context import SpanId, parse
from data_manager.system.tracing import CURRENT, MAX_LINKS, NO_SPAN, Attributes, Span

SCHEDULE_S = 2.0  # how long spans wait for others, unless BATCH of them do
BATCH = 512


class Admitting(BatchSpanProcessor):
    """Batches what the channel admits."""

    def __init__(self, exporter: SpanExporter, channel: Channel) -> None:
        super().__init__(
            WatchedSpans(exporter, channel),
            max_queue_size=QUEUE_MAX,
            schedule_delay_millis=SCHEDULE_S * 1000,
            max_export_batch_size=BATCH,
        )
        self._channel = channel

    def on_end(self, span: ReadableSpan) -> None:
        """See SpanProcessor."""
        if span.context and span.context.trace_flags.sampled and self._channel.admit():
            super().on_end(span)


class SpanTracer:
    """See Tracer."""

    on = True

    def __init__(self, exporter: SpanExporter, channel: Channel, resource: Resource) -> None:
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(Admitting(exporter, channel))
        self._tracer = self._provider.get_tracer("data_manager", data_manager.__version__)

    def batch(
        self, name: str, parents: Iterable[str], since_us: int, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """See Tracer."""
        publishers = recorded(parents)
        if not publishers:
            return NO_SPAN
        links = [trace.Link(remote(publisher)) for publisher in publishers]
        return self._open(
            name, trace.SpanKind.CONSUMER, attributes, below(publishers[0]), links, start_ns=since_us * 1000
        )

    def request(self, name: str, parent: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """See Tracer."""
        caller = parse(parent)
        return self._open(name, trace.SpanKind.SERVER, attributes, below(caller) if caller else Context())

    def call(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """See Tracer."""
        return NO_SPAN if CURRENT.get() is None else self._open(name, trace.SpanKind.CLIENT, attributes)

    def close(self) -> None:
        """Export what waits; may take as long as an export."""
        self._provider.shutdown()

    @contextmanager
    def _open(
        self,
        name: str,
        kind: trace.SpanKind,
        attributes: Attributes,
        parent: Context | None = None,
        links: Sequence[trace.Link] = (),
        start_ns: int | None = None,
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name, context=parent, kind=kind, attributes=attributes, links=links, start_time=start_ns
        ) as span:
            own = span.get_span_context()
            ids = SpanId(f"{own.trace_id:032x}", f"{own.span_id:016x}", bool(own.trace_flags.sampled))
            token = CURRENT.set(ids)
            try:
                yield LiveSpan(span)
            finally:
                CURRENT.reset(token)


class LiveSpan:
    """See Span."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, attributes: Attributes) -> None:
        """See Span."""
        self._span.set_attributes(dict(attributes))

    def failed(self, reason: str) -> None:
        """See Span."""
        self._span.set_status(trace.StatusCode.ERROR, reason)


def recorded(parents: Iterable[str]) -> list[SpanId]:
    """The distinct spans of recorded traces among them, in their order; at most MAX_LINKS."""
    seen: set[str] = set()
    found: dict[SpanId, None] = {}
    for parent in parents:
        if parent not in seen:
            seen.add(parent)
            span = parse(parent)
            if span is not None and span.sampled:
                found[span] = None
                if len(found) == MAX_LINKS:
                    break
    return list(found)


def remote(span: SpanId) -> trace.SpanContext:
    """A span of another process as OpenTelemetry has it."""
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if span.sampled else trace.TraceFlags.DEFAULT)
    return trace.SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=True, trace_flags=flags)


def below(span: SpanId) -> Context:
    """The context in which a new span is a child of `span`."""
    return trace.set_span_in_context(trace.NonRecordingSpan(remote(span)), Context())

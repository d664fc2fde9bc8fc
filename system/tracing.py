"""What the actors know of tracing: a Tracer that opens spans, and one that opens none and costs nothing.

system/telemetry has the real one; nothing here imports OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Protocol

from data_manager.system.trace_context import SpanId

Attributes = Mapping[str, str | int | float | bool]  # under the names of OpenTelemetry's semantic conventions
MAX_LINKS = 32  # spans of a publisher that one span of ours names

CURRENT: ContextVar[SpanId | None] = ContextVar("current_span", default=None)  # the one this code runs in; for logs


class Span(Protocol):
    """One unit of work while it is under way."""

    def note(self, attributes: Attributes) -> None:
        """Say more about it."""
        ...

    def failed(self, reason: str) -> None:
        """It did not do what it was for. An exception that leaves the span says so by itself."""
        ...


class Tracer(Protocol):
    """Opens spans. Each lasts for its `with` block, and is the parent of what begins inside it."""

    @property
    def on(self) -> bool:
        """Whether any span is kept: what only spans need is not worth computing otherwise."""
        ...

    def batch(
        self, name: str, parents: Iterable[str], since_us: int, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """The work on messages whose `traceparent`s are given, begun at `since_us` (microseconds UTC).

        It continues the first trace that is recorded and links to at most MAX_LINKS; without one there is no span.
        """
        ...

    def request(self, name: str, parent: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """The answer to a request that came with the `traceparent` (or an empty string)."""
        ...

    def call(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        """What a store or a server is asked as a part of the current span; without one there is no span."""
        ...


class _NoSpan:
    def note(self, attributes: Attributes) -> None:
        pass

    def failed(self, reason: str) -> None:
        pass


NO_SPAN = nullcontext[Span](_NoSpan())


class _Off:
    on = False

    def batch(
        self, name: str, parents: Iterable[str], since_us: int, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        return NO_SPAN

    def request(self, name: str, parent: str, attributes: Attributes) -> AbstractContextManager[Span]:
        return NO_SPAN

    def call(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:
        return NO_SPAN


OFF: Tracer = _Off()

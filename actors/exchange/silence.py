"""When the feed is silent although the market goes on: what happens meanwhile is never published."""

from __future__ import annotations

from dataclasses import dataclass

from data_manager.system.settings import Settings

MAX_SILENCES = 100
_KEEP_MS = 60_000  # a silence is remembered so long after its end, for whoever is late to publish

ALL = ""  # in place of a symbol


class Outages:
    """The feed of all symbols fails for the last `outage_ms` of every `every_ms`; 0 means never."""

    def __init__(self, every_ms: int = 0, outage_ms: int = 0, first_ms: int = 0) -> None:
        self._every_ms = every_ms
        self._outage_ms = outage_ms
        self._first_ms = first_ms

    @classmethod
    def of(cls, settings: Settings, first_ms: int) -> Outages:
        """As the settings say, counted from `first_ms`."""
        return cls(int(settings.exchange_outage_every_s * 1000), int(settings.exchange_outage_s * 1000), first_ms)

    def cover(self, time_ms: int) -> bool:
        """Whether this moment lies in an outage."""
        if not self._every_ms:
            return False
        return (time_ms - self._first_ms) % self._every_ms >= self._every_ms - self._outage_ms


@dataclass
class _Span:
    symbol: str
    start_ms: int
    end_ms: float


class Silences:
    """Silences on demand, of one symbol or ALL, beside the regular outages."""

    def __init__(self, outages: Outages | None = None) -> None:
        self._outages = outages or Outages()
        self._spans: list[_Span] = []

    def begin(self, symbol: str, now_ms: int, seconds: float | None = None) -> None:
        """Silence from now on, for so long or until `end`; ValueError beyond MAX_SILENCES."""
        self._spans = [span for span in self._spans if span.end_ms > now_ms - _KEEP_MS]
        if len(self._spans) >= MAX_SILENCES:
            raise ValueError(f"{MAX_SILENCES} silences are set already: clear them first")
        end_ms = float("inf") if seconds is None else now_ms + seconds * 1000
        self._spans.append(_Span(symbol, now_ms, end_ms))

    def end(self, now_ms: int) -> None:
        """End all silences that were begun; regular outages stay."""
        for span in self._spans:
            span.end_ms = min(span.end_ms, now_ms)

    def cover(self, symbol: str, time_ms: int) -> bool:
        """Whether what happens to this symbol at this moment stays unpublished."""
        return self._outages.cover(time_ms) or any(
            span.start_ms <= time_ms < span.end_ms and span.symbol in (ALL, symbol) for span in self._spans
        )

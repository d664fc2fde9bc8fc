"""What the router has reason to believe is missing, as ranges of FEED sequences.

Two things lose events without an error: FEED discards its oldest messages when it is full, and a full MARKET
subject refuses batches. Pure bookkeeping; the router asks it what to tell the auditor, and when.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

MAX_HOLES = 1_000  # beyond it the oldest hole is taken for lost, which at worst is one needless look
RETELL_S = 1.0  # a loss that goes on is told this often


Loss = tuple[str, str]  # symbol, reason


class Span(msgspec.Struct, frozen=True):
    """FEED sequences `first..last`, and the times in ms UTC between which their events were published."""

    first: int
    last: int
    start_ms: int | None = None
    end_ms: int | None = None

    def merged(self, other: Span) -> Span:
        """The least span that holds both."""
        starts = [span.start_ms for span in (self, other) if span.start_ms is not None]
        ends = [span.end_ms for span in (self, other) if span.end_ms is not None]
        return Span(
            min(self.first, other.first),
            max(self.last, other.last),
            min(starts, default=None),
            max(ends, default=None),
        )


class Holes:
    """Sequences that deliveries jumped over: lost on the wire, then they come again, or gone from FEED.

    Only for a stream whose every message is meant for the router; elsewhere jumps mean nothing.
    """

    def __init__(self, expected: int | None = None) -> None:
        """`expected` is the sequence that should come first, None where any will do."""
        self.expected = expected
        self._seen_ms: int | None = None
        self._open: list[tuple[Span, float]] = []  # with the time it was found

    def saw(self, sequence: int, received_us: int, now: float) -> None:
        """Note a delivery, whether it is the first of its sequence or not."""
        if self.expected is None or sequence == self.expected:
            self.expected = sequence + 1
        elif sequence > self.expected:
            span = Span(self.expected, sequence - 1, self._seen_ms, received_us // 1000)
            self._open.append((span, now))
            self.expected = sequence + 1
        else:
            self._open = [part for hole in self._open for part in _without(hole, sequence)]
            return
        self._seen_ms = received_us // 1000

    def lost(self, first_sequence: int, now: float, patience_s: float) -> list[Span]:
        """The spans that are below FEED's first sequence or open for `patience_s`, each told once."""
        lost, still_open = [], []
        for number, (span, since) in enumerate(self._open):
            if now - since >= patience_s or number < len(self._open) - MAX_HOLES:
                lost.append(span)
            elif span.first < first_sequence:
                gone, rest = _split(span, first_sequence)
                lost.append(gone)
                still_open += [(rest, since)] if rest else []
            else:
                still_open.append((span, since))
        self._open = still_open
        return lost


def _without(hole: tuple[Span, float], sequence: int) -> Iterator[tuple[Span, float]]:
    span, since = hole
    if not span.first <= sequence <= span.last:
        yield hole
        return
    if span.first < sequence:
        yield Span(span.first, sequence - 1, span.start_ms, span.end_ms), since
    if sequence < span.last:
        yield Span(sequence + 1, span.last, span.start_ms, span.end_ms), since


def _split(span: Span, at: int) -> tuple[Span, Span | None]:
    """The part below `at`, and the rest."""
    if span.last < at:
        return span, None
    gone = Span(span.first, at - 1, span.start_ms, span.end_ms)
    return gone, Span(at, span.last, span.start_ms, span.end_ms)


class Unrouted:
    """What was not routed to a symbol and why: told at the first loss, then merged, once in RETELL_S."""

    def __init__(self) -> None:
        self._pending: dict[Loss, Span] = {}
        self._told: dict[Loss, float] = {}

    def add(self, symbol: str, reason: str, span: Span) -> None:
        """Note a batch that is lost to `symbol`."""
        loss = symbol, reason
        pending = self._pending.get(loss)
        self._pending[loss] = span if pending is None else pending.merged(span)

    def due(self, now: float) -> list[tuple[Loss, Span]]:
        """What is to be told now; all of it at the end of time, `inf`."""
        self._told = {loss: at for loss, at in self._told.items() if now - at < RETELL_S}
        due = [loss for loss in self._pending if loss not in self._told]
        self._told.update(dict.fromkeys(due, now))
        return [(loss, self._pending.pop(loss)) for loss in due]

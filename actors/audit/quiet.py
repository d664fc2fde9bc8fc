"""Symbols of which nothing arrives while the audit watches. Pure; monotonic seconds, whatever the host's clock says.

A verdict changes only when several looks in a row agree. One quiet symbol is an incident of its own; when all are
quiet it is the feed that is down: one incident, not as many as there are symbols.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from data_manager.storage.incidents import Trouble
from data_manager.storage.protocols import Incident

SYMBOL_QUIET, FEED_DOWN = "symbol_quiet", "feed_down"
KINDS = (SYMBOL_QUIET, FEED_DOWN)
FEED = "feed"  # the subject of FEED_DOWN


class Watched:
    """One symbol: how many events of it had arrived, and when that last changed."""

    def __init__(self, now: float, *, quiet: bool) -> None:
        self._received: int | None = None
        self._changed_at = now
        self._against = 0  # looks in a row that contradict the verdict
        self.quiet = quiet

    def look(self, received: int, now: float, after_s: float, samples: int) -> None:
        """Take one look into account."""
        if self._received is not None and received != self._received:
            self._changed_at = now
        self._received = received
        silent = now - self._changed_at > after_s
        flows = self._changed_at == now
        contradicts = flows if self.quiet else silent
        self._against = self._against + 1 if contradicts else 0
        if self._against >= samples:
            self.quiet, self._against = not self.quiet, 0


class Listening:
    """All symbols that should send something."""

    def __init__(self, symbols: Collection[str], known: Iterable[Incident], now: float) -> None:
        """`known` are the open incidents: what was quiet before a restart is so until it flows again."""
        told = {incident.subject for incident in known if incident.kind in KINDS}
        self._watched = {symbol: Watched(now, quiet=symbol in told or FEED in told) for symbol in symbols}

    def follow(self, symbols: Collection[str], now: float) -> None:
        """Watch these from now on, and no others; the verdicts on those that were watched before stay."""
        self._watched = {symbol: self._watched.get(symbol) or Watched(now, quiet=False) for symbol in symbols}

    def look(self, received: Mapping[str, int], now: float, after_s: float, samples: int) -> None:
        """Take one look at the numbers of events that have arrived; symbols without a number are left as they are."""
        for symbol, watched in self._watched.items():
            if symbol in received:
                watched.look(received[symbol], now, after_s, samples)

    def troubles(self, after_s: float, held_up: Collection[str]) -> list[Trouble]:
        """What is to be told; not of `held_up` symbols, whose own part of this service is known to be down."""
        quiet = [symbol for symbol, watched in self._watched.items() if watched.quiet]
        heard = [symbol for symbol in quiet if symbol not in held_up]
        if not heard:
            return []
        cause = f"nothing has arrived for more than {after_s:g} s"
        if len(quiet) == len(self._watched) and len(quiet) > 1:
            return [Trouble(FEED_DOWN, FEED, cause, f"of none of {len(quiet)} symbols")]
        detail = "while others live" if len(quiet) < len(self._watched) else "there is no other symbol"
        return [Trouble(SYMBOL_QUIET, symbol, cause, detail) for symbol in heard]

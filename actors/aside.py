"""What the router sets aside: quarantined and skipped events, written to the store under ALL_SYMBOLS.

They count in the ledger like any event, so that everything FEED delivered has exactly one outcome somewhere.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from data_manager.actors.routing import Aside, Refused, Skipped
from data_manager.storage.ledger import BatchEntry, Counts
from data_manager.storage.protocols import Event, MarketStore, Write, Written
from data_manager.storage.records import ALL_SYMBOLS, Quarantined, Symbol
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import StoreError
from data_manager.system.event_types import metric_label
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics

T = TypeVar("T")

RETRY_S, RETRY_CAP_S = 0.2, 30.0
MAX_SKIPPED_SYMBOLS = 200  # symbols that are counted and sampled by name
OTHER = "_other"  # all further ones; no symbol can be called that
SAMPLES = 10  # newest raw events kept per skipped symbol
SAMPLE_BYTES = 2048  # of each


def write_of(
    asides: Sequence[Aside],
    seen: Set[int],
    incarnation: int,
    routed_through: int,
    market_seq: int,
    now: int,
) -> Write:
    """All that one transaction writes for these events, `now` in ms.

    `seen` are positions written before: such an event is *redelivered* and its outcome *duplicate*. Of a
    refused event the store finds the outcome by its key.
    """
    write = Write(
        batches=[BatchEntry(market_seq, incarnation, routed_through, tuple(sorted(a.position for a in asides)))]
    )
    for aside in asides:
        piece, again = aside.piece, int(aside.position in seen)
        label = piece.event_type
        counts = Counts(received=1, redelivered=again)
        if isinstance(piece, Skipped):
            counts += Counts(duplicate=1) if again else Counts(skipped=1)
        else:
            row = Quarantined(
                incarnation,
                aside.position,
                label,
                piece.reason,
                piece.sentence,
                piece.raw,
                aside.received_us // 1000,
                now,
            )
            write.events.append(Event(label, row))
        write.counts[label] = write.counts.get(label, Counts()) + counts
    return write


class SkippedSymbols:
    """Skipped events by symbol and type, and the newest raw ones, of a bounded number of symbols."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()  # by (symbol or OTHER, event type)
        self.samples: dict[str, deque[bytes]] = {}

    def add(self, piece: Skipped) -> str:
        """Count one event; returns the name it is counted under."""
        symbol = piece.symbol
        if symbol not in self.samples:
            if len(self.samples) >= MAX_SKIPPED_SYMBOLS:
                self.counts[OTHER, piece.event_type] += 1
                return OTHER
            self.samples[symbol] = deque(maxlen=SAMPLES)
        self.counts[symbol, piece.event_type] += 1
        self.samples[symbol].append(piece.raw[:SAMPLE_BYTES])
        return symbol


class AsideWriter:
    """Commits asides on one thread of its own and waits out a store that is away.

    `away` is true meanwhile; `busy_since` is the monotonic start of a store call under way, None without one.
    """

    def __init__(self, store: MarketStore, clock: Clock, rng: random.Random, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.skipped = SkippedSymbols()
        self.away = False
        self.busy_since: float | None = None

    async def write(self, asides: Sequence[Aside], incarnation: int, routed_through: int) -> None:
        """Return once all of it is committed, however long that takes."""
        pause = RETRY_S
        while True:
            try:
                written = await self._call(lambda: self._commit(asides, incarnation, routed_through))
            except StoreError as error:
                self._note(error)
            else:
                break
            await asyncio.sleep(pause * self._rng.uniform(0.8, 1.0))
            pause = min(pause * 2, RETRY_CAP_S)
        self._note(None)
        self._count(asides, written)

    async def routed_through(self, symbols: Sequence[str], incarnation: int) -> int:
        """The FEED sequence up to which all was routed, as far as the ledgers know; 0 where they do not."""

        def look() -> int:
            ledgers = [self._store.ledger(Symbol(symbol)) for symbol in symbols]
            return max((ledger.routed_through for ledger in ledgers if ledger.incarnation == incarnation), default=0)

        return await self._call(look)

    def close(self) -> None:
        """Wait for the call under way, close the store and end the thread."""
        self._thread.submit(self._store.close).result()
        self._thread.shutdown()

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, work)

    def _timed(self, work: Callable[[], T]) -> T:
        self.busy_since = self._clock.monotonic()
        try:
            return work()
        finally:
            self.busy_since = None

    def _commit(self, asides: Sequence[Aside], incarnation: int, routed_through: int) -> Written:
        ledger = self._store.ledger(ALL_SYMBOLS)
        seen: set[int] = set()
        if incarnation == ledger.incarnation:  # positions rise: only one that is not above all can be a repetition
            again = [aside.position for aside in asides if aside.position <= ledger.last_position]
            seen = self._store.seen_positions(ALL_SYMBOLS, incarnation, again) if again else seen
        number, now = ledger.last_market_seq + 1, now_ms(self._clock)
        return self._store.write(ALL_SYMBOLS, write_of(asides, seen, incarnation, routed_through, number, now))

    def _count(self, asides: Sequence[Aside], written: Written) -> None:
        for aside in asides:
            piece = aside.piece
            if isinstance(piece, Refused):
                self._metrics.inc(
                    "data_manager_messages_failed_total",
                    event_type=metric_label(piece.event_type),
                    error_type=piece.reason,
                )
            else:
                self._outcome(self.skipped.add(piece), piece.event_type, "skipped", 1)
        for label, counts in written.counts.items():
            if counts.quarantined:
                self._outcome(ALL_SYMBOLS, label, "quarantined", counts.quarantined)

    def _outcome(self, symbol: str, label: str, outcome: str, times: int) -> None:
        self._metrics.inc("data_manager_events_total", times, symbol=symbol, event_type=label, outcome=outcome)

    def _note(self, error: StoreError | None) -> None:
        """Log a change of state."""
        if self.away != (error is not None):
            self.away = not self.away
            if error:
                log("market_store_away", logging.WARNING, cause=str(error))
            else:
                log("market_store_back")

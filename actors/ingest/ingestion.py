"""What ingest does with a handful of MARKET batches: decode, write, count, derive bars.

Synchronous, for the actor's one writer thread. After a StoreError nothing of the call has happened, and the same
batches may be given again: every write is idempotent by natural key.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import msgspec

from data_manager.actors.ingest.bars import Bars
from data_manager.actors.ingest.depth import Break, Chain
from data_manager.actors.ingest.events import Decoded, Decoder, Skipped
from data_manager.actors.ingest.quarantine import Quarantine, quarantined
from data_manager.actors.ingest.sampling import Predictions, conflate
from data_manager.storage.ledger import BatchEntry, Counts
from data_manager.storage.protocols import Event, MarketStore, Write, Written
from data_manager.storage.records import Candle, Depth, Funding, Quarantined, Symbol, Trade
from data_manager.system import frames
from data_manager.system.clock import Clock, now_ms
from data_manager.system.delivery import Delivery
from data_manager.system.errors import RowRefused, StoreError
from data_manager.system.event_types import UNKNOWN
from data_manager.system.logs import log
from data_manager.system.settings import Settings
from data_manager.system.tracing import NO_SPAN, OFF, Attributes, Span, Tracer

ATTEMPTS = 3  # at an event whose processing raises, before it is quarantined
PROCESSING, STORE_REFUSES = "processing", "store_refuses"  # reasons, beside those of quarantine.py


class Report(msgspec.Struct):
    """What one call did, for metrics and for whoever suspects gaps."""

    counts: dict[str, Counts] = {}  # the ledger's delta
    failures: list[tuple[str, str]] = []  # (event type, reason) of what was quarantined
    waits_ms: dict[int, int] = {}  # from the server receiving an event to its commit: ms -> events
    breaks: list[Break] = []
    depth_updates: int = 0
    derived: dict[str, int] = {}  # bars by timeframe


class _Unpacked(msgspec.Struct):
    """The frames of some deliveries, decoded and sorted by what becomes of them."""

    write: Write
    events: list[Event] = []
    frames: dict[int, frames.Frame] = {}  # by position
    fundings: list[Funding] = []
    received: Counter[str] = msgspec.field(default_factory=Counter)  # by event type, as the next two
    redelivered: Counter[str] = msgspec.field(default_factory=Counter)
    skipped: Counter[str] = msgspec.field(default_factory=Counter)
    traces: dict[str, None] = {}  # the distinct ones, in their order; only where spans are kept
    report: Report = msgspec.field(default_factory=Report)

    def counts(self, conflated: dict[str, Counts]) -> dict[str, Counts]:
        """What is known of the ledger's delta before the store has spoken."""
        return {
            label: Counts(received=times, redelivered=self.redelivered[label], skipped=self.skipped[label])
            + conflated.get(label, Counts())
            for label, times in self.received.items()
        }


class Ingestion:
    """One symbol's events on their way into the store."""

    def __init__(
        self, symbol: Symbol, settings: Settings, store: MarketStore, clock: Clock, tracer: Tracer = OFF
    ) -> None:
        self._symbol = symbol
        self._tracer = tracer
        self._subject = settings.market_subject(symbol)
        self._store = store
        self._clock = clock
        self._decoder = Decoder(symbol, settings)
        self._bars = Bars(symbol, store, clock)
        self._chain = Chain()
        self._predictions = Predictions()
        self._stale = True  # what is known here must be read back from the store
        self._incarnation, self._newest = 0, -1  # of FEED, and the highest position written in it
        self._backlog_ms = 0  # how old the events at hand are

    def store(self, deliveries: Sequence[Delivery]) -> Report:
        """Write everything these deliveries hold, then derive what has become due. Raises StoreError."""
        self._recover()
        self._stale = True  # until all of this has worked
        began_us = self._clock.now_us()
        unpacked = self._unpack(deliveries)
        report = unpacked.report
        with self._span(unpacked, len(deliveries), began_us):
            self._write(unpacked)
            report.waits_ms = self._waits(frame.received_us for frame in unpacked.frames.values())
            self._derive(report)
        self._stale = False
        return report

    def derive(self) -> Report:
        """Do what time alone has made due: derive bars, give up missing links. Raises StoreError."""
        self._recover()
        self._stale = True
        report = Report()
        self._derive(report)
        report.breaks += self._chain.expire(now_ms(self._clock) - self._backlog_ms)
        self._stale = False
        return report

    def _recover(self) -> None:
        if self._stale:
            self._bars.recover()
            ledger = self._store.ledger(self._symbol)
            self._incarnation, self._newest = ledger.incarnation, ledger.last_position
            self._stale = False

    def _span(self, unpacked: _Unpacked, batches: int, began_us: int) -> AbstractContextManager[Span]:
        """The work on all of them, linked to those who published their events."""
        if not unpacked.traces:
            return NO_SPAN
        attributes: Attributes = {
            "messaging.system": "nats",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._subject,
            "messaging.batch.message_count": batches,
            "data_manager.symbol": self._symbol,
            "data_manager.events": unpacked.received.total(),
            **{f"data_manager.events.{label}": times for label, times in unpacked.received.items()},
        }
        return self._tracer.batch(f"process {self._subject}", unpacked.traces, began_us, attributes)

    # -- decode ---------------------------------------------------------------------------------------------

    def _unpack(self, deliveries: Sequence[Delivery]) -> _Unpacked:
        now = now_ms(self._clock)
        unpacked = _Unpacked(Write())
        here: set[int] = set()  # positions that came earlier in this call
        for delivery in deliveries:
            batch = _batch_of(delivery, self._incarnation)
            if batch.incarnation != self._incarnation:  # positions start anew
                self._incarnation, self._newest = batch.incarnation, -1
                here.clear()
            if self._tracer.on:
                unpacked.traces.update((frame.trace, None) for frame in batch.frames if frame.trace)
            seen = self._seen(batch, here)
            for frame in batch.frames:
                decoded = self._decode(frame, delivery.sequence, now)
                unpacked.received[decoded.event_type] += 1
                unpacked.frames[frame.position] = frame
                if isinstance(decoded.outcome, Event):
                    unpacked.events.append(decoded.outcome)
                if not isinstance(decoded.outcome, Event) or decoded.book is not None or decoded.funding is not None:
                    self._note(unpacked, decoded, frame, now)
                if seen and frame.position in seen:
                    unpacked.redelivered[decoded.event_type] += 1
            positions = tuple(sorted(frame.position for frame in batch.frames))
            here.update(positions)
            if batch.incarnation:
                entry = BatchEntry(delivery.sequence, batch.incarnation, batch.routed_through, positions)
                unpacked.write.batches.append(entry)
        unpacked.write.events, conflated = conflate(unpacked.events)
        unpacked.write.counts = unpacked.counts(conflated)
        unpacked.write.side = list(self._predictions.worth_writing(unpacked.fundings))
        return unpacked

    def _decode(self, frame: frames.Frame, market_seq: int, now: int) -> Decoded:
        """The decoder never raises; if it does all the same, the fault stays with this one event."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._decoder.decode(frame, market_seq, now)
            except Exception as error:  # noqa: BLE001  the event boundary: a neighbour must not suffer
                sentence = f"{type(error).__name__}: {error}"[:500]
                log("event_failed", logging.WARNING, position=frame.position, attempt=attempt, cause=sentence)
        return Decoded(UNKNOWN, Quarantine(PROCESSING, f"{ATTEMPTS} attempts failed; the last: {sentence}"))

    def _note(self, unpacked: _Unpacked, decoded: Decoded, frame: frames.Frame, now: int) -> None:
        """Everything about a frame but the row it becomes."""
        outcome, label = decoded.outcome, decoded.event_type
        if isinstance(outcome, Skipped):
            unpacked.skipped[label] += 1
        elif isinstance(outcome, Quarantine):
            row = quarantined(frame, self._incarnation, label, outcome, now)
            unpacked.events.append(Event(label, row))
            unpacked.report.failures.append((label, outcome.reason))
        if decoded.book is not None:
            unpacked.write.book = _newer(unpacked.write.book, decoded.book)
        if decoded.funding is not None:
            unpacked.fundings.append(decoded.funding)
        if decoded.update is not None:
            received_ms = frame.received_us // 1000
            self._backlog_ms = now - received_ms
            unpacked.report.depth_updates += 1
            unpacked.report.breaks += self._chain.observe(decoded.update, received_ms)

    def _seen(self, batch: frames.Batch, here: set[int]) -> set[int]:
        """The positions in the batch that some batch brought before.

        Positions rise, so only one that is not above all known ones can be a redelivery. The broker's own word
        is no help: killed, it forgets what it has delivered.
        """
        newest = max(self._newest, max(here, default=-1))
        suspects = {frame.position for frame in batch.frames if frame.position <= newest}
        if not suspects:
            return suspects
        return (suspects & here) | self._store.seen_positions(self._symbol, batch.incarnation, suspects)

    # -- write ----------------------------------------------------------------------------------------------

    def _write(self, unpacked: _Unpacked) -> None:
        write = unpacked.write
        closed = [(e.record.timeframe, e.record.open_time) for e in write.events if isinstance(e.record, Candle)]
        trades = [event.record for event in write.events if isinstance(event.record, Trade)]
        write.dirty_minutes = self._bars.before_write(trades, closed)
        written = self._write_or_quarantine(unpacked)
        trades = [event.record for event in write.events if isinstance(event.record, Trade)]
        self._bars.after_write(trades, written.new_trades == len(trades), closed)
        self._predictions.wrote([row for row in write.side if isinstance(row, Funding)])
        unpacked.report.counts = written.counts
        self._newest = max(self._newest, max(unpacked.frames, default=-1))

    def _write_or_quarantine(self, unpacked: _Unpacked) -> Written:
        """Write; a row that the store refuses goes to quarantine in its place, its neighbours stay."""
        write = unpacked.write
        while True:
            try:
                return self._store.write(self._symbol, write)
            except RowRefused as refused:
                event = write.events[refused.index]
                if isinstance(event.record, Quarantined):
                    raise StoreError(f"the store refuses even the quarantined event: {refused}") from refused
                frame = unpacked.frames[event.record.feed_seq]  # type: ignore[attr-defined]
                verdict = Quarantine(STORE_REFUSES, str(refused))
                now = now_ms(self._clock)
                row = quarantined(frame, self._incarnation, event.event_type, verdict, now)
                write.events[refused.index] = Event(event.event_type, row)
                unpacked.report.failures.append((event.event_type, STORE_REFUSES))

    def _derive(self, report: Report) -> None:
        """One round; what is due beyond it waits for the next call, so that no unit of work takes long."""
        now = now_ms(self._clock)
        if not self._bars.due(now):
            return
        bars, minutes = self._bars.derive(now)
        self._store.write(self._symbol, Write(derived=bars, clean_minutes=minutes))
        for bar in bars:
            report.derived[bar.timeframe] = report.derived.get(bar.timeframe, 0) + 1

    def _waits(self, received: Iterable[int]) -> dict[int, int]:
        now = self._clock.now_us()
        return Counter((now - at) // 1000 for at in received)


def _batch_of(delivery: Delivery, incarnation: int) -> frames.Batch:
    """The batch; whatever else is published on the subject becomes one frame, which the decoder will refuse."""
    try:
        return frames.decode(delivery.payload)
    except msgspec.DecodeError:
        # a negative position: no router gives one, and the MARKET sequence makes it unique
        frame = frames.Frame(-delivery.sequence, delivery.received_us, delivery.payload)
        return frames.Batch(incarnation, 0, [frame])


def _newer(book: Depth | None, other: Depth) -> Depth:
    return other if book is None or other.last_update_id >= book.last_update_id else book

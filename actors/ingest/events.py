"""One symbol's decoder: what becomes of each frame. Pure and synchronous.

Raw bytes are parsed (parsing.py) into a wire event (wire.py), which becomes a row (rows.py) as its storage
policy wants it. Whatever a frame holds, `Decoder.decode` answers with exactly one outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from data_manager.actors.ingest import rows, wire
from data_manager.actors.ingest.depth import MAX_LEVELS, SnapshotTest, Update, check_levels
from data_manager.actors.ingest.parsing import label_of, parse
from data_manager.actors.ingest.quarantine import BAD_SHAPE, SYMBOL_MISMATCH, Quarantine
from data_manager.actors.ingest.reference import Reference, check_book
from data_manager.actors.ingest.rows import Origin
from data_manager.actors.ingest.sampling import slot_of
from data_manager.storage.protocols import Event
from data_manager.storage.records import TIMEFRAMES, Depth, Funding, Levels, Record, Symbol
from data_manager.system.errors import DataError
from data_manager.system.frames import Frame
from data_manager.system.settings import Settings, StoragePolicy


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A good event that is not stored; `reason` is `policy`, `diff_depth` or `timeframe`."""

    reason: str


BY_POLICY, DIFF_DEPTH, TIMEFRAME = Skipped("policy"), Skipped("diff_depth"), Skipped("timeframe")


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What became of one frame: its ledger label, its one outcome, and what it told besides.

    Those other facts are there whatever the storage policies say.
    """

    event_type: str
    outcome: Event | Skipped | Quarantine
    book: Depth | None = None  # of a snapshot; its slot means nothing
    update: Update | None = None  # of a diff depth event, for the Chain
    funding: Funding | None = None  # what a mark price announces: a row that is not counted


class Decoder:
    """Decodes the frames of one symbol.

    It remembers little: the symbol's newest price, and whether its depth stream proved to be a diff. So the
    same frame gives the same row on every delivery, except for the depth events that need either.
    """

    def __init__(self, symbol: Symbol, settings: Settings) -> None:
        self._symbol = symbol
        self._depth_policy = settings.store_depth
        self._book_ticker_policy = settings.store_book_ticker
        self._ticker_policy = settings.store_ticker
        self._mark_price_policy = settings.store_mark_price
        self._force_order_policy = settings.store_force_order
        self._snapshot_test = SnapshotTest(settings.depth_kind)
        self._reference: Reference | None = None
        self._decoders: dict[type, Callable[[Any, str, Origin], Decoded]] = {
            wire.Trade: self._trade,
            wire.AggTrade: self._agg_trade,
            wire.Ticker: self._ticker,
            wire.MiniTicker: self._mini_ticker,
            wire.DepthUpdate: self._depth_update,
            wire.PartialBook: self._partial_book,
            wire.BookTicker: self._book_ticker,
            wire.MarkPrice: self._mark_price,
            wire.Kline: self._kline,
            wire.FundingRate: self._funding_rate,
            wire.ForceOrder: self._force_order,
        }

    def decode(self, frame: Frame, market_seq: int, now_ms: int) -> Decoded:
        """The outcome of one frame; never raises. `market_seq` and `now_ms` go into the records."""
        try:
            event, stream = parse(frame.raw, frame.received_us)
            if event.symbol != self._symbol:
                raise DataError(SYMBOL_MISMATCH, _mismatch(event.symbol, self._symbol))
            return self._decoders[type(event)](event, stream, (frame.position, market_seq, now_ms))
        except DataError as error:
            return Decoded(label_of(frame.raw), Quarantine(error.reason, str(error)))

    def _trade(self, event: wire.Trade, _stream: str, origin: Origin) -> Decoded:
        record = rows.trade(event, origin)
        self._reference = record.price, record.time_ms
        return Decoded("trade", Event("trade", record))

    def _agg_trade(self, event: wire.AggTrade, _stream: str, origin: Origin) -> Decoded:
        record = rows.agg_trade(event, origin)
        self._reference = record.price, record.time_ms
        return Decoded("aggTrade", Event("aggTrade", record))

    def _ticker(self, event: wire.Ticker, _stream: str, origin: Origin) -> Decoded:
        record = rows.ticker(event, slot_of(self._ticker_policy, event.event_time, event.event_time), origin)
        self._reference = record.close_price, record.time_ms
        return Decoded("24hrTicker", _outcome("24hrTicker", record, self._ticker_policy))

    def _mini_ticker(self, event: wire.MiniTicker, _stream: str, origin: Origin) -> Decoded:
        slot = slot_of(self._ticker_policy, event.event_time, event.event_time)
        record = rows.mini_ticker(event, slot, origin)
        self._reference = record.close_price, record.time_ms
        return Decoded("24hrMiniTicker", _outcome("24hrMiniTicker", record, self._ticker_policy))

    def _depth_update(self, event: wire.DepthUpdate, stream: str, origin: Origin) -> Decoded:
        looks_diff = check_levels(event.bids, event.asks)
        sizes = len(event.bids), len(event.asks)
        if self._snapshot_test.is_snapshot(sizes, looks_diff, stream):
            return self._snapshot(event.time_ms, event.final_id, event.bids, event.asks, origin)
        previous_id = event.first_id - 1 if event.previous_id is None else event.previous_id
        if previous_id >= event.final_id:
            raise DataError(BAD_SHAPE, f"The depth update ends at id {event.final_id}, but follows id {previous_id}.")
        return Decoded("depthUpdate", DIFF_DEPTH, update=Update(previous_id, event.final_id))

    def _partial_book(self, event: wire.PartialBook, _stream: str, origin: Origin) -> Decoded:
        check_levels(event.bids, event.asks)
        check_book(event.bids, event.asks, event.time_ms, self._reference)
        return self._snapshot(event.time_ms, event.last_update_id, event.bids, event.asks, origin)

    def _snapshot(self, time_ms: int, update_id: int, bids: Levels, asks: Levels, origin: Origin) -> Decoded:
        slot = slot_of(self._depth_policy, time_ms, update_id)
        book = Depth(slot, time_ms, update_id, bids[:MAX_LEVELS], asks[:MAX_LEVELS], *origin)
        return Decoded("depthUpdate", _outcome("depthUpdate", book, self._depth_policy), book=book)

    def _book_ticker(self, event: wire.BookTicker, _stream: str, origin: Origin) -> Decoded:
        policy = self._book_ticker_policy
        slot = slot_of(policy, event.time_ms, event.update_id)
        return Decoded("bookTicker", _outcome("bookTicker", rows.book_ticker(event, slot, origin), policy))

    def _mark_price(self, event: wire.MarkPrice, _stream: str, origin: Origin) -> Decoded:
        policy = self._mark_price_policy
        record = rows.mark_price(event, slot_of(policy, event.event_time, event.event_time), origin)
        outcome = _outcome("markPriceUpdate", record, policy)
        return Decoded("markPriceUpdate", outcome, funding=rows.prediction(record, origin))

    def _kline(self, event: wire.Kline, _stream: str, origin: Origin) -> Decoded:
        if event.bar.interval not in TIMEFRAMES:
            return Decoded("kline", TIMEFRAME)
        return Decoded("kline", Event("kline", rows.bar(event, origin), keep_first=False))

    def _funding_rate(self, event: wire.FundingRate, _stream: str, origin: Origin) -> Decoded:
        return Decoded("fundingRate", Event("fundingRate", rows.funding_rate(event, origin), keep_first=False))

    def _force_order(self, event: wire.ForceOrder, _stream: str, origin: Origin) -> Decoded:
        outcome = _outcome("forceOrder", rows.liquidation(event, origin), self._force_order_policy)
        return Decoded("forceOrder", outcome)


def _outcome(event_type: str, record: Record, policy: StoragePolicy) -> Event | Skipped:
    """A sampled slot goes to its best record, any other key to the first: there a second one is a copy."""
    if policy.mode == "off":
        return BY_POLICY
    return Event(event_type, record, keep_first=policy.mode == "full")


def _mismatch(found: str, expected: Symbol) -> str:
    return f"The event is of {repr(found)[:60]}, but came to {expected}."

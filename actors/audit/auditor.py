"""The audit of a symbol: each of its series in turns, its gaps kept in the catalog, and its health measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from data_manager.actors.audit.candles import Audited, CandleAudit
from data_manager.actors.audit.conf import AuditConf
from data_manager.actors.audit.events import EventAudit
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.keeping import Book, Kept, range_of, read_book, settle
from data_manager.actors.audit.lost import Break, Silence, keep_breaks, keep_silences, witnessed
from data_manager.actors.audit.measured import HOUR_MS
from data_manager.actors.audit.rates import FundingAudit
from data_manager.actors.audit.scoring import Scoring
from data_manager.actors.audit.trades import TradeAudit
from data_manager.actors.housekeeping.chores import rested
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.records import Candle, Funding, Series, Symbol, Trade, series_of
from data_manager.storage.retention import retention_of
from data_manager.system.clock import Clock, now_ms
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings

REPAIRABLE = (Candle, Trade, Funding)  # the types whose history the exchange gives


class Auditor:
    """Finds gaps and closes those that are whole again. Raises StoreError where a store is away.

    `gaps_found` is called for a symbol once new open gaps of it are in the catalog.
    """

    def __init__(
        self,
        market: StoreThread[MarketStore],
        catalog: StoreThread[Catalog],
        settings: Settings,
        conf: AuditConf,
        clock: Clock,
        metrics: Metrics,
        gaps_found: Callable[[Symbol], None],
    ) -> None:
        self._market = market
        self._catalog = catalog
        self._clock = clock
        self._metrics = metrics
        self._gaps_found = gaps_found
        grace_ms = round(settings.gap_tolerance_seconds * 1000)
        retention, look_back_ms = retention_of(settings), conf.health.window_hours * HOUR_MS
        self._candles = CandleAudit(retention, grace_ms, look_back_ms)
        self._trades = TradeAudit(retention, grace_ms, look_back_ms)
        self._rates = FundingAudit(retention, conf.funding.grace_s * 1000, look_back_ms)
        self._events = EventAudit(retention, conf, settings, grace_ms)
        self._siblings = conf.silence.siblings
        self._scoring = Scoring(conf, self._candles, self._trades, self._rates, self._events, metrics)
        self._look_back_ms: int | None = conf.start_hours * HOUR_MS  # for trades and events; None: to the beginning

    async def symbols(self) -> Sequence[Symbol]:
        """Every symbol that holds data."""
        return await self._market.call(lambda store: store.symbols())

    def forget(self) -> None:
        """Take nothing for whole any more: the next look at each series begins at its beginning."""
        self._look_back_ms = None
        for audit in (self._candles, self._trades, self._rates, self._events):
            audit.forget()

    async def look(self, symbol: Symbol) -> None:
        """Look at what may have changed since the last look, and measure the symbol's health."""
        book, now = await self._catalog.call(partial(read_book, symbol)), now_ms(self._clock)
        kept: dict[Series, Kept] = {}
        for series in series_of(symbol):
            if series.record in REPAIRABLE:
                kept[series] = await self._settle(await self._look(series, book, now), book)
        lost: dict[Series, list[Range]] = {}
        for series in self._events.stored(symbol):
            found = await self._silences(series, now)
            before = map(range_of, book.settled.get(series.dataset_id, ()))
            lost[series] = [*before, *(silence.range for silence in found)]
        measured = await self._market.call(partial(self._scoring.measure, symbol, kept, lost, now_ms(self._clock)))
        await self._catalog.call(lambda catalog: catalog.save_health(measured))
        if any(each.opened for each in kept.values()):
            self._gaps_found(symbol)

    async def look_again(self, symbol: Symbol, dataset_id: str, repaired: Range) -> None:
        """Look at what a job has repaired, and at nothing else."""
        series = next((each for each in series_of(symbol) if each.dataset_id == dataset_id), None)
        if series is None or series.record not in REPAIRABLE:
            return
        book, now = await self._catalog.call(partial(read_book, symbol)), now_ms(self._clock)
        kept = await self._settle(await self._look_within(series, repaired, now), book)
        if kept.opened:
            self._gaps_found(symbol)

    async def keep_breaks(self, breaks: Sequence[Break]) -> None:
        """Keep the breaks that ingest has told in the catalog."""
        now = now_ms(self._clock)
        await self._catalog.call(lambda catalog: keep_breaks(breaks, now, catalog, self._metrics))

    async def _look(self, series: Series, book: Book, now: int) -> Audited:
        market = self._market
        if series.record is Candle:
            since = book.begins.get(series.dataset_id)
            return await market.call(lambda store: self._candles.look(series, now, store, since_ms=since))
        if series.record is Funding:
            return await market.call(lambda store: self._rates.look(series, now, store))
        done = False
        while not done:
            async with rested(self._clock):
                done = await market.call(lambda store: self._trades.read(series, now, store, self._since(now)))
        known = [range_of(gap) for gap in book.lasting.get(series.dataset_id, ())]
        return await market.call(lambda store: self._trades.look(series, now, store, known))

    async def _look_within(self, series: Series, within: Range, now: int) -> Audited:
        if series.record is Candle:
            return await self._market.call(lambda store: self._candles.look(series, now, store, within=within))
        if series.record is Funding:
            return await self._market.call(lambda store: self._rates.look(series, now, store, within=within))
        return await self._market.call(lambda store: self._trades.look_again(series, within, now, store))

    async def _settle(self, audited: Audited, book: Book) -> Kept:
        now = now_ms(self._clock)
        return await self._catalog.call(lambda catalog: settle(audited, book, now, catalog, self._metrics))

    async def _silences(self, series: Series, now: int) -> list[Silence]:
        """Read on to the end, and keep every silence that is found."""
        found: list[Silence] = []
        types = list(self._events.stored(series.symbol))
        done = False
        while not done:
            async with rested(self._clock):
                silent, done = await self._market.call(
                    lambda store: self._events.read(series, now, store, self._since(now))
                )
                witnesses = partial(witnessed, series, silent, types, self._siblings)
                told = await self._market.call(witnesses) if silent else []
                if told:
                    await self._keep_silences(told, now)
            found += told
        return found

    async def _keep_silences(self, silences: Sequence[Silence], now: int) -> None:
        await self._catalog.call(lambda catalog: keep_silences(silences, now, catalog, self._metrics))

    def _since(self, now: int) -> int:
        return 0 if self._look_back_ms is None else now - self._look_back_ms

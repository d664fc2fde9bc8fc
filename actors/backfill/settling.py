"""After a job's last page: bars are derived and rolled up from what was stored, and the range is proven whole."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from data_manager.actors.audit.coverage import Coverage
from data_manager.actors.audit.grid import Range, due_before, joined
from data_manager.actors.backfill import deriving, proving, rollup
from data_manager.actors.backfill.errand import Errand
from data_manager.actors.backfill.paging import SETTLED_MS
from data_manager.actors.backfill.patience import Stores
from data_manager.actors.backfill.plan import DataType
from data_manager.storage.records import TIMEFRAMES, Candle, Series, Symbol
from data_manager.system.clock import Clock, now_ms
from data_manager.system.metrics import Metrics

FINEST = "1m"


class Settler:
    """Works in short calls, each of bounded memory, so that a store is never held for long."""

    def __init__(self, stores: Stores, clock: Clock, metrics: Metrics) -> None:
        self._stores = stores
        self._clock = clock
        self._metrics = metrics

    async def settle(self, errand: Errand) -> str:
        """Derive, roll up and prove; what is still missing in a sentence, empty when nothing is. Raises StoreError."""
        work = errand.work
        if work.data_type is DataType.TRADES:
            await self.derive(work.symbol, work.within)
        for timeframe in derived_from(errand.series):
            if timeframe != FINEST:
                await self.roll_up(work.symbol, timeframe, work.within)
        if work.data_type is DataType.CANDLES:
            return await self._prove_bars(errand)
        return await (self._prove_trades(errand) if work.data_type is DataType.TRADES else self._prove_funding(errand))

    async def derive(self, symbol: Symbol, within: Range) -> None:
        """The bars of 1m of that range, and those beside it that its trades may have completed."""
        beside = await self._stores.read(partial(deriving.minutes_beside, symbol, within))
        now = now_ms(self._clock)
        for chunk in (*deriving.minute_chunks(within, now), *beside):
            derived = await self._stores.write(partial(deriving.derive_minutes, symbol, chunk, now))
            self._count(derived, symbol, FINEST)

    async def roll_up(self, symbol: Symbol, timeframe: str, within: Range) -> None:
        """The bars of that timeframe that overlap the range and have closed."""
        now = now_ms(self._clock)
        for chunk in rollup.chunks(timeframe, within, now):
            better = await self._stores.write(partial(rollup.roll_up_chunk, symbol, timeframe, chunk, now))
            self._count(better, symbol, timeframe)

    async def missing(self, series: Series, within: Range) -> list[Range]:
        """The bars of the range that are not stored whole, as far as they must have closed, in whole ranges."""
        assert series.timeframe is not None
        length, found = TIMEFRAMES[series.timeframe], list[Range]()
        due = due_before(now_ms(self._clock), length, SETTLED_MS)
        for chunk in proving.bar_chunks(Range(within.start_ms, min(within.end_ms, due)), length):
            found += await self._stores.read(partial(proving.missing_bars, series, chunk))
        return list(joined(found))

    async def _prove_bars(self, errand: Errand) -> str:
        assert errand.work.timeframe is not None
        holes = errand.unexplained(await self.missing(errand.series, errand.work.within))
        holes = await self._stores.read(partial(proving.traded, errand.series, holes))
        return proving.verdict(holes, TIMEFRAMES[errand.work.timeframe])

    async def _prove_trades(self, errand: Errand) -> str:
        within, coverage = self._settled(errand), Coverage()
        for chunk in proving.minute_chunks(within):
            await self._stores.read(partial(proving.cover, coverage, errand.work.symbol, chunk))
        none = coverage.span is None and within.start_ms < within.end_ms
        holes = [within] if none else proving.broken(coverage)
        return proving.verdict_of_places("Trades", [hole for hole in holes if not errand.memory.covers(hole)])

    async def _prove_funding(self, errand: Errand) -> str:
        within = self._settled(errand)
        holes = await self._stores.read(partial(proving.missing_rates, errand.work.symbol, within))
        return proving.verdict_of_places("Funding rates", [hole for hole in holes if not errand.memory.covers(hole)])

    def _settled(self, errand: Errand) -> Range:
        """What of the job's range the exchange's answers will not change any more."""
        start, end = errand.work.within
        return Range(start, max(start, min(end, now_ms(self._clock) - SETTLED_MS)))

    def _count(self, bars: int, symbol: Symbol, timeframe: str) -> None:
        if bars:
            self._metrics.inc("data_manager_candles_derived_total", bars, symbol=symbol, timeframe=timeframe)


def derived_from(series: Series) -> list[str]:
    """The timeframes whose bars follow from that series, shortest first: none from funding rates."""
    if series.record is Candle:
        assert series.timeframe is not None
        return rollup.longer(series.timeframe)
    return list(TIMEFRAMES) if series.record.dataset == "trades" else []


def repaired(errand: Errand) -> Iterator[tuple[Series, Range]]:
    """Every series that a job has touched, with the range of it: whole bars around the job's own range."""
    work = errand.work
    yield errand.series, work.within
    for timeframe in derived_from(errand.series):
        length = TIMEFRAMES[timeframe]
        start, end = work.within
        yield Series(work.symbol, Candle, timeframe), Range(start // length * length, -(-end // length) * length)

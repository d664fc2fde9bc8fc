"""One cycle: what the store holds of every symbol, read once, computed, and written as documents."""

from __future__ import annotations

from collections import Counter
from functools import partial

from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.analytics.categories import Results, documents_of, market_of, of_the_market, results_of
from data_manager.actors.analytics.conf import AnalyticsConf
from data_manager.actors.analytics.material import Material
from data_manager.actors.analytics.reading import material
from data_manager.actors.analytics.troubles import Troubles
from data_manager.actors.housekeeping.chores import rested
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import MarketStore, Write
from data_manager.storage.records import ALL_SYMBOLS, Analytics, Symbol
from data_manager.system.clock import Clock, now_ms
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics
from data_manager.system.symbols import Symbols

STATES = ("complete", "partial", "empty")


class Cycle:
    """Computes the documents of the symbols that there are; books of more than `reach_ms` ago are not read any more."""

    def __init__(
        self,
        market: StoreThread[MarketStore],
        symbols: Symbols,
        conf: AnalyticsConf,
        reach_ms: int,
        calculator: Calculator,
        troubles: Troubles,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._market = market
        self._symbols = symbols
        self._conf = conf
        self._reach_ms = reach_ms
        self._calculator = calculator
        self._clock = clock
        self._metrics = metrics
        self._troubles = troubles

    async def run(self) -> dict[str, Material]:
        """Write all documents as of now; returns what they were made of.

        A damaged file, or bars that cannot be computed with, cost their own symbol its documents, and no other.
        Raises StoreUnavailable or StoreFull, after which a new cycle does it all again.
        """
        began, at_ms = self._clock.monotonic(), now_ms(self._clock) // 1000 * 1000
        materials = await self._read(at_ms)
        states = Counter(await self._compute(materials)) if materials else Counter[str]()
        seconds = self._clock.monotonic() - began
        for state in STATES:
            self._metrics.set("data_manager_analytics_documents", states[state], state=state)
        self._metrics.set("data_manager_analytics_cycle_seconds", seconds)
        self._metrics.inc("data_manager_analytics_cycles_total")
        counts = {state: states[state] for state in STATES}
        log("analytics_computed", documents=states.total(), **counts, seconds=round(seconds, 2))
        return materials

    async def _read(self, at_ms: int) -> dict[str, Material]:
        found: dict[str, Material] = {}
        for symbol in map(Symbol, self._symbols.now):
            look = partial(material, symbol=symbol, conf=self._conf, at_ms=at_ms, reach_ms=self._reach_ms)
            with self._troubles.of(symbol):
                found[symbol] = await self._market.call(look)
        return found

    async def _compute(self, materials: dict[str, Material]) -> list[str]:
        """The states of the documents that were written."""
        conf, calculate = self._conf, self._calculator.call
        markets = {
            timeframe: await calculate(partial(market_of, materials, timeframe, conf)) for timeframe in conf.timeframes
        }
        states: list[str] = []
        results: dict[str, dict[str, Results]] = {}
        for symbol in materials:
            with self._troubles.of(symbol):
                of = {
                    timeframe: await calculate(partial(results_of, symbol, materials, timeframe, market, conf))
                    for timeframe, market in markets.items()
                }
                states += await self._write(symbol, self._documents(materials[symbol], of))
                results[symbol] = of
        with self._troubles.of(ALL_SYMBOLS):
            now = now_ms(self._clock)
            whole = await calculate(partial(of_the_market, materials, markets, results, conf, now))
            states += await self._write(ALL_SYMBOLS, whole)
        return states

    def _documents(self, of: Material, results: dict[str, Results]) -> list[Analytics]:
        now = now_ms(self._clock)
        return [each for timeframe, found in results.items() for each in documents_of(of, timeframe, found, now)]

    async def _write(self, symbol: str, documents: list[Analytics]) -> list[str]:
        """In one transaction, and with the rest that leaves ingest its turn; returns their states."""
        async with rested(self._clock):
            await self._market.call(lambda market: market.write(Symbol(symbol), Write(side=list(documents))))
        return [each.state for each in documents]

"""A process that computes one cycle as the analytics actor does, and reports what each part of it took."""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import data_manager.storage.catalog  # noqa: F401  what the actor imports before it says that it is ready
from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.analytics.worker import ANALYSIS, AnalyticsWorker
from data_manager.actors.stores import open_catalog
from data_manager.http.store_thread import StoreThread
from data_manager.storage.choice import open_market_store
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.bench.child import ready, report


def children_s() -> float:
    """CPU seconds of processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Laps:
    """CPU seconds of all threads, from one call to the next."""

    def __init__(self) -> None:
        self._last = 0.0  # the process's start

    def lap(self) -> float:
        """What was used since the last one."""
        now = time.process_time()
        used, self._last = now - self._last, now
        return used


async def compute(context: Context, laps: Laps) -> dict[str, float]:
    """The parts of one cycle, in the worker's order."""
    settings, clock, metrics = context.settings, context.clock, context.metrics
    market: StoreThread[MarketStore] = StoreThread("market store", lambda: open_market_store(settings, clock))
    catalog: StoreThread[Catalog] = StoreThread("catalog", lambda: open_catalog(context))
    calculator = Calculator(clock)
    try:
        await catalog.call(lambda opened: opened.check())  # brings its tables up to date
        laps.lap()
        await calculator.load(partial(import_module, ANALYSIS))
        figures = {"import_documents": laps.lap()}
        from data_manager.actors.analytics.analysis import REACH_MS
        from data_manager.actors.analytics.conf import analytics_conf
        from data_manager.actors.analytics.cycle import Cycle
        from data_manager.actors.analytics.detection import Detective
        from data_manager.actors.analytics.troubles import Troubles

        symbols, conf, troubles = Symbols(settings.supported_pairs), analytics_conf(), Troubles()
        laps.lap()
        cycle = Cycle(market, symbols, conf, REACH_MS, calculator, troubles, clock, metrics)
        materials = await cycle.run()
        figures["cycle"] = laps.lap()
        detective = Detective(market, catalog, conf, calculator, troubles, clock, metrics)
        try:
            await detective.look(materials, catalog)
        finally:
            await detective.close()
        figures["detectors"] = laps.lap() + children_s()
    finally:
        calculator.close()
        await asyncio.gather(market.close(), catalog.close())
    return figures


def main(folder: str, symbols: str) -> None:
    """Wait for `go`, compute, report."""
    laps = Laps()
    settings = Settings(data_dir=Path(folder), supported_pairs=symbols)  # type: ignore[arg-type]
    metrics = Metrics()
    context = Context(
        "analytics",
        1,
        None,
        settings,
        SystemClock(),
        random.Random(1),
        metrics,
        lambda message: None,
        Symbols(settings.supported_pairs),
    )
    AnalyticsWorker(context)
    start = laps.lap()
    ready()
    figures = asyncio.run(compute(context, laps))
    gauges = metrics.totals().gauges
    documents = sum(n for (name, _), n in gauges.items() if name == "data_manager_analytics_documents")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report(**figures, start=start, documents=documents, peak=peak)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The worker that computes: documents cycle by cycle, and anomalies after each and on demand.

All that computes is imported on the calculator's thread when there is something to compute: it takes seconds and
much memory, and a start must not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from data_manager.actors.analytics.beginning import Beginning, beginning_of
from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.audit.presence import Presence
from data_manager.actors.audit.worker import until
from data_manager.actors.housekeeping.chores import retry_s
from data_manager.actors.stores import open_catalog, open_fenced_catalog, open_market
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreError
from data_manager.system.fleet_messages import Scheduled
from data_manager.system.logs import log
from data_manager.system.messages import Detected, DetectRequested, Message
from data_manager.system.tree import ANALYTICS
from data_manager.system.worker import Context, Status

if TYPE_CHECKING:
    from data_manager.actors.analytics.analysis import Analysis

ANALYSIS = "data_manager.actors.analytics.analysis"
ANSWER_S = 60.0  # for one call: in full mode the books of an hour are tens of thousands of rows
SETTLE_MS = 10_000  # a cycle is due so long after a multiple of its interval, when bars that close then are there
HISTORY_POLL_S = 0.5
HISTORY_WAIT_S = 120.0  # the first cycle waits no longer for history that is being fetched
MAX_REQUESTS = 4  # on demand, that wait


class AnalyticsWorker:
    """Computes on a schedule; the first time as soon as the first history is there. On demand it always answers."""

    def __init__(self, context: Context) -> None:
        settings, clock = context.settings, context.clock
        self._context = context
        self._market: StoreThread[MarketStore] = StoreThread(
            "market store", lambda: open_market(context), answer_s=ANSWER_S
        )
        self._catalog: StoreThread[Catalog] = StoreThread("catalog", lambda: open_catalog(context))
        self._presence = Presence({"market_store": self._market, "catalog": self._catalog})
        self._calculator = Calculator(clock)
        self._requests: asyncio.Queue[DetectRequested] = asyncio.Queue(MAX_REQUESTS)
        self._interval_ms = max(1, round(1000 * settings.analytics_interval))
        self._loading: asyncio.Task[Analysis] | None = None
        self._analysis: Analysis | None = None
        # of the lease under which the schedule is kept: 0 where there are none, None while another replica has it
        self._token: int | None = None if settings.is_replicated else 0
        self._rescheduled = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. A cycle under way is dropped then: the next one computes it all again."""
        try:
            await until(stop, self._presence.run(), self._cycles(), self._answers())
        finally:
            self._calculator.close()
            if self._analysis is not None:
                await self._analysis.close()
            await asyncio.gather(self._market.close(), self._catalog.close())

    def status(self) -> Status:
        """`waiting` for a store that is away."""
        return self._presence.status()

    def busy_since(self) -> float | None:
        """The start of the calculation in hand; calls to the stores have their own time limits."""
        return self._calculator.busy_since()

    def receive(self, message: Message) -> None:
        """What is to be looked at now."""
        match message:
            case DetectRequested():
                try:
                    self._requests.put_nowait(message)
                except asyncio.QueueFull:
                    problem = f"{MAX_REQUESTS} requests wait already: ask again later."
                    self._context.send(Detected(message.request_id, problem=problem))
            case Scheduled(token=token):
                if (token or None) != self._token:
                    self._token = token or None
                    self._rescheduled.set()
            case _:
                raise TypeError(f"{self._context.name} does not understand {type(message).__name__}")

    async def _cycles(self) -> None:
        """Of several replicas one has the schedule, for as long as it has the lease."""
        while True:
            self._rescheduled.clear()
            if self._token is None:
                await self._rescheduled.wait()
            else:
                await until(self._rescheduled, self._keep_schedule(self._token))

    async def _keep_schedule(self, token: int) -> None:
        context = self._context
        catalog: StoreThread[Catalog] = StoreThread("catalog", lambda: open_fenced_catalog(context, ANALYTICS, token))
        try:
            await self._cycle_for_ever(catalog)
        finally:
            await catalog.close()

    async def _cycle_for_ever(self, catalog: StoreThread[Catalog]) -> None:
        clock, rng = self._context.clock, self._context.rng
        await self._history()
        analysis = await self._loaded()
        failures = 0
        while True:
            try:
                await analysis.cycle(catalog)
            except StoreError as error:
                if not failures:
                    log("analytics_waits", logging.WARNING, cause=str(error))
                failures += 1
                await asyncio.sleep(retry_s(failures, rng))
            else:
                failures = 0
                now = now_ms(clock)
                await asyncio.sleep((due_ms(now, self._interval_ms) - now) / 1000)

    async def _answers(self) -> None:
        while True:
            asked = await self._requests.get()
            analysis = await self._loaded()
            self._context.send(await analysis.answer(asked))

    async def _history(self) -> None:
        """Wait for the first history, while somebody fetches it and not for ever."""
        beginning = beginning_of(self._context.settings, self._context.symbols.now)
        with suppress(TimeoutError):
            async with asyncio.timeout(HISTORY_WAIT_S):
                while not await self._is_over(beginning):
                    await asyncio.sleep(HISTORY_POLL_S)

    async def _is_over(self, beginning: Beginning) -> bool:
        try:
            return await self._catalog.call(beginning.is_over)
        except StoreError as error:  # presence.py tells that the catalog is away
            log("history_unknown", logging.DEBUG, cause=str(error))
            return False

    async def _loaded(self) -> Analysis:
        """All that computes; imported at the first call."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        return await self._loading

    async def _load(self) -> Analysis:
        began = self._context.clock.monotonic()
        module = await self._calculator.load(partial(import_module, ANALYSIS))
        analysis: Analysis = module.Analysis(self._context, self._market, self._catalog, self._calculator)
        self._analysis = analysis
        log("analytics_loaded", seconds=round(self._context.clock.monotonic() - began, 2))
        return analysis


def due_ms(now_ms: int, every_ms: int) -> int:
    """When the next cycle is due: SETTLE_MS after a multiple of the interval."""
    return ((now_ms - SETTLE_MS) // every_ms + 1) * every_ms + SETTLE_MS

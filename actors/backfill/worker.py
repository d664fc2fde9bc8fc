"""The worker that fetches what is missing: it turns gaps into jobs, and works on them and on those of users."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from functools import partial

from data_manager.actors.backfill.auto import put_right, take_up
from data_manager.actors.backfill.binance import Binance
from data_manager.actors.backfill.budget import Budget, Sleep
from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.backfill.delisting import DelistingWatch
from data_manager.actors.backfill.desk import Desk
from data_manager.actors.backfill.door import Door, load_state
from data_manager.actors.backfill.history import History
from data_manager.actors.backfill.patience import CATALOG, EXCHANGE, Away, Stores
from data_manager.actors.backfill.plan import bootstrap
from data_manager.actors.backfill.runner import Runner
from data_manager.actors.backfill.settling import Settler
from data_manager.actors.stores import open_catalog, open_market
from data_manager.http.store_thread import StoreThread
from data_manager.storage.choice import SQLITE, market_backend
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.records import Symbol
from data_manager.system.clock import now_ms
from data_manager.system.logs import log
from data_manager.system.messages import GapFound, JobRequested, Message
from data_manager.system.worker import Context, Status

JOBS_POLL_S = 1.0  # how long a job waits to be taken up, when its hint was lost
GAPS_POLL_S = 2.0  # how long an open gap waits for a job likewise
HISTORY_POLL_S = 60.0


class BackfillWorker:
    """One of it works at a time: all requests to the exchange are taken from its budget.

    `sleep` is how it waits for anything but its stores.
    """

    def __init__(self, context: Context, *, sleep: Sleep = asyncio.sleep) -> None:
        settings, clock = context.settings, context.clock
        self._context = context
        self._sleep = sleep
        self._conf = exchange_conf()
        self._away = Away()
        self._market: StoreThread[MarketStore] = StoreThread("market store", lambda: open_market(context))
        self._catalog: StoreThread[Catalog] = StoreThread("catalog", lambda: open_catalog(context))
        self._stores = Stores(
            self._market,
            self._catalog,
            self._away,
            clock,
            context.rng,
            one_writer=market_backend(settings) == SQLITE,
            sleep=sleep,
        )
        self._history = self._first_history()
        context.symbols.on_change(self._follow)
        self._wake = asyncio.Event()
        self._began = False
        self._was_running = False
        self._gaps_due = self._history_due = clock.monotonic()
        self._is_first = True

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. What is in hand is dropped then: a job goes on at its checkpoint at the next start."""
        async with AsyncExitStack() as cleanup:
            for store in (self._market, self._catalog):
                cleanup.push_async_callback(store.close)
            working = asyncio.create_task(self._work())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working

    def status(self) -> Status:
        """`waiting` for a store or the exchange.

        At first it runs, even where the exchange cannot be reached: that is no reason for a service not to be ready.
        """
        part = self._away.part if self._began else CATALOG
        if not part or (part == EXCHANGE and not self._was_running):
            self._was_running = True
            return Status("running")
        return Status("waiting", part)

    def busy_since(self) -> float | None:
        """The start of the oldest call that the market store has in hand; all else has time limits of its own."""
        return self._stores.busy_since()

    def receive(self, message: Message) -> None:
        """Hints: there is a new job, or there are new gaps."""
        match message:
            case JobRequested():
                self._wake.set()
            case GapFound():
                self._gaps_due = self._context.clock.monotonic()
                self._wake.set()
            case _:
                raise TypeError(f"{self._context.name} does not understand {type(message).__name__}")

    def _first_history(self) -> History:
        """What the symbols of now begin with; of each job the catalog knows whether it is done already."""
        context = self._context
        symbols = [Symbol(symbol) for symbol in context.symbols.now] if context.settings.history_bootstrap else []
        return History(bootstrap(symbols, self._conf.bootstrap, now_ms(context.clock)))

    def _follow(self) -> None:
        self._history, self._history_due = self._first_history(), self._context.clock.monotonic()
        self._wake.set()

    async def _work(self) -> None:
        context, settings = self._context, self._context.settings
        state = await self._stores.catalog(load_state)
        budget = Budget(self._conf, settings.binance_rate_limit, context.clock, state, self._sleep)
        async with Binance(
            settings.binance_fapi_base_url, self._conf, budget, context.clock, context.rng, sleep=self._sleep
        ) as exchange:
            door = Door(
                exchange,
                budget,
                self._stores,
                self._away,
                context.clock,
                simulated=settings.exchange_file if settings.exchange_enabled else None,
                sleep=self._sleep,
            )
            desk = self._desk(door)
            delisting = DelistingWatch(door, self._stores, context.symbols, context.clock)
            self._began = True
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._make_jobs(desk)
                    await desk.take_up(group)
                    delisting.take_up(group)
                    self._show(budget)
                    await self._woken()

    def _show(self, budget: Budget) -> None:
        """How much is asked now, not how much it was at the last request: that may be long ago."""
        metrics = self._context.metrics
        metrics.set("data_manager_backfill_weight_used", budget.used)
        metrics.set("data_manager_backfill_weight_limit", self._context.settings.binance_rate_limit)
        metrics.set("data_manager_exchange_closed_seconds", budget.closed_s)

    def _desk(self, door: Door) -> Desk:
        context, routes = self._context, self._conf.routes
        clock, metrics, stores = context.clock, context.metrics, self._stores
        settler = Settler(stores, clock, metrics)
        runner = Runner(door, stores, settler, self._away, routes, clock, context.rng, metrics, sleep=self._sleep)
        most = context.settings.max_auto_backfill_jobs
        return Desk(runner, settler, stores, routes, most, clock, metrics, context.send, self._wake)

    async def _make_jobs(self, desk: Desk) -> None:
        """Of gaps, and of history that is not there yet, where it is time for that."""
        clock = self._context.clock
        if clock.monotonic() >= self._gaps_due:
            self._gaps_due = clock.monotonic() + GAPS_POLL_S
            whole = await self._stores.catalog(lambda catalog: put_right(catalog, now_ms(clock)))
            if self._is_first:
                desk.repaired(whole)
                self._is_first = False
            if self._context.settings.enable_auto_backfill:
                await self._repair_gaps()
        if not self._history.is_there and clock.monotonic() >= self._history_due:
            self._history_due = clock.monotonic() + HISTORY_POLL_S
            history = self._history
            if made := await self._stores.catalog(lambda catalog: history.make(catalog, now_ms(clock))):
                log("history_requested", jobs=made)

    async def _repair_gaps(self) -> None:
        settings, now = self._context.settings, now_ms(self._context.clock)
        most, least_ms = settings.max_auto_backfill_jobs, settings.min_auto_backfill_gap * 1000
        jobs = await self._stores.catalog(
            partial(take_up, most=most, least_ms=least_ms, now_ms=now, rng=self._context.rng)
        )
        for job in jobs:
            self._context.metrics.inc("data_manager_audit_backfills_triggered_total")
            self._context.metrics.inc(
                "data_manager_auto_backfill_triggered_total",
                symbol=job.symbol,
                timeframe=job.timeframe or "",
                reason=job.reason,
            )

    async def _woken(self) -> None:
        # not wait_for: where the event is set at the moment of a cancellation, it forgets the cancellation
        with suppress(TimeoutError):
            async with asyncio.timeout(JOBS_POLL_S):
                await self._wake.wait()
        self._wake.clear()

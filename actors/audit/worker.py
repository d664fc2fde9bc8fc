"""The worker that proves what is there: it audits, keeps gaps in the catalog, and does the housekeeping."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from data_manager.actors.audit.anchored import AnchoredClock
from data_manager.actors.audit.auditor import Auditor
from data_manager.actors.audit.causes import DEPTH_CHAIN
from data_manager.actors.audit.conf import audit_conf
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.lost import BREAK_MS, Break
from data_manager.actors.audit.presence import Presence
from data_manager.actors.audit.rounds import Rounds
from data_manager.actors.audit.watching import FeedWatch
from data_manager.actors.housekeeping.housekeeping import Housekeeping
from data_manager.actors.stores import open_catalog, open_market
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.records import Symbol
from data_manager.system.clock import now_ms
from data_manager.system.messages import AuditRequested, Disturbed, GapFound, Message, RangeRepaired, Suspected
from data_manager.system.worker import Context, Status

ANSWER_S = 60.0  # for one call: a count or a sweep of a large symbol may take long
OFF = "audit=off"  # in the status where ENABLE_AUDITOR=false: only the housekeeping is done


class AuditWorker:
    """Audits on a schedule and at once where it is told to; keeps both stores in order whether it audits or not."""

    def __init__(self, context: Context) -> None:
        settings, clock = context.settings, context.clock
        self._context = context
        self._market: StoreThread[MarketStore] = StoreThread(
            "market store", lambda: open_market(context), answer_s=ANSWER_S
        )
        self._catalog: StoreThread[Catalog] = StoreThread("catalog", lambda: open_catalog(context))
        self._anchored = AnchoredClock(clock)
        note = "" if settings.enable_auditor else OFF
        self._presence = Presence(
            {"market_store": self._market, "catalog": self._catalog}, note, metrics=context.metrics
        )
        self._housekeeping = Housekeeping(self._market, self._catalog, settings, clock, context.rng, context.metrics)
        self._rounds = self._watch = None
        if settings.enable_auditor:
            self._rounds, self._watch = self._audits()
            context.metrics.set("data_manager_audit_leader_status", 1)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; see Worker. A call to a store that is under way then ends by itself."""
        audits = [part.run() for part in (self._rounds, self._watch) if part is not None]
        try:
            await until(stop, self._presence.run(), self._housekeeping.run(), *audits)
        finally:
            await asyncio.gather(self._market.close(), self._catalog.close())

    def status(self) -> Status:
        """`waiting` for a store that is away."""
        return self._presence.status()

    def busy_since(self) -> float | None:
        """Calls to the stores have their own time limits; the loop's ticks tell whether it turns."""
        return None

    def receive(self, message: Message) -> None:
        """What others suspect, have repaired or want to be audited."""
        match message:
            case Suspected() | Disturbed() | RangeRepaired() | AuditRequested():
                if self._rounds is not None:
                    self._hint(self._rounds, message)
            case _:
                raise TypeError(f"{self._context.name} does not understand {type(message).__name__}")

    def _audits(self) -> tuple[Rounds, FeedWatch]:
        context, clock, conf = self._context, self._anchored, audit_conf()
        stores = self._market, self._catalog

        def gaps_found(symbol: Symbol) -> None:
            context.send(GapFound(symbol))

        auditor = Auditor(*stores, context.settings, conf, clock, context.metrics, gaps_found)
        return (
            Rounds(auditor, context.settings.audit_interval, clock, context.rng, context.metrics, context.symbols),
            FeedWatch(*stores, context.symbols, conf, clock),
        )

    def _hint(self, rounds: Rounds, message: Suspected | Disturbed | RangeRepaired | AuditRequested) -> None:
        match message:
            case Suspected(symbol=symbol, reason=reason) if reason == DEPTH_CHAIN:
                rounds.broken(self._break(message))
            case Suspected(symbol=symbol) | Disturbed(symbol=symbol):
                rounds.suspected(Symbol(symbol))
            case RangeRepaired(symbol=symbol, dataset_id=dataset_id, start_ms=start_ms, end_ms=end_ms):
                rounds.repaired(Symbol(symbol), dataset_id, Range(start_ms, end_ms))
            case AuditRequested():
                rounds.everything()

    def _break(self, told: Suspected) -> Break:
        """Where ingest does not tell when, it was just now."""
        end = now_ms(self._anchored) if told.end_ms is None else told.end_ms
        start = end - BREAK_MS if told.start_ms is None else told.start_ms
        return Break(Symbol(told.symbol), told.detail, Range(start, end))


async def until(stop: asyncio.Event, *work: Coroutine[None, None, None]) -> None:
    """Do all of it until `stop` is set or one of them ends, and cancel the others; raises what ended one early."""
    stopped = asyncio.create_task(stop.wait())
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.gather(stopped, *tasks, return_exceptions=True)
    for task in ended:
        task.result()

"""Watches the feed as it comes: symbols of which nothing arrives, and the host's clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable

from data_manager.actors.audit.anchored import AnchoredClock
from data_manager.actors.audit.conf import AuditConf
from data_manager.actors.audit.quiet import FEED_DOWN, KINDS, Listening
from data_manager.http.store_thread import StoreThread
from data_manager.storage.incidents import MAX_OPEN, Trouble, settle
from data_manager.storage.protocols import Catalog, Incident, MarketStore, Query
from data_manager.storage.records import Symbol, Trade
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreError
from data_manager.system.logs import log
from data_manager.system.symbols import Symbols

CLOCK_JUMPED, HOST = "clock_jumped", "host"


class FeedWatch:
    """Looks every few seconds at what has arrived, and keeps the incidents of it."""

    def __init__(
        self,
        market: StoreThread[MarketStore],
        catalog: StoreThread[Catalog],
        symbols: Symbols,
        conf: AuditConf,
        clock: AnchoredClock,
    ) -> None:
        self._market = market
        self._catalog = catalog
        self._symbols = symbols
        self._conf = conf
        self._clock = clock
        self._listening: Listening | None = None
        self._told: list[Trouble] = []
        self._off_s = 0.0  # of the host's clock, as it was last told

    async def run(self) -> None:
        """Look until cancelled; a store that is away is waited for."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log("feed_unwatched", logging.DEBUG, cause=str(error))  # presence.py tells that the store is away
            await asyncio.sleep(self._conf.quiet.sample_s)

    async def look(self) -> None:
        """Look once. Raises StoreError."""
        symbols = list(map(Symbol, self._symbols.now))
        await self._look_at_clock(symbols)
        if self._listening is None:
            known = await self._open_incidents()
            self._listening = Listening(symbols, known, self._clock.monotonic())
            self._told = [_trouble(incident) for incident in known if incident.kind in KINDS]
        self._listening.follow(symbols, self._clock.monotonic())
        received = await self._market.call(lambda store: received_of(store, symbols))
        quiet = self._conf.quiet
        self._listening.look(received, self._clock.monotonic(), quiet.after_s, quiet.samples)
        troubles = self._listening.troubles(quiet.after_s, ())
        if {trouble.key for trouble in troubles} != {trouble.key for trouble in self._told}:
            await self._tell(self._listening, symbols)

    async def _tell(self, listening: Listening, symbols: Collection[Symbol]) -> None:
        held_up = down(await self._open_incidents(), symbols)
        troubles = listening.troubles(self._conf.quiet.after_s, held_up)
        at = now_ms(self._clock)
        await self._catalog.call(lambda catalog: settle(catalog, KINDS, troubles, at))
        told, told_now = {each.key for each in self._told}, {each.key for each in troubles}
        for trouble in (each for each in troubles if each.key not in told):
            log(trouble.kind, logging.WARNING, subject=trouble.subject, cause=trouble.cause, detail=trouble.detail)
        for trouble in (each for each in self._told if each.key not in told_now):
            if trouble.kind == FEED_DOWN:
                log("feed_flows", logging.WARNING, subject=trouble.subject)
            elif trouble.subject in symbols:  # of one that is retired nothing flows
                log("symbol_flows", logging.WARNING, subject=trouble.subject)
        self._told = troubles

    async def _open_incidents(self) -> list[Incident]:
        return await self._catalog.call(lambda catalog: catalog.incidents(MAX_OPEN, open_only=True))

    async def _look_at_clock(self, symbols: Collection[Symbol]) -> None:
        """Tell once that the host's clock was set; follow it only when the exchange's own times say it is right."""
        off, limit = self._clock.off_s(), self._conf.clock_jump_s
        if abs(off - self._off_s) > limit:
            by = off - self._off_s
            detail = f"by {by:+.0f} s; the audit goes on by the time of its start"
            at = now_ms(self._clock)
            incident = Incident(f"{CLOCK_JUMPED}-{at}", CLOCK_JUMPED, HOST, "the clock was set", at, at, detail)
            await self._catalog.call(lambda catalog: catalog.save_incident(incident))
            log(CLOCK_JUMPED, logging.WARNING, by_s=round(by))
            self._off_s = off
        if abs(off) > limit:
            newest = await self._market.call(lambda store: newest_trade_ms(store, symbols))
            if newest is not None and abs(newest / 1000 - now_ms(self._clock) / 1000 - off) < limit:
                self._clock.follow()
                self._off_s = 0.0
                log("clock_followed", logging.WARNING, by_s=round(off))


def received_of(store: MarketStore, symbols: Iterable[Symbol]) -> dict[str, int]:
    """How many events of each symbol have ever been delivered."""
    return {symbol: store.ledger(symbol).total.received for symbol in symbols}


def newest_trade_ms(store: MarketStore, symbols: Iterable[Symbol]) -> int | None:
    """The exchange's time of the newest trade of all."""
    newest = Query(limit=1, descending=True)
    return max((trade.time_ms for symbol in symbols for trade in store.rows(symbol, Trade, newest)), default=None)


def down(incidents: Iterable[Incident], symbols: Collection[Symbol]) -> set[str]:
    """The symbols that a part of this service which is down keeps from coming: that is told already."""
    subjects = {incident.subject for incident in incidents if incident.kind == "actor_down"}
    if "router" in subjects:
        return set(symbols)
    return {symbol for symbol in symbols if f"ingest/{symbol}" in subjects}


def _trouble(incident: Incident) -> Trouble:
    return Trouble(incident.kind, incident.subject, incident.cause, incident.detail)

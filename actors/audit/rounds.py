"""When an auditor looks: round by round on an absolute schedule, and at once where it is told to."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress

from data_manager.actors.audit.agenda import Agenda, Look
from data_manager.actors.audit.auditor import Auditor
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.lost import Break
from data_manager.actors.housekeeping.chores import FIRST_S, JITTER, next_slot, retry_s
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.system.clock import Clock
from data_manager.system.errors import StoreError, StoreUnavailable
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics
from data_manager.system.symbols import Symbols

MAX_BREAKS = 1_000  # that wait for the catalog


class Rounds:
    """Drives one auditor. A round is over all active symbols that hold data.

    It rests after each as long as that took. What a job has repaired of a retired symbol is looked at, and no more.
    """

    def __init__(
        self,
        auditor: Auditor,
        every_s: float,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
        symbols: Symbols,
    ) -> None:
        self._auditor = auditor
        self._every_s = every_s
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._symbols = symbols
        self._agenda = Agenda()
        self._breaks: list[Break] = []
        self._told = asyncio.Event()
        self._from_the_beginning = False
        self._refused: set[Symbol] = set()  # that could not be looked at the last time
        self._start = self._due = 0.0

    def repaired(self, symbol: Symbol, dataset_id: str, repaired: Range) -> None:
        """What a job has ended with: look at it, and close its gaps if it is whole."""
        self._agenda.repaired(symbol, dataset_id, repaired)
        self._told.set()

    def suspected(self, symbol: Symbol) -> None:
        """A symbol may miss something; ALL_SYMBOLS is each of them: a round, at once if none is under way."""
        if symbol == ALL_SYMBOLS:
            self._due = self._clock.monotonic()
        else:
            self._agenda.suspected(symbol)
        self._told.set()

    def broken(self, link: Break) -> None:
        """A chain of depth updates was broken; what is beyond MAX_BREAKS is not kept."""
        if len(self._breaks) < MAX_BREAKS:
            self._breaks.append(link)
        self._told.set()

    def everything(self) -> None:
        """Begin a round at once, with everything from its beginning."""
        self._from_the_beginning = True
        self._told.set()

    async def run(self) -> None:
        """Look until cancelled; a round that takes longer than the interval leaves out those it missed."""
        self._start = self._due = self._clock.monotonic() + self._rng.uniform(0, FIRST_S)
        failures = 0
        while True:
            try:
                await self._step()
            except StoreError as error:
                if not failures:
                    log("audit_waits", logging.WARNING, cause=str(error))
                failures += 1
                await asyncio.sleep(retry_s(failures, self._rng))
            else:
                failures = 0

    async def _step(self) -> None:
        """One look, or the wait for it, which what is told from here on ends."""
        self._told.clear()
        if self._from_the_beginning:
            await self._begin_round()
            self._auditor.forget()
            self._from_the_beginning = False
        if self._breaks:
            breaks = tuple(self._breaks)
            await self._auditor.keep_breaks(breaks)
            del self._breaks[: len(breaks)]
        look = self._agenda.next()
        if look is not None:
            await self._take(look)
        elif self._clock.monotonic() >= self._due:
            await self._begin_round()
        else:
            await self._wait(self._due - self._clock.monotonic())

    async def _begin_round(self) -> None:
        self._agenda.round(symbol for symbol in await self._auditor.symbols() if symbol in self._symbols.names)
        self._began = self._clock.monotonic()
        if self._agenda.round_is_over:
            self._end_round()

    def _end_round(self) -> None:
        now = self._clock.monotonic()
        self._metrics.set("data_manager_audit_cycle_seconds", now - self._began)
        self._metrics.inc("data_manager_audit_rounds_total")
        self._due = next_slot(self._start, self._every_s, now) + self._rng.uniform(0, JITTER * self._every_s)

    async def _take(self, look: Look) -> None:
        began = self._clock.monotonic()
        try:
            await self._look(look)
        except StoreUnavailable:
            self._agenda.again(look)
            raise
        except StoreError as error:  # a damaged file concerns its own symbol only
            if look.symbol not in self._refused:
                log("audit_refused", logging.WARNING, symbol=look.symbol, cause=str(error))
            self._refused.add(look.symbol)
        else:
            self._refused.discard(look.symbol)
        if look.of_round:
            if self._agenda.round_is_over:
                self._end_round()
            else:
                await self._wait(self._clock.monotonic() - began)

    async def _look(self, look: Look) -> None:
        if look.dataset_id is None or look.repaired is None:
            if look.symbol in self._symbols.names:  # it may have been retired since
                await self._auditor.look(look.symbol)
        else:
            await self._auditor.look_again(look.symbol, look.dataset_id, look.repaired)

    async def _wait(self, seconds: float) -> None:
        """So long, but no longer than until something is told."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()

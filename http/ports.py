"""What the HTTP application is given: stores, clocks and one door to the actor system."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from data_manager.http.quality import Rules
from data_manager.http.store_thread import Access, StoreThread
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.clock import Clock
from data_manager.system.fleet_messages import FleetNews, HolderAnswered
from data_manager.system.messages import CommandDone, Detected, Hint, Tree
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.tracing import OFF, Tracer


class SystemPort(Protocol):
    """All that HTTP knows of the actors."""

    def tree(self) -> Tree | None:
        """The supervisor's newest snapshot; None before the first one."""
        ...

    def tree_age_s(self) -> float:
        """Seconds since that snapshot arrived; infinite before the first one."""
        ...

    async def command(self, actor: str, action: str) -> CommandDone:
        """Have the supervisor restart, pause or resume an actor.

        Raises TimeoutError when it does not answer in time, FeedError when too many commands wait already.
        """
        ...

    def fleet(self) -> FleetNews | None:
        """All replicas, by the newest look; None where there are no others, or none has been seen yet."""
        ...

    async def ask_holder(self, actor: str, action: str) -> HolderAnswered:
        """Have an actor restarted, paused or resumed by the replica that runs it.

        Raises TimeoutError and FeedError as `command` does.
        """
        ...

    async def detect(self, pair: str, timeframe: str, method: str) -> Detected:
        """Have the analytics actor look for anomalies in a symbol's bars, one request at a time.

        Raises TimeoutError when it does not answer in time, FeedError while it is at work on another request.
        """
        ...

    def assign(self, symbols: tuple[str, ...]) -> None:
        """Have the supervisor run the actors of these symbols, and of no others."""
        ...

    def tell(self, hint: Hint) -> None:
        """Have the supervisor pass a hint on to its actor; it may be lost."""
        ...


@dataclass(frozen=True)
class Services:
    """Everything the routes use.

    `market` answers pages: inline where that is quicker than a thread, else on a few threads. `survey` is a second
    instance of the same store, on a thread of its own, for what may take long. Both are only read. `market_source` is
    the name of the back end as responses give it, `health_rules` are the auditor's, `symbols` the active ones.
    """

    settings: Settings
    clock: Clock
    rng: random.Random
    metrics: Metrics
    market: Access[MarketStore]
    market_source: str
    survey: StoreThread[MarketStore]
    catalog: StoreThread[Catalog]
    system: SystemPort
    health_rules: Rules
    symbols: Symbols
    tracer: Tracer = OFF

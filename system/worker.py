"""What an actor does, apart from being an actor: a Worker runs on an asyncio loop and is hosted by AsyncActor.

Workers know nothing of Thespian, so tests run them on a loop of their own against real servers.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from data_manager.system.clock import Clock
from data_manager.system.messages import Message
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.telemetry.beginning import NO_TELEMETRY, Telemetry


class Status(msgspec.Struct, frozen=True):
    """How a worker is: `waiting` with the part it waits for in `detail` ("nats", "market_store"), or `running`."""

    state: Literal["running", "waiting"]
    detail: str = ""
    lag: int | None = None  # messages or batches not yet taken


class Context(msgspec.Struct, frozen=True):
    """What a worker is given. `send` passes a message to the supervisor from any thread.

    `symbols` are those of the service at any time; SUPPORTED_PAIRS are those that it began with.
    """

    name: str
    generation: int
    symbol: str | None
    settings: Settings
    clock: Clock
    rng: random.Random
    metrics: Metrics
    send: Callable[[Message], None]
    symbols: Symbols
    token: int = 0  # of the lease that it runs under; 0: there are no leases
    telemetry: Telemetry = NO_TELEMETRY


class Worker(Protocol):
    """One actor's work."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is in hand, release everything and return.

        Waits out what is away for now (status `waiting`); any exception that leaves it is a crash of the actor.
        """
        ...

    def status(self) -> Status:
        """How it is now; called from another thread."""
        ...

    def busy_since(self) -> float | None:
        """Monotonic start of the unit of work in hand, None when idle; called from another thread."""
        ...

    def receive(self, message: Message) -> None:
        """A message for this actor that the base does not handle itself; called on the loop."""
        ...

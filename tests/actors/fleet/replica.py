"""Fleet workers of several replicas on one catalog, each with what its supervisor would do beside it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_manager.actors.fleet.shared import Shared, open_shared
from data_manager.actors.fleet.worker import FleetWorker
from data_manager.system.clock import SystemClock
from data_manager.system.fleet_messages import Brought, FleetNews, HolderAnswered, Scheduled
from data_manager.system.messages import Assign, Command, CommandDone, Message, TreeQuery, TreeReply
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.http.serving import actor, tree

PAIRS = ("BTCUSDT", "ETHUSDT")


def catalog_beside(settings: Settings) -> str:
    """The one that replicas share here: beside their data folders."""
    return f"sqlite:///{settings.data_dir.parent}/catalog.sqlite3"


def context_of(folder: Path, send: Callable[[Message], None], **settings: Any) -> Context:
    """Of a replica with this data folder."""
    folder.mkdir(exist_ok=True)
    options = Settings(data_dir=folder, supported_pairs=PAIRS, **settings)
    symbols, metrics, rng = Symbols(options.supported_pairs), Metrics(), random.Random(1)
    return Context("fleet", 1, None, options, SystemClock(), rng, metrics, send, symbols)


@contextmanager
def shared_rows(folder: Path) -> Iterator[Shared]:
    """All that replicas share, from outside."""
    shared = open_shared(context_of(folder / "outside", lambda message: None))
    yield shared
    shared.close()


class Replica:
    """A worker and its supervisor, which runs at once what it is told to; `slow` actors take longer to stop."""

    def __init__(self, folder: Path, number: int, **settings: Any) -> None:
        self.folder = folder / f"replica-{number}"
        self.context = context_of(self.folder, self._hear, **settings)
        self.worker = FleetWorker(self.context)
        self.number = number
        self.here: dict[str, int] = {}
        self.symbols: tuple[str, ...] = ()
        self.slow: set[str] = set()
        self.draining = False
        self.answers_commands = self.tells_its_tree = True
        self.scheduled = 0
        self.news: FleetNews | None = None
        self.heard: list[Message] = []
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """As the rows have it."""
        assert self.news is not None
        return self.news.me

    def start(self) -> None:
        """Begin to work."""
        self._running = asyncio.create_task(self.worker.run(self._stop))

    async def stop(self) -> None:
        """As after SIGTERM, once all that is leased has stopped."""
        self._stop.set()
        assert self._running is not None
        await self._running

    def crash(self) -> None:
        """As after a kill: nothing is given back."""
        assert self._running is not None
        self._running.cancel()

    def gauge(self, name: str, **labels: str) -> float | None:
        """A metric."""
        return self.context.metrics.totals().gauges.get((name, tuple(sorted(labels.items()))))

    def _hear(self, message: Message) -> None:
        match message:
            case Assign(symbols=symbols, here=here):
                self.symbols, self.here = symbols, dict(here or {})
            case TreeQuery(request_id=request_id) if self.tells_its_tree:
                running = [actor(name) for name in {*self.here, *self.slow}]
                seen = tree(actor("fleet"), *running, actor("gone", "elsewhere"), started_ms=self.number)
                seen = tree(*seen.actors, started_ms=self.number, draining=self.draining)
                self._answer(TreeReply(request_id, seen))
            case Command(request_id=request_id, actor=name) if self.answers_commands:
                self.heard.append(message)
                problem = "" if name in self.here else f"{name} does not run here"
                self._answer(CommandDone(request_id, problem, "stopping"))
            case Scheduled(token=token):
                self.scheduled = token
            case FleetNews():
                self.news = message
            case Brought() | HolderAnswered():
                self.heard.append(message)

    def _answer(self, message: Message) -> None:
        asyncio.get_running_loop().call_soon(self.worker.receive, message)

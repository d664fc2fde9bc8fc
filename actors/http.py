"""The worker that answers HTTP: it binds its ports first, so that probes are heard while all else starts."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

from data_manager.actors.housekeeping.chores import retry_s
from data_manager.actors.minutes import tell_every_minute
from data_manager.actors.questions import Questions
from data_manager.actors.stores import open_catalog, open_market
from data_manager.http.incidents import IncidentKeeper
from data_manager.http.listen import bind
from data_manager.http.store_thread import Access, Inline, StoreThread
from data_manager.storage.choice import (
    MONGO,
    MYSQL,
    SQLITE,
    catalog_backend,
    market_backend,
    mysql_target,
)
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.symbols import REMEDY, active, retired_but_configured, seeded, statuses
from data_manager.system.circuit import Circuit, State
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import StoreError
from data_manager.system.fleet_messages import AskHolder, FleetNews, HolderAnswered
from data_manager.system.logs import log
from data_manager.system.messages import (
    Assign,
    Command,
    CommandDone,
    Detected,
    DetectRequested,
    Hint,
    IncidentNews,
    Message,
    Tree,
    TreeNews,
)
from data_manager.system.settings import Settings
from data_manager.system.tree import FLEET
from data_manager.system.worker import Context, Status

if TYPE_CHECKING:
    from data_manager.http.ports import Services

COMMAND_S = 5.0  # how long the supervisor may take to answer a command
MAX_COMMANDS = 16  # under way at a time
SEARCH_S = 30.0  # how long analytics may look for anomalies, one request at a time
READERS = 4  # threads that read pages from a database server
OPEN_WITHOUT_TOKEN = ("POST /backfill/start", "POST /anomalies/detect")  # as the original had them
SERVER_S = 2.0  # how long a client waits for a database server, to connect and for an answer, before it is told
SYMBOLS_S = 60.0  # between two looks at the list of symbols
LAST_FLUSH_S = 1.0  # for incidents that are still to be saved at the end


class SupervisorLine:
    """HTTP's door to the supervisor (http/ports.py, SystemPort): its newest tree, commands and hints to it."""

    def __init__(self, context: Context) -> None:
        self._clock: Clock = context.clock
        self._send = context.send
        self._tree: Tree | None = None
        self._heard_at = float("-inf")
        self.has_tree = asyncio.Event()
        self._fleet: FleetNews | None = None
        self._holders: Questions[HolderAnswered] = Questions(
            context.rng,
            most=MAX_COMMANDS,
            patience_s=COMMAND_S,
            refusal=f"{MAX_COMMANDS} commands are under way already",
        )
        self._commands: Questions[CommandDone] = Questions(
            context.rng,
            most=MAX_COMMANDS,
            patience_s=COMMAND_S,
            refusal=f"{MAX_COMMANDS} commands are under way already",
        )
        self._searches: Questions[Detected] = Questions(
            context.rng, most=1, patience_s=SEARCH_S, refusal="anomalies are being looked for already"
        )

    def tree(self) -> Tree | None:
        """The newest tree."""
        return self._tree

    def tree_age_s(self) -> float:
        """Seconds since it came."""
        return self._clock.monotonic() - self._heard_at

    async def command(self, actor: str, action: str) -> CommandDone:
        """Send a command and await its answer; raises TimeoutError after COMMAND_S."""
        return await self._commands.ask(lambda request_id: self._send(Command(request_id, actor, action)))

    def fleet(self) -> FleetNews | None:
        """All replicas, by fleet's newest look."""
        return self._fleet

    async def ask_holder(self, actor: str, action: str) -> HolderAnswered:
        """Send a command on to another replica and await what became of it; raises TimeoutError after COMMAND_S."""
        return await self._holders.ask(lambda request_id: self._send(AskHolder(request_id, actor, action)))

    async def detect(self, pair: str, timeframe: str, method: str) -> Detected:
        """Have anomalies looked for; raises TimeoutError after SEARCH_S, FeedError while that is being done."""
        return await self._searches.ask(
            lambda request_id: self._send(DetectRequested(request_id, pair, timeframe, method))
        )

    def assign(self, symbols: tuple[str, ...]) -> None:
        """Have these worked on. Where replicas share them out, fleet looks at the list itself, and tells its own."""
        if self._tree is not None and all(view.name != FLEET for view in self._tree.actors):
            self._send(Assign(symbols))

    def tell(self, hint: Hint) -> None:
        """Send a hint on its way."""
        self._send(hint)

    def heard(self, tree: Tree) -> None:
        """A newer tree."""
        self._tree, self._heard_at = tree, self._clock.monotonic()
        self.has_tree.set()

    def heard_of_replicas(self, fleet: FleetNews) -> None:
        """A newer look."""
        self._fleet = fleet

    def answered(self, answer: CommandDone | Detected | HolderAnswered) -> None:
        """An answer to a command or a search."""
        match answer:
            case CommandDone(request_id=request_id):
                self._commands.answered(request_id, answer)
            case HolderAnswered(request_id=request_id):
                self._holders.answered(request_id, answer)
            case Detected(request_id=request_id):
                self._searches.answered(request_id, answer)


class HttpWorker:
    """Serves the API and the metrics until it is stopped, and keeps the supervisor's incidents."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._line = SupervisorLine(context)
        self._catalog = open_catalog_thread(context)
        self._keeper = IncidentKeeper(self._catalog, context.rng)
        self._status = Status("waiting", "ports")

    async def run(self, stop: asyncio.Event) -> None:
        """Bind, serve, and finish the requests under way once `stop` is set."""
        settings = self._context.settings
        async with AsyncExitStack() as cleanup:
            api = bind(settings.api_host, settings.api_port, "API_PORT")
            cleanup.callback(api.close)
            metrics = bind(settings.api_host, settings.metrics_port, "METRICS_PORT")
            cleanup.callback(metrics.close)
            write_ports(settings.ports_file, api, metrics)
            cleanup.callback(settings.ports_file.unlink, missing_ok=True)
            await self._serve(stop, cleanup, api, metrics)

    def status(self) -> Status:
        """`waiting` until requests are answered."""
        return self._status

    def busy_since(self) -> float | None:
        """Requests have their own time limits; the loop's ticks tell whether it turns."""
        return None

    def receive(self, message: Message) -> None:
        """News and answers from the supervisor."""
        match message:
            case TreeNews(tree=tree):
                self._line.heard(tree)
            case CommandDone() | Detected() | HolderAnswered():
                self._line.answered(message)
            case FleetNews():
                self._line.heard_of_replicas(message)
            case IncidentNews():
                self._keeper.add(message)
            case _:
                raise TypeError(f"http does not understand {type(message).__name__}")

    async def _serve(
        self, stop: asyncio.Event, cleanup: AsyncExitStack, api: socket.socket, metrics: socket.socket
    ) -> None:
        # here and not above: where they are not loaded yet they take a second, and the ports come before that
        from aiohttp import web

        from data_manager.http.app import build_app, build_metrics_app, runner

        stores = open_markets(self._context)
        services = open_services(self._context, stores, self._catalog, self._line)
        for store in (*stores, self._catalog):
            cleanup.push_async_callback(store.close)
        keeping = asyncio.create_task(self._keeper.run())
        cleanup.push_async_callback(finish, self._keeper, keeping)
        telling = asyncio.create_task(self._tell_symbols())
        cleanup.push_async_callback(cancelled, telling)
        for app, listener in ((build_app(services), api), (build_metrics_app(services), metrics)):
            served = runner(app)
            await served.setup()
            cleanup.push_async_callback(served.cleanup)
            await web.SockSite(served, listener).start()
        self._context.telemetry.export_metrics(self._line.tree)
        minutes = asyncio.create_task(tell_every_minute(self._line.tree))
        cleanup.push_async_callback(cancelled, minutes)
        if not self._context.settings.has_api_token:
            log("api_without_token", logging.WARNING, open_to_anybody=OPEN_WITHOUT_TOKEN, set="API_TOKEN")
        self._status = Status("running")
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((stopped, keeping, telling), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()

    async def _tell_symbols(self) -> None:
        """Tell the supervisor what the catalog lists, again and again until cancelled: main could not look into one
        on a server, and whoever was to tell of a change may have died between the two. A repetition changes nothing.
        """
        configured, clock = self._context.settings.supported_pairs, self._context.clock
        await self._line.has_tree.wait()
        failures, warned = 0, catalog_backend(self._context.settings) == SQLITE  # then main has, before all else
        while True:
            try:
                listed = await self._catalog.call(lambda catalog: seeded(catalog, configured, now_ms(clock)))
            except StoreError as error:
                log("symbols_unread", logging.DEBUG, cause=str(error))  # readiness tells that the catalog is away
                failures += 1
                await asyncio.sleep(retry_s(failures, self._context.rng))
            else:
                failures = 0
                if not warned and (retired := retired_but_configured(statuses(listed), configured)):
                    log("symbols_stay_retired", logging.WARNING, symbols=list(retired), remedy=REMEDY)
                warned = True
                self._line.assign(active(statuses(listed), configured))
                await asyncio.sleep(SYMBOLS_S)


class Markets(NamedTuple):
    """The market store in its two uses: pages, and what may take long."""

    pages: Access[MarketStore]
    survey: StoreThread[MarketStore]


def open_markets(context: Context) -> Markets:
    """One store for both where it is a server's client, which any number of threads may use; else two.

    Files need no circuit. Nor have bars from one server and all else from another: the absence of one says nothing of
    the other's.
    """
    settings, clock = context.settings, context.clock

    shared = open_market(context) if market_backend(settings) == MONGO else None

    def reader() -> MarketStore:
        return for_readers(shared or open_market(context, read_only=True), settings, clock)

    if reads_inline(settings):
        return Markets(Inline(reader()), StoreThread("market store", reader))
    circuit = circuit_for(context, "market") if settings.candle_database_type != MYSQL else None
    pages = StoreThread("market store", reader, threads=READERS, answer_s=SERVER_S, circuit=circuit)
    return Markets(pages, StoreThread("market store", reader, circuit=circuit))


def open_catalog_thread(context: Context) -> StoreThread[Catalog]:
    """The catalog; a server is waited for no longer than SERVER_S."""
    if catalog_backend(context.settings) == SQLITE:
        return StoreThread("catalog", lambda: open_catalog(context))
    timeout_s = min(SERVER_S, context.settings.store_timeout_s)
    return StoreThread(
        "catalog",
        lambda: open_catalog(context, timeout_s=timeout_s),
        answer_s=SERVER_S,
        circuit=circuit_for(context, "catalog"),
    )


def circuit_for(context: Context, store: str) -> Circuit:
    """The circuit to a database server, with its gauge."""

    def show(state: State) -> None:
        context.metrics.set("data_manager_store_circuit", state, store=store)

    return Circuit(context.clock.monotonic, show)


def open_services(context: Context, markets: Markets, catalog: StoreThread[Catalog], line: SupervisorLine) -> Services:
    """All that the routes need."""
    from data_manager.actors.audit.conf import audit_conf
    from data_manager.http.ports import Services

    return Services(
        settings=context.settings,
        clock=context.clock,
        rng=context.rng,
        metrics=context.metrics,
        market=markets.pages,
        market_source=market_backend(context.settings),
        survey=markets.survey,
        catalog=catalog,
        system=line,
        health_rules=audit_conf().health,
        symbols=context.symbols,
        tracer=context.telemetry.tracer,
    )


def for_readers(store: MarketStore, settings: Settings, clock: Clock) -> MarketStore:
    """The market store with its candles from where the settings say."""
    mysql = mysql_target(settings)
    if settings.candle_database_type != MYSQL or mysql is None:
        return store
    from data_manager.storage.klines import CandlesElsewhere, KlinesCandles

    return CandlesElsewhere(store, KlinesCandles(mysql.url, clock=clock, timeout_s=settings.store_timeout_s))


def reads_inline(settings: Settings) -> bool:
    """Whether a page is read from files of this host, without waiting for any server."""
    return market_backend(settings) == SQLITE and settings.candle_database_type != MYSQL


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancel it and wait for its end; raises what ended it early."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def finish(keeper: IncidentKeeper, keeping: asyncio.Task[None]) -> None:
    """Stop keeping incidents, after one last try to save those that wait; raises what ended it early."""
    await cancelled(keeping)
    with suppress(StoreError, TimeoutError):  # the catalog is away: run() has said so
        async with asyncio.timeout(LAST_FLUSH_S):
            await keeper.flush()


def write_ports(path: Path, api: socket.socket, metrics: socket.socket) -> None:
    """Tell the launcher which ports were bound; the file appears whole or not at all."""
    ports = {"api_port": api.getsockname()[1], "metrics_port": metrics.getsockname()[1], "pid": os.getpid()}
    draft = path.with_suffix(".tmp")
    draft.write_bytes(orjson.dumps(ports))
    draft.replace(path)

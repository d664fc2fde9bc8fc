"""A really listening API for tests: real SQLite files, a clock that stands still, a tree set by hand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from pydantic import SecretStr

from data_manager.actors.audit.conf import audit_conf
from data_manager.http.app import build_app, build_metrics_app, runner
from data_manager.http.ports import Services
from data_manager.http.store_thread import Inline, StoreThread
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Event, Health, Write
from data_manager.storage.records import Candle, Depth, Funding, Record, Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.errors import FeedError
from data_manager.system.fleet_messages import FleetNews, HolderAnswered
from data_manager.system.messages import ActorView, CommandDone, Detected, Hint, Tree
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols

NOW_MS = 1_760_961_600_000  # 2025-10-20T12:00:00Z
NOW = "2025-10-20T12:00:00.000000+00:00"
MINUTE = 60_000
BTC = Symbol("BTCUSDT")


class StillClock:
    """Both times stand until a test moves them."""

    def __init__(self) -> None:
        self.us = NOW_MS * 1000
        self.seconds = 1000.0

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.seconds


class HandSetSystem:
    """A SystemPort whose tree and answers a test sets."""

    def __init__(self) -> None:
        self.latest: Tree | None = None
        self.age_s = 0.5
        self.commands: list[tuple[str, str]] = []
        self.hints: list[Hint] = []
        self.assigned: list[tuple[str, ...]] = []
        self.answer: CommandDone | Exception = CommandDone("1", "", "stopping")
        self.replicas: FleetNews | None = None
        self.sent_on: list[tuple[str, str]] = []
        self.holder_said: HolderAnswered | Exception = HolderAnswered("1", "b", True, "stopping")
        self.searches: list[tuple[str, str, str]] = []
        self.detected: Detected | Exception = Detected("1")

    def tree(self) -> Tree | None:
        return self.latest

    def tree_age_s(self) -> float:
        return self.age_s

    async def command(self, actor: str, action: str) -> CommandDone:
        self.commands.append((actor, action))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def fleet(self) -> FleetNews | None:
        return self.replicas

    async def ask_holder(self, actor: str, action: str) -> HolderAnswered:
        self.sent_on.append((actor, action))
        if isinstance(self.holder_said, Exception):
            raise self.holder_said
        return self.holder_said

    async def detect(self, pair: str, timeframe: str, method: str) -> Detected:
        self.searches.append((pair, timeframe, method))
        if isinstance(self.detected, Exception):
            raise self.detected
        return self.detected

    def assign(self, symbols: tuple[str, ...]) -> None:
        self.assigned.append(symbols)

    def tell(self, hint: Hint) -> None:
        self.hints.append(hint)


BUSY = FeedError("16 commands are under way already")


class Api:
    """A client of the served API, with all that stands behind it."""

    def __init__(self, session: aiohttp.ClientSession, services: Services, folder: Path) -> None:
        self.session = session
        self.services = services
        self.folder = folder
        self.clock: Any = services.clock
        self.system: Any = services.system
        self.api_port = self.metrics_port = 0
        self.stop: Any = None  # stops serving the API before the block ends

    async def get(self, path: str, **params: object) -> SimpleNamespace:
        return await self.request("GET", path, params={key: str(value) for key, value in params.items()})

    async def post(self, path: str, **options: Any) -> SimpleNamespace:
        return await self.request("POST", path, **options)

    async def request(self, method: str, path: str, **options: Any) -> SimpleNamespace:
        async with self.session.request(method, path, **options) as response:
            is_json = response.headers.get("Content-Type", "") == "application/json"
            body = await response.read()
            content = await response.json() if is_json and body else body
            return SimpleNamespace(status=response.status, headers=response.headers, body=content, links=response.links)

    def store(self, records: Sequence[Record], book: Depth | None = None, symbol: Symbol = BTC) -> None:
        store_rows(self.folder, records, book, symbol)


def store_rows(folder: Path, records: Sequence[Record], book: Depth | None = None, symbol: Symbol = BTC) -> None:
    store = SqliteMarketStore(folder / "market", clock=StillClock())
    store.write(symbol, Write(events=[Event(type(row).dataset, row) for row in records], book=book))
    store.close()


@asynccontextmanager
async def serving(folder: Path, *, token: str | None = None, **settings: Any) -> AsyncIterator[Api]:
    """Serve the API and the metrics on free ports of the loopback for the length of the block."""
    (folder / "market").mkdir(exist_ok=True)
    options = Settings(data_dir=folder, api_token=SecretStr(token) if token is not None else None, **settings)
    clock = StillClock()

    def market() -> SqliteMarketStore:
        return SqliteMarketStore(folder / "market", clock=clock, read_only=True)

    services = Services(
        settings=options,
        clock=clock,
        rng=random.Random(1),
        metrics=Metrics(),
        market=Inline(market()),
        market_source="sqlite",
        survey=StoreThread("market store", market),
        catalog=StoreThread("catalog", lambda: SqlCatalog(f"sqlite:///{folder}/catalog.sqlite3", clock=clock)),
        system=HandSetSystem(),
        health_rules=audit_conf().health,
        symbols=Symbols(options.supported_pairs),
    )
    api_port, stop_api = await start(build_app(services))
    metrics_port, stop_metrics = await start(build_metrics_app(services))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{api_port}") as session:
            api = Api(session, services, folder)
            api.api_port, api.metrics_port, api.stop = api_port, metrics_port, stop_api
            yield api
    finally:
        await stop_api()
        await stop_metrics()
        await services.market.close()
        await services.survey.close()
        await services.catalog.close()


async def start(app: web.Application) -> tuple[int, Any]:
    served = runner(app)
    await served.setup()
    site = web.TCPSite(served, "127.0.0.1", 0)
    await site.start()
    return served.addresses[0][1], served.cleanup


def candle(open_time: int, timeframe: str = "1m", **changes: Any) -> Candle:
    row = Candle(
        timeframe=timeframe,
        open_time=open_time,
        open="42000.10",
        high="42010.00",
        low="41990.5",
        close="42005.00000001",
        volume="1.2300",
        quote_volume="51666.12",
        trades_count=17,
        taker_buy_volume=None,
        taker_buy_quote_volume=None,
        source="kline",
        complete=True,
        first_id=None,
        last_id=None,
        feed_seq=open_time,
        market_seq=1,
        stored_ms=open_time + 61_000,
    )
    return replace(row, changes)


def trade(trade_id: int, time_ms: int, kind: str = "trade", **changes: Any) -> Trade:
    row = Trade(
        kind=kind,
        trade_id=trade_id,
        time_ms=time_ms,
        price="42000.10",
        quantity="0.0010",
        is_buyer_maker=trade_id % 2 == 0,
        first_id=trade_id,
        last_id=trade_id,
        order_type="MARKET",
        feed_seq=trade_id,
        market_seq=1,
        stored_ms=time_ms + 20,
    )
    return replace(row, changes)


def funding(time_ms: int, *, settled: bool) -> Funding:
    return Funding(time_ms, time_ms, "0.00010000", "42000.1" if settled else None, settled, time_ms, 1, time_ms + 5)


def book(update_id: int, time_ms: int = NOW_MS) -> Depth:
    bids, asks = (("42000.10", "1.000"), ("42000.00", "2.5")), (("42000.20", "0.010"),)
    return Depth(update_id, time_ms, update_id, bids, asks, update_id, 1, time_ms)


def health(**changes: Any) -> Health:
    row = Health(
        metric_id="m1",
        dataset_id="candles_BTCUSDT_1m",
        symbol="BTCUSDT",
        timeframe="1m",
        completeness=99.5,
        freshness_seconds=42,
        gaps_count=1,
        duplicates_count=0,
        consistency_score=100.0,
        quality_score=99.8,
        at_ms=NOW_MS,
    )
    return replace(row, changes)


def replace(row: Any, changes: dict[str, Any]) -> Any:
    return msgspec.structs.replace(row, **changes)


def actor(name: str, state: str = "running", detail: str = "", **changes: Any) -> ActorView:
    symbol = name.partition("/")[2] or None
    view = ActorView(
        name=name,
        symbol=symbol,
        essential=symbol is None,
        state=state,
        detail=detail,
        pid=4242,
        generation=1,
        restarts=0,
        last_cause=None,
        last_exit_ms=None,
        started_ms=NOW_MS - 5000,
        uptime_s=5.0,
        lag=0,
        ever_running=state == "running",
    )
    return replace(view, changes)


def tree(*actors: ActorView, **changes: Any) -> Tree:
    return replace(Tree(NOW_MS, NOW_MS - 60_000, False, actors), changes)


def working_tree(**changes: Any) -> Tree:
    return tree(
        actor("http"),
        actor("ingest/BTCUSDT"),
        actor("ingest/ETHUSDT"),
        actor("router", detail="delivery=jetstream"),
        **changes,
    )

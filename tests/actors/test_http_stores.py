"""What clients hear while a database server is away: 503 soon, then at once, and answers again without a restart."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from data_manager.actors.http import SERVER_S
from data_manager.system.circuit import State
from tests.actors.test_http import Supervisor
from tests.eventually import eventually
from tests.servers.databases import DatabaseServer, MariaDbServer, MongoServer

pytestmark = pytest.mark.faults

TRADES, GAPS = "/data/trades?pair=BTCUSDT", "/gaps"
PATIENCE_S = 3 * SERVER_S


def circuit(supervisor: Supervisor, store: str) -> float:
    """What the gauge shows."""
    series = ("data_manager_store_circuit", (("store", store),))
    return supervisor.worker._context.metrics.totals().gauges[series]


async def status(client: aiohttp.ClientSession, path: str) -> int:
    async with asyncio.timeout(PATIENCE_S), client.get(path) as answer:
        if answer.status == 503:
            assert answer.headers["Retry-After"] == "2"
            assert "127.0.0.1" not in await answer.text()
        return answer.status


@contextmanager
def killed(server: DatabaseServer) -> Iterator[None]:
    server.kill()
    yield
    server.start()


@contextmanager
def stopped(server: DatabaseServer) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def goes_and_comes_back(
    supervisor: Supervisor, server: DatabaseServer, path: str, store: str, away: Callable[[DatabaseServer], object]
) -> None:
    async with supervisor.running() as client:

        async def answers() -> bool:
            return await status(client, path) == 200

        await eventually(answers, 30)
        assert circuit(supervisor, store) == State.CLOSED
        with away(server):  # type: ignore[attr-defined]
            await eventually(unavailable(client, path, supervisor, store), 30)
            together = await asyncio.gather(*(status(client, path) for _ in range(20)))
            assert set(together) == {503}
            assert (await client.get("/health/liveness")).status == 200
        await eventually(answers, 30)
        assert circuit(supervisor, store) == State.CLOSED


def unavailable(
    client: aiohttp.ClientSession, path: str, supervisor: Supervisor, store: str
) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        assert await status(client, path) == 503, "the first call hears of it, and so does every later one"
        return circuit(supervisor, store) == State.OPEN

    return check


@pytest.mark.parametrize("away", [killed, stopped])
def test_market_data_comes_back_with_its_server(tmp_path: Path, away: Callable[[DatabaseServer], object]) -> None:
    with MongoServer(tmp_path / "mongo") as server:
        supervisor = Supervisor(tmp_path, mongodb_url=server.uri("market"))
        asyncio.run(goes_and_comes_back(supervisor, server, TRADES, "market", away))


@pytest.mark.parametrize("away", [killed, stopped])
def test_the_catalog_comes_back_with_its_server(tmp_path: Path, away: Callable[[DatabaseServer], object]) -> None:
    with MariaDbServer(tmp_path / "mariadb") as server:
        supervisor = Supervisor(tmp_path, mysql_uri=server.make_database("catalog"))
        asyncio.run(goes_and_comes_back(supervisor, server, GAPS, "catalog", away))

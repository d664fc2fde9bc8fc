"""`run --feed` as one service on an exchange of which it sees nothing but the streams."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.server import SimulatedExchange
from data_manager.storage.records import Depth, MarkPrice, Ticker, Trade
from tests.actors.feed.feeding import FAST, SYMBOLS, simulated
from tests.actors.feed.process import feed_command
from tests.servers.command import Command
from tests.servers.nats import NatsServer

MARGIN_MS = 5_000


def assert_as_given(symbol: str, rows: list[Trade]) -> None:
    """These are the exchange's trades of the symbol from the first to the last, each once."""
    market = Market(7, FAST.trades_per_minute)
    listed = market.instrument(symbol)
    orders = market.orders(symbol, rows[0].time_ms - MARGIN_MS, rows[-1].time_ms + MARGIN_MS)
    assert [(row.trade_id, row.time_ms, row.price, row.quantity) for row in rows] == [
        (order.agg_id, order.time_ms, listed.price(order.ticks), listed.quantity(order.lots))
        for order in orders
        if rows[0].trade_id <= order.agg_id <= rows[-1].trade_id
    ]


@contextmanager
def exchange_aside() -> Iterator[SimulatedExchange]:
    """A simulated exchange on a thread of its own, while the test waits for processes."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        exchange = simulated()
        asyncio.run_coroutine_threadsafe(exchange.__aenter__(), loop).result(10)
        yield exchange
        asyncio.run_coroutine_threadsafe(exchange.__aexit__(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def with_feed(folder: Path, exchange: SimulatedExchange, nats_url: str = "embedded") -> Command:
    """The service, in which everything that would ask the exchange's REST side is off."""
    return Command(
        folder,
        "run",
        "--feed",
        nats_url=nats_url,
        binance_ws_url=exchange.ws_url,
        binance_fapi_base_url=exchange.url,
        enable_backfiller="false",
        enable_auditor="false",
        history_bootstrap="false",
    )


@pytest.mark.faults
def test_what_the_streams_gave_is_stored_exactly_once_with_its_own_numbers(tmp_path: Path) -> None:
    with exchange_aside() as exchange, with_feed(tmp_path, exchange) as run:
        run.wait(lambda: run.actors().get("feed", {}).get("state") == "running", 30)
        run.wait(lambda: all(len(run.rows(symbol, Trade)) > 300 for symbol in SYMBOLS), 30)
        assert run.end(signal.SIGTERM) == 0
        for symbol in SYMBOLS:
            assert_as_given(symbol, rows := run.rows(symbol, Trade))
            assert all(run.rows(symbol, record) for record in (Depth, Ticker, MarkPrice))
            counts = run.ledger(symbol).by_type
            assert set(counts) == {
                "aggTrade",
                "depthUpdate",
                "bookTicker",
                "24hrTicker",
                "markPriceUpdate",
                "kline",
            }
            assert counts["aggTrade"].stored == len(rows)
            assert not any(each.quarantined or each.duplicate for each in counts.values())


@pytest.mark.faults
def test_what_two_connections_bring_is_stored_once(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        exchange_aside() as exchange,
        with_feed(tmp_path, exchange, nats.url) as run,
        feed_command(tmp_path, "--nats", nats.url, "--set", f"binance_ws_url={exchange.ws_url}") as second,
    ):
        run.wait(lambda: run.actors().get("feed", {}).get("state") == "running", 30)
        run.wait(lambda: "feed_connected" in second.events(), 30)
        run.wait(lambda: run.ledger("BTCUSDT").by_type["aggTrade"].duplicate > 200, 30)
        assert run.end(signal.SIGTERM) == 0
        assert second.end() == 0
        assert_as_given("BTCUSDT", run.rows("BTCUSDT", Trade))


@pytest.mark.faults
def test_a_killed_feed_comes_back_and_nobody_else_notices(tmp_path: Path) -> None:
    with exchange_aside() as exchange, with_feed(tmp_path, exchange) as run:
        run.wait(lambda: run.actors().get("feed", {}).get("state") == "running", 30)
        run.wait(lambda: len(run.rows("BTCUSDT", Trade)) > 100, 30)
        before = {name: view["pid"] for name, view in run.actors().items()}
        os.kill(before["feed"], signal.SIGKILL)
        run.wait_restarted("feed", before["feed"])
        stored = len(run.rows("BTCUSDT", Trade))
        run.wait(lambda: len(run.rows("BTCUSDT", Trade)) > stored + 100)
        after = {name: view["pid"] for name, view in run.actors().items()}
        assert after.pop("feed") != before.pop("feed")
        assert after == before
        assert run.end(signal.SIGTERM) == 0

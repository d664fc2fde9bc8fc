from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import binance
from data_manager.actors.backfill.binance import CLOCK_MAX_AGE_S, MAX_BODY_BYTES, SHOWN_BYTES, TRIES, USED_WEIGHT
from data_manager.actors.backfill.binance import Binance as Client
from data_manager.actors.backfill.budget import Budget, BudgetState
from data_manager.storage.records import MINUTE_MS, Symbol
from data_manager.system.errors import (
    ExchangeClosed,
    ExchangeUnavailable,
    RequestRefused,
    UnexpectedAnswer,
    UnknownSymbol,
)
from tests.actors.backfill.clocks import SleptClock
from tests.actors.backfill.exchange_server import (
    CONF,
    TIME,
    Answer,
    ExchangeServer,
    client_of,
    exchange_server,
    never,
    refusing,
    truncated,
    with_bytes,
    with_json,
)
from tests.actors.backfill.rows import agg_trade, funding_rate, kline

BTC = Symbol("BTCUSDT")
KLINES, AGG_TRADES, FUNDING, DEPTH, INFO = (
    CONF.routes.klines.path,
    CONF.routes.agg_trades.path,
    CONF.routes.funding_rates.path,
    CONF.routes.depth.path,
    CONF.routes.exchange_info.path,
)
NOW = SleptClock().now_ms()
T0 = NOW - 60 * MINUTE_MS
FIVE = Range(T0, T0 + 5 * MINUTE_MS)
PAGE = [kline(T0 + i * MINUTE_MS) for i in range(5)]

Work = Callable[[ExchangeServer, Client, Budget], Awaitable[None]]


def against_a_server(work: Work, **options: Any) -> None:
    async def run() -> None:
        async with exchange_server(SleptClock()) as server, client_of(server, **options) as (client, budget):
            server.answers[KLINES] = with_json(PAGE)
            await work(server, client, budget)

    asyncio.run(run())


def test_klines_are_asked_for_with_an_end_that_the_exchange_takes_in_and_with_no_key():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        bars = await client.klines(BTC, "1m", FIVE, 99)
        assert [bar.open_time for bar in bars] == [T0 + i * MINUTE_MS for i in range(5)]
        assert {bar.stored_ms for bar in bars} == {NOW}
        (asked,) = server.asked
        assert dict(asked.query) == {
            "symbol": "BTCUSDT",
            "interval": "1m",
            "startTime": str(T0),
            "endTime": str(FIVE.end_ms - 1),
            "limit": "99",
        }
        assert not [name for name in asked.headers if "KEY" in name.upper() or name in ("Authorization", "Cookie")]
        assert budget.used == 2  # the time, and a page of up to 99

    against_a_server(work)


def test_trades_are_asked_for_by_id_or_by_time():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.answers[AGG_TRADES] = with_json([agg_trade(7, T0), agg_trade(8, T0)])
        assert [trade.trade_id for trade in await client.agg_trades(BTC, 7, 1000)] == [7, 8]
        assert [trade.trade_id for trade in await client.agg_trades_between(BTC, FIVE, 1000)] == [7, 8]
        by_id, by_time = (dict(asked.query) for asked in server.asked)
        assert by_id == {"symbol": "BTCUSDT", "fromId": "7", "limit": "1000"}
        assert by_time == {"symbol": "BTCUSDT", "startTime": str(T0), "endTime": str(FIVE.end_ms - 1), "limit": "1000"}
        assert budget.used == 40

    against_a_server(work)


def test_funding_the_book_and_what_is_traded():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.answers[FUNDING] = with_json([funding_rate(T0)])
        server.answers[DEPTH] = with_json({"lastUpdateId": 7, "T": T0, "bids": [["1", "2"]], "asks": []})
        server.answers[INFO] = with_json({"symbols": []})
        assert [rate.funding_time for rate in await client.funding_rates(BTC, FIVE, 1000)] == [T0]
        assert (await client.depth(BTC, 100)).last_update_id == 7
        assert (await client.exchange_info()).symbols == ()
        assert budget.used == 5 + 1

    against_a_server(work)


# -- clocks -------------------------------------------------------------------------------------------------


def test_the_open_bar_is_dropped_by_the_exchanges_clock_and_not_by_ours():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.ahead_ms = T0 + 4 * MINUTE_MS + 30_000 - NOW  # an hour behind: in the middle of the fifth bar
        assert len(await client.klines(BTC, "1m", FIVE, 99)) == 4
        assert client.clock_skew_ms == server.ahead_ms

    against_a_server(work)


def test_a_bar_that_closes_while_the_answer_is_under_way_is_dropped():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.ahead_ms = T0 + 5 * MINUTE_MS - 1000 - NOW

        async def slow(request: web.Request) -> web.StreamResponse:
            await server.clock.sleep(5)
            return web.json_response(PAGE)

        server.queue = [slow]
        assert len(await client.klines(BTC, "1m", FIVE, 99)) == 4

    against_a_server(work)


def test_the_skew_counts_half_the_round_trip_and_the_servers_time_none_of_it():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        async def slow(request: web.Request) -> web.StreamResponse:
            await server.clock.sleep(1)
            told = server.clock.now_ms() + 5000
            await server.clock.sleep(1)
            return web.json_response({"serverTime": told})

        server.answers[TIME] = slow
        assert await client.server_ms() == NOW + 1000 + 5000
        assert client.clock_skew_ms == 5000
        await server.clock.sleep(3)
        assert await client.server_ms() == NOW + 1000 + 5000 + 3000

    against_a_server(work)


def test_the_clock_is_measured_once_by_all_who_ask_and_again_when_it_may_have_drifted():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        await asyncio.gather(*(client.server_ms() for _ in range(5)))
        assert server.times == 1
        await server.clock.sleep(CLOCK_MAX_AGE_S + 1)
        await client.server_ms()
        assert server.times == 2

    against_a_server(work)


# -- errors -------------------------------------------------------------------------------------------------


def test_an_unknown_symbol_is_told_by_its_code():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [refusing(400, -1121)]
        with pytest.raises(UnknownSymbol, match=r"symbol=BTCUSDT.* with 400, code -1121: No\."):
            await client.klines(BTC, "1m", FIVE, 99)
        assert len(server.asked) == 1

    against_a_server(work)


def test_a_refused_request_is_not_asked_again_nor_anywhere_else():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [refusing(404, -1100)]
        with pytest.raises(RequestRefused) as refused:
            await client.klines(BTC, "1m", FIVE, 99)
        assert refused.value.code == -1100
        assert not isinstance(refused.value, UnknownSymbol)
        assert [asked.path for asked in server.asked] == [KLINES]

    against_a_server(work)


@pytest.mark.parametrize(
    "answer",
    [
        refusing(503, -1008),
        refusing(408, -1007),
        with_bytes(b"<html>", 502),
        truncated(json.dumps(PAGE).encode()),
        with_bytes(b"[["),
    ],
)
def test_a_request_that_brought_no_whole_answer_is_made_again(answer: Answer):
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [answer, answer]
        assert len(await client.klines(BTC, "1m", FIVE, 99)) == 5
        first, second = server.clock.slept
        assert 0.25 <= first <= 0.5 <= second <= 1
        assert budget.used == 1 + 3

    against_a_server(work)


def test_after_some_tries_it_is_unavailable():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.answers[KLINES] = with_bytes(b"down", 503)
        with pytest.raises(ExchangeUnavailable, match=r"answered 503: b'down'"):
            await client.klines(BTC, "1m", FIVE, 99)
        assert len(server.asked) == TRIES

    against_a_server(work)


def test_an_answer_that_does_not_come_is_given_up():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [never]
        assert len(await client.klines(BTC, "1m", FIVE, 99)) == 5
        assert len(server.asked) == 2

    against_a_server(work, timeout_s=0.5)


def test_a_host_that_refuses_connections_is_unavailable():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        client.base_url = "http://127.0.0.1:1"
        with pytest.raises(ExchangeUnavailable, match="No whole answer came from"):
            await client.exchange_info()

    against_a_server(work)


@pytest.mark.parametrize(
    "answer",
    [
        with_json({"symbol": "BTCUSDT"}),
        with_json([["x"]]),
        with_json([kline(T0 - MINUTE_MS)]),
        with_bytes(b"<html>not found</html>", 404),
        with_bytes(b'[[1800000000000,"\xff"]]'),
    ],
)
def test_what_is_not_the_exchanges_answer_is_shown_and_not_asked_for_again(answer: Answer):
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [answer]
        with pytest.raises(UnexpectedAnswer, match=r"/fapi/v1/klines .*b['\"]"):
            await client.klines(BTC, "1m", FIVE, 99)
        assert len(server.asked) == 1

    against_a_server(work)


def test_only_the_beginning_of_an_unexpected_answer_is_shown():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [with_bytes(b"x" * 1000, 404)]
        with pytest.raises(UnexpectedAnswer) as unexpected:
            await client.klines(BTC, "1m", FIVE, 99)
        assert str(unexpected.value).count("x") < SHOWN_BYTES + 10

    against_a_server(work)


def test_a_redirect_is_not_followed():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [lambda request: web.Response(status=302, headers={"Location": f"{server.url}{INFO}"})]
        with pytest.raises(UnexpectedAnswer, match="302"):
            await client.klines(BTC, "1m", FIVE, 99)
        assert len(server.asked) == 1

    against_a_server(work)


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binance, "MAX_BODY_BYTES", 100_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport and not request.transport.is_closing():
            await response.write(b" " * 10_000)
        return response

    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [endless]
        with pytest.raises(UnexpectedAnswer, match="longer than 100000 bytes"):
            await client.klines(BTC, "1m", FIVE, 99)

    assert MAX_BODY_BYTES > 4 * 2**20  # exchangeInfo fits
    against_a_server(work)


# -- limits -------------------------------------------------------------------------------------------------


def test_the_header_tells_the_budget_what_was_counted_even_with_an_error():
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        server.queue = [refusing(400, -1100, X_MBX_USED_WEIGHT_1M="1199")]
        with pytest.raises(RequestRefused):
            await client.exchange_info()
        assert budget.used == 1199

    assert USED_WEIGHT == "X-MBX-USED-WEIGHT-1M"
    against_a_server(work)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (refusing(429, -1003, Retry_After="30"), 30),
        (refusing(418, -1003, Retry_After="120"), 120),
        (refusing(418, -1003), 120),
        (refusing(429, -1003, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), 60),
        (refusing(400, -1003, Retry_After="7"), 7),
        (with_bytes(b"<html>", 403), 120),
    ],
)
def test_too_many_requests_stop_everything_at_once(answer: Answer, seconds: int):
    async def work(server: ExchangeServer, client: Client, budget: Budget) -> None:
        await client.server_ms()
        server.queue = [answer]
        for ask in (client.klines(BTC, "1m", FIVE, 99), client.exchange_info(), client.funding_rates(BTC, FIVE, 9)):
            with pytest.raises(ExchangeClosed) as closed:
                await ask
            assert closed.value.until_ms == NOW + seconds * 1000
        assert len(server.asked) == 1

    against_a_server(work)


def test_a_429_and_then_a_418_are_both_waited_out_over_restarts():
    async def run() -> None:
        clock, state = SleptClock(), BudgetState()
        async with exchange_server(clock) as server:
            server.answers[KLINES] = with_json(PAGE)
            server.queue = [refusing(429, -1003, Retry_After="30"), refusing(418, -1003, Retry_After="120")]
            for asked, seconds in ((1, 30), (2, 120)):
                async with client_of(server, state) as (client, budget):  # as a process that begins anew
                    with pytest.raises(ExchangeClosed):
                        await client.klines(BTC, "1m", FIVE, 99)
                    state = budget.state
                assert len(server.asked) == asked
                await clock.sleep(seconds - 1)
                async with client_of(server, state) as (client, budget):
                    with pytest.raises(ExchangeClosed):
                        await client.klines(BTC, "1m", FIVE, 99)
                assert len(server.asked) == asked
                await clock.sleep(1)
            times = server.times
            async with client_of(server, state) as (client, budget):
                assert len(await client.klines(BTC, "1m", FIVE, 99)) == 5
            assert (len(server.asked), server.times) == (3, times + 1)

    asyncio.run(run())

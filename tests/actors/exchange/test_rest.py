"""The REST side over HTTP: rows, pages, limits, errors and faults as a client meets them."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from data_manager.actors.exchange.answers import LISTED_MS, YEAR_MS
from data_manager.actors.exchange.faults import Empty, MissingIds, Slow, TooMany
from data_manager.actors.exchange.queries import INTERVALS_MS
from tests.actors.exchange.serving import DAY, HOUR, MARKET, MINUTE, NOW, Asking, asking

BTC = {"symbol": "BTCUSDT"}


# -- klines -------------------------------------------------------------------------------------------------


def test_a_kline_has_the_contract_s_twelve_fields() -> None:
    async def scenario(its: Asking) -> None:
        (row,) = await its.rows("klines", **BTC, interval="1h", startTime=NOW - HOUR, limit=1)
        listed, bar = MARKET.instrument("BTCUSDT"), MARKET.bar("BTCUSDT", (NOW - HOUR) // MINUTE, 60)
        assert row == [
            NOW - HOUR,
            listed.price(bar.open),
            listed.price(bar.high),
            listed.price(bar.low),
            listed.price(bar.close),
            listed.quantity(bar.volume),
            NOW - 1,
            listed.quote(bar.quote),
            bar.trades,
            listed.quantity(bar.taker_buy_volume),
            listed.quote(bar.taker_buy_quote),
            "0",
        ]

    asking(scenario)


def test_both_ends_are_inclusive_and_pages_ascend() -> None:
    async def scenario(its: Asking) -> None:
        start, end = NOW - 10 * MINUTE, NOW - 4 * MINUTE
        rows = await its.rows("klines", **BTC, interval="1m", startTime=start, endTime=end)
        assert [row[0] for row in rows] == list(range(start, end + 1, MINUTE))
        rows = await its.rows("klines", **BTC, interval="1m", startTime=start + 1, endTime=end - 1)
        assert [row[0] for row in rows] == list(range(start + MINUTE, end, MINUTE))
        rows = await its.rows("klines", **BTC, interval="1m", startTime=start, endTime=start)
        assert [row[0] for row in rows] == [start]
        rows = await its.rows("klines", **BTC, interval="1m", startTime=start, limit=3)
        assert [row[0] for row in rows] == [start, start + MINUTE, start + 2 * MINUTE]
        rows = await its.rows("klines", **BTC, interval="1m", endTime=end, limit=2)
        assert [row[0] for row in rows] == [end - MINUTE, end]
        assert len(await its.rows("klines", **BTC, interval="1m")) == 500

    asking(scenario)


def test_the_newest_kline_is_open_and_grows_into_the_closed_one() -> None:
    async def scenario(its: Asking) -> None:
        its.clock.now_ms = NOW + 2 * HOUR + 30 * MINUTE + 20_000
        (early,) = await its.rows("klines", **BTC, interval="4h", limit=1)
        its.clock.now_ms += HOUR
        (late,) = await its.rows("klines", **BTC, interval="4h", limit=1)
        its.clock.now_ms = NOW + 4 * HOUR
        closed, *_ = await its.rows("klines", **BTC, interval="4h", startTime=NOW - 1)
        assert [row[0] for row in (early, late, closed)] == [NOW] * 3
        assert early[1] == late[1] == closed[1]
        assert early[8] < late[8] < closed[8] == 240 * MARKET.trades_per_minute

    asking(scenario)


def test_before_its_first_trade_a_bar_is_not_there() -> None:
    async def scenario(its: Asking) -> None:
        rows = await its.rows("klines", **BTC, interval="1m", limit=2)
        assert [row[0] for row in rows] == [NOW - 2 * MINUTE, NOW - MINUTE]

    asking(scenario)


@pytest.mark.parametrize("interval", ["5m", "1h", "4h", "1d"])
def test_a_bar_is_the_aggregate_of_its_smaller_ones(interval: str) -> None:
    async def scenario(its: Asking) -> None:
        smaller = {"5m": "1m", "1h": "5m", "4h": "1h", "1d": "4h"}[interval]
        start, length = NOW - 390 * DAY, INTERVALS_MS[interval]
        (bar,) = await its.rows("klines", **BTC, interval=interval, startTime=start, limit=1)
        parts = await its.rows("klines", **BTC, interval=smaller, startTime=start, endTime=start + length - 1)
        assert len(parts) == length // INTERVALS_MS[smaller]
        assert (bar[1], bar[4], bar[6]) == (parts[0][1], parts[-1][4], parts[-1][6])
        assert Decimal(bar[2]) == max(Decimal(part[2]) for part in parts)
        assert Decimal(bar[3]) == min(Decimal(part[3]) for part in parts)
        for field in (5, 7, 8, 9, 10):
            assert Decimal(bar[field]) == sum(Decimal(part[field]) for part in parts)

    asking(scenario)


def test_nothing_is_older_than_the_listing_or_newer_than_now() -> None:
    async def scenario(its: Asking) -> None:
        rows = await its.rows("klines", **BTC, interval="1d", startTime=0, limit=2)
        assert [row[0] for row in rows] == [LISTED_MS, LISTED_MS + DAY]
        assert await its.rows("klines", **BTC, interval="1d", endTime=LISTED_MS - 1) == []
        assert await its.rows("klines", **BTC, interval="1m", startTime=NOW + MINUTE) == []
        info = await its.rows("exchangeInfo")
        assert {one["onboardDate"] for one in info["symbols"]} == {LISTED_MS}

    asking(scenario)


# -- trades -------------------------------------------------------------------------------------------------


def test_agg_trades_add_up_to_the_kline_of_their_minute() -> None:
    async def scenario(its: Asking) -> None:
        start = NOW - MINUTE
        (bar,) = await its.rows("klines", **BTC, interval="1m", startTime=start, limit=1)
        trades = await its.rows("aggTrades", **BTC, startTime=start, endTime=NOW - 1)
        assert list(trades[0]) == ["a", "p", "q", "f", "l", "T", "m"]
        assert [bar[1], bar[4]] == [trades[0]["p"], trades[-1]["p"]]
        assert Decimal(bar[5]) == sum(Decimal(trade["q"]) for trade in trades)
        assert Decimal(bar[9]) == sum(Decimal(trade["q"]) for trade in trades if not trade["m"])
        assert bar[8] == trades[-1]["l"] - trades[0]["f"] + 1
        assert all(b["a"] == a["a"] + 1 and b["f"] == a["l"] + 1 for a, b in pairwise(trades))

    asking(scenario)


def test_pages_by_id_follow_one_another_up_to_now() -> None:
    async def scenario(its: Asking) -> None:
        first = await its.rows("aggTrades", **BTC, startTime=NOW - 5 * MINUTE, limit=100)
        pages = [first]
        while pages[-1]:
            pages.append(await its.rows("aggTrades", **BTC, fromId=pages[-1][-1]["a"] + 1, limit=100))
        ids = [trade["a"] for page in pages for trade in page]
        assert ids == list(range(ids[0], ids[0] + 5 * MARKET.orders_per_minute))
        newest = await its.rows("aggTrades", **BTC, limit=7)
        assert [trade["a"] for trade in newest] == ids[-7:]
        assert newest[-1]["T"] <= NOW

    asking(scenario)


def test_trades_go_back_one_year() -> None:
    async def scenario(its: Asking) -> None:
        (oldest,) = await its.rows("aggTrades", **BTC, fromId=0, limit=1)
        assert NOW - YEAR_MS <= oldest["T"] < NOW - YEAR_MS + MINUTE
        assert await its.rows("aggTrades", **BTC, startTime=0, limit=1) == [oldest]

    asking(scenario)


# -- funding and what is now --------------------------------------------------------------------------------


def test_funding_rates_ascend_every_eight_hours() -> None:
    async def scenario(its: Asking) -> None:
        rows = await its.rows("fundingRate", **BTC, startTime=NOW - DAY, endTime=NOW)
        assert [row["fundingTime"] for row in rows] == [NOW - DAY + 8 * HOUR * n for n in range(4)]
        assert set(rows[0]) == {"symbol", "fundingRate", "fundingTime", "markPrice"}
        assert Decimal(rows[0]["fundingRate"]).scaleb(8) == MARKET.funding_rate("BTCUSDT", NOW - DAY)
        newest = await its.rows("fundingRate", **BTC, limit=2)
        assert newest == rows[-2:]
        assert len(await its.rows("fundingRate", **BTC)) == 100
        every = await its.rows("fundingRate", startTime=NOW - 8 * HOUR)
        assert [(row["fundingTime"], row["symbol"]) for row in every] == [
            (at, symbol) for at in (NOW - 8 * HOUR, NOW) for symbol in ("BTCUSDT", "ETHUSDT")
        ]

    asking(scenario)


def test_what_is_now_agrees_with_the_market() -> None:
    async def scenario(its: Asking) -> None:
        assert await its.rows("time") == {"serverTime": NOW}
        assert await its.rows("ping") == {}
        depth = await its.rows("depth", **BTC, limit=5)
        book = MARKET.book("BTCUSDT", NOW, 5)
        assert (depth["lastUpdateId"], len(depth["bids"]), len(depth["asks"])) == (book.update_id, 5, 5)
        listed = MARKET.instrument("BTCUSDT")
        assert depth["bids"][0] == [listed.price(book.bids[0][0]), listed.quantity(book.bids[0][1])]
        premium = await its.rows("premiumIndex", **BTC)
        assert premium["nextFundingTime"] == NOW + 8 * HOUR
        assert [one["symbol"] for one in await its.rows("premiumIndex")] == ["BTCUSDT", "ETHUSDT"]
        ticker = await its.rows("ticker/24hr", **BTC)
        assert ticker["lastId"] - ticker["firstId"] + 1 == ticker["count"]
        assert [one["symbol"] for one in await its.rows("ticker/24hr")] == ["BTCUSDT", "ETHUSDT"]
        (limit,) = (await its.rows("exchangeInfo"))["rateLimits"]
        assert limit["limit"] == 2400

    asking(scenario)


# -- errors and weight --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "route", "parameters"),
    [
        (-1121, "klines", {"symbol": "NOPEUSDT", "interval": "1m"}),
        (-1121, "fundingRate", {"symbol": "btcusdt"}),
        (-1102, "klines", {"interval": "1m"}),
        (-1102, "klines", BTC),
        (-1120, "klines", {**BTC, "interval": "7m"}),
        (-1130, "klines", {**BTC, "interval": "1m", "limit": 1501}),
        (-1130, "aggTrades", {**BTC, "limit": 0}),
        (-1130, "fundingRate", {**BTC, "limit": 1001}),
        (-1100, "klines", {**BTC, "interval": "1m", "startTime": "yesterday"}),
        (-1100, "klines", {**BTC, "interval": "1m", "startTime": "-1"}),
        (-1023, "klines", {**BTC, "interval": "1m", "startTime": 2, "endTime": 1}),
        (-1127, "aggTrades", {**BTC, "startTime": NOW - HOUR, "endTime": NOW}),
        (-1128, "aggTrades", {**BTC, "fromId": 1, "startTime": NOW}),
        (-4021, "depth", {**BTC, "limit": 7}),
    ],
)
def test_a_wrong_request_is_answered_400_with_the_exchange_s_code(
    code: int, route: str, parameters: dict[str, Any]
) -> None:
    async def scenario(its: Asking) -> None:
        status, answer, _ = await its.get(f"/fapi/v1/{route}", **parameters)
        assert (status, answer["code"]) == (400, code)
        assert list(answer) == ["code", "msg"]

    asking(scenario)


@pytest.mark.parametrize(
    ("weight", "route", "parameters"),
    [
        (1, "klines", {**BTC, "interval": "1m", "limit": 99}),
        (2, "klines", {**BTC, "interval": "1m", "limit": 100}),
        (2, "klines", {**BTC, "interval": "1m", "limit": 499}),
        (5, "klines", {**BTC, "interval": "1m", "limit": 500}),
        (5, "klines", {**BTC, "interval": "1m", "limit": 1000}),
        (10, "klines", {**BTC, "interval": "1m", "limit": 1001}),
        (20, "aggTrades", {**BTC, "limit": 1}),
        (0, "fundingRate", {**BTC, "limit": 1}),
        (2, "depth", {**BTC, "limit": 50}),
        (5, "depth", {**BTC, "limit": 100}),
        (20, "depth", {**BTC, "limit": 1000}),
        (1, "exchangeInfo", {}),
        (1, "premiumIndex", BTC),
        (1, "ticker/24hr", BTC),
        (40, "ticker/24hr", {}),
    ],
)
def test_the_header_tells_the_weight(weight: int, route: str, parameters: dict[str, Any]) -> None:
    async def scenario(its: Asking) -> None:
        await its.rows("time")
        status, _, headers = await its.get(f"/fapi/v1/{route}", **parameters)
        assert (status, headers["X-MBX-USED-WEIGHT-1M"]) == (200, str(1 + weight))

    asking(scenario)


def test_above_the_budget_comes_429_and_for_the_deaf_418() -> None:
    async def scenario(its: Asking) -> None:
        its.clock.now_ms = NOW + 45_000
        for _ in range(3):
            await its.rows("time")
        answers = [await its.get("/fapi/v1/time") for _ in range(5)]
        assert [status for status, _, _ in answers] == [429] * 4 + [418]
        assert [headers["Retry-After"] for _, _, headers in answers] == ["15"] * 4 + ["120"]
        assert {body["code"] for _, body, _ in answers} == {-1003}
        its.clock.now_ms += 120_000
        await its.rows("time")
        assert its.exchange.requests == {"/fapi/v1/time": 9}

    asking(scenario, weight_a_minute=3)


# -- faults -------------------------------------------------------------------------------------------------


def test_answers_on_demand() -> None:
    async def scenario(its: Asking) -> None:
        assert await its.order(kind="429", route="/fapi/v1/time", retry_after_s=30, count=1) == 200
        assert await its.order(kind="418", count=1) == 200
        assert await its.order(kind="5xx", status=502, count=1) == 200
        async with its.session.get(f"{its.exchange.url}/faults") as response:
            assert [fault["kind"] for fault in await response.json()] == ["429", "418", "5xx"]
        status, _, headers = await its.get("/fapi/v1/time")
        assert (status, headers["Retry-After"]) == (429, "30")
        status, _, headers = await its.get("/fapi/v1/time")
        assert (status, headers["Retry-After"]) == (418, "120")
        async with its.session.get(f"{its.exchange.url}/fapi/v1/time") as response:
            assert (response.status, response.content_type) == (502, "text/html")
        await its.rows("time")
        async with its.session.get(f"{its.exchange.url}/requests") as response:
            assert await response.json() == {"/fapi/v1/time": 4}

    asking(scenario)


def test_a_truncated_body_ends_in_the_middle() -> None:
    async def scenario(its: Asking) -> None:
        await its.order(kind="truncated", count=1)
        with pytest.raises(aiohttp.ClientPayloadError):
            await its.rows("time")
        await its.rows("time")

    asking(scenario)


def test_a_slow_answer_is_the_right_one() -> None:
    async def scenario(its: Asking) -> None:
        with pytest.raises(TimeoutError):
            await its.session.get(f"{its.exchange.url}/fapi/v1/time", timeout=aiohttp.ClientTimeout(0.1))
        async with its.session.delete(f"{its.exchange.url}/faults") as response:
            assert response.status == 200
        await its.order(kind="slow", seconds=0.01, count=1)
        assert await its.rows("time") == {"serverTime": NOW}

    asking(scenario, faults=[Slow(seconds=60)])


def test_an_empty_interval_has_no_rows_of_any_kind_and_pages_go_on_behind_it() -> None:
    async def scenario(its: Asking) -> None:
        start = NOW - 8 * HOUR
        rows = await its.rows("klines", **BTC, interval="1m", startTime=start - MINUTE, limit=3)
        assert [row[0] for row in rows] == [start - MINUTE, start + 5 * MINUTE, start + 6 * MINUTE]
        assert await its.rows("klines", **BTC, interval="1m", startTime=start, endTime=start + 4 * MINUTE) == []
        trades = await its.rows("aggTrades", **BTC, startTime=start, limit=1)
        assert start + 5 * MINUTE <= trades[0]["T"]
        rates = await its.rows("fundingRate", **BTC, startTime=start)
        assert [rate["fundingTime"] for rate in rates] == [NOW]
        assert len(await its.rows("klines", symbol="ETHUSDT", interval="1m", startTime=start, limit=3)) == 3

    start = NOW - 8 * HOUR
    asking(scenario, faults=[Empty("BTCUSDT", start, start + 5 * MINUTE)])


def test_missing_ids_are_left_out() -> None:
    (first, *_) = MARKET.orders("BTCUSDT", NOW - MINUTE, NOW)

    async def scenario(its: Asking) -> None:
        trades = await its.rows("aggTrades", **BTC, fromId=first.agg_id, limit=4)
        assert [trade["a"] - first.agg_id for trade in trades] == [0, 3, 4, 5]

    asking(scenario, faults=[MissingIds("BTCUSDT", first.agg_id + 1, first.agg_id + 2)])


@pytest.mark.parametrize("fault", [{"kind": "flood"}, {"kind": "slow", "seconds": -1}, {"kind": "429", "rout": "x"}])
def test_a_fault_that_nobody_knows_is_refused(fault: dict[str, Any]) -> None:
    async def scenario(its: Asking) -> None:
        assert await its.order(**fault) == 400
        await its.rows("time")

    asking(scenario)


def test_a_fault_of_one_route_leaves_the_others_alone() -> None:
    async def scenario(its: Asking) -> None:
        await its.rows("time")
        assert (await its.get("/fapi/v1/klines", **BTC, interval="1m"))[0] == 429

    asking(scenario, faults=[TooMany(route="/fapi/v1/klines")])

"""`/data/tickers`, `/data/mark-prices`, `/data/book` and `/data/liquidations`; what they share is in test_data.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.records import BookTicker, Liquidation, MarkPrice, Record, Ticker
from tests.http.serving import BTC, NOW_MS, Api, replace
from tests.http.test_data import LIST_METADATA, PAGINATION, SORT, shape, with_api

SECOND = 1000
HOUR = 3_600_000


def ticker(time_ms: int, **changes: Any) -> Ticker:
    row = Ticker(
        kind="24hrTicker",
        slot=time_ms,
        time_ms=time_ms,
        open_price="109330.10",
        high_price="111480.00",
        low_price="108905.50",
        close_price="110850.40",
        volume="142318.551",
        quote_volume="15656857610.42",
        price_change="1520.30",
        price_change_percent="1.391",
        trades_count=4_427_900,
        feed_seq=time_ms,
        market_seq=1,
        stored_ms=time_ms + 20,
    )
    return replace(row, changes)


def mini_ticker(time_ms: int) -> Ticker:
    return ticker(time_ms, kind="24hrMiniTicker", price_change=None, price_change_percent=None, trades_count=None)


def mark_price(time_ms: int, **changes: Any) -> MarkPrice:
    row = MarkPrice(
        slot=time_ms,
        time_ms=time_ms,
        mark_price="110846.71500000",
        index_price="110898.02333333",
        estimated_settle_price="110712.44180000",
        last_funding_rate="0.00010000",
        next_funding_time=NOW_MS + HOUR,
        feed_seq=time_ms,
        market_seq=1,
        stored_ms=time_ms + 20,
    )
    return replace(row, changes)


def book_ticker(time_ms: int, **changes: Any) -> BookTicker:
    row = BookTicker(
        slot=time_ms,
        time_ms=time_ms,
        update_id=8_812_345_679_100,
        bid_price="110850.30",
        bid_quantity="4.498",
        ask_price="110850.40",
        ask_quantity="3.377",
        feed_seq=time_ms,
        market_seq=1,
        stored_ms=time_ms + 20,
    )
    return replace(row, changes)


def liquidation(time_ms: int, **changes: Any) -> Liquidation:
    row = Liquidation(
        time_ms=time_ms,
        side="SELL",
        price="9910.00",
        quantity="0.014",
        average_price="9910.50",
        status="FILLED",
        last_filled="0.010",
        total_filled="0.014",
        feed_seq=time_ms,
        market_seq=1,
        stored_ms=time_ms + 20,
    )
    return replace(row, changes)


BEFORE = "2025-10-20T11:59:59.000000+00:00"
ROWS: dict[str, tuple[Record, str, dict[str, object]]] = {
    "/data/tickers": (
        ticker(NOW_MS - SECOND),
        "tickers_BTCUSDT",
        {
            "timestamp": BEFORE,
            "kind": "24hrTicker",
            "open_price": "109330.10",
            "high_price": "111480.00",
            "low_price": "108905.50",
            "close_price": "110850.40",
            "volume": "142318.551",
            "quote_volume": "15656857610.42",
            "price_change": "1520.30",
            "price_change_percent": "1.391",
            "trades_count": 4_427_900,
        },
    ),
    "/data/mark-prices": (
        mark_price(NOW_MS - SECOND),
        "mark_prices_BTCUSDT",
        {
            "timestamp": BEFORE,
            "mark_price": "110846.71500000",
            "index_price": "110898.02333333",
            "estimated_settle_price": "110712.44180000",
            "last_funding_rate": "0.00010000",
            "next_funding_time": "2025-10-20T13:00:00.000000+00:00",
        },
    ),
    "/data/book": (
        book_ticker(NOW_MS - SECOND),
        "book_tickers_BTCUSDT",
        {
            "timestamp": BEFORE,
            "update_id": 8_812_345_679_100,
            "bid_price": "110850.30",
            "bid_quantity": "4.498",
            "ask_price": "110850.40",
            "ask_quantity": "3.377",
        },
    ),
    "/data/liquidations": (
        liquidation(NOW_MS - SECOND),
        "liquidations_BTCUSDT",
        {
            "timestamp": BEFORE,
            "side": "SELL",
            "price": "9910.00",
            "quantity": "0.014",
            "average_price": "9910.50",
            "status": "FILLED",
            "last_filled": "0.010",
            "total_filled": "0.014",
        },
    ),
}


@pytest.mark.parametrize("path", ROWS)
def test_a_row_is_served_with_its_keys_and_exact_values_in_a_list_like_every_other(tmp_path: Path, path: str) -> None:
    row, collection, value = ROWS[path]

    async def check(api: Api) -> None:
        api.store([row])
        body = (await api.get(path, pair=BTC)).body
        assert body["values"] == body["data"] == [value]
        assert body["metadata"]["collection"] == collection
        filters = {"kind": "str"} if path == "/data/tickers" else {}
        assert shape(body) == {
            "pair": "str",
            "values": [shape(value)],
            "data": [shape(value)],
            "pagination": PAGINATION,
            "sort": SORT,
            "filters_applied": {"pair": "str", "start": "str", "end": "str"} | filters,
            "metadata": LIST_METADATA,
            "parameters": {"pair": "str", "start": "str", "end": "str", "limit": "int"},
        }

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("path", "row", "unknown"),
    [
        ("/data/tickers", mini_ticker(NOW_MS - 1), {"price_change", "price_change_percent", "trades_count"}),
        (
            "/data/mark-prices",
            mark_price(
                NOW_MS - 1,
                index_price=None,
                estimated_settle_price=None,
                last_funding_rate=None,
                next_funding_time=None,
            ),
            {"index_price", "estimated_settle_price", "last_funding_rate", "next_funding_time"},
        ),
        (
            "/data/liquidations",
            liquidation(NOW_MS - 1, average_price=None, status=None, last_filled=None, total_filled=None),
            {"average_price", "status", "last_filled", "total_filled"},
        ),
    ],
)
def test_what_the_event_did_not_tell_is_null(tmp_path: Path, path: str, row: Record, unknown: set[str]) -> None:
    async def check(api: Api) -> None:
        api.store([row])
        (value,) = (await api.get(path, pair=BTC)).body["data"]
        assert {key for key, content in value.items() if content is None} == unknown

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("path", "back"), [*((path, HOUR) for path in list(ROWS)[:3]), ("/data/liquidations", 24 * HOUR)]
)
def test_without_times_the_last_hour_is_served_and_of_rare_liquidations_the_last_day(
    tmp_path: Path, path: str, back: int
) -> None:
    made = {
        "/data/tickers": ticker,
        "/data/mark-prices": mark_price,
        "/data/book": book_ticker,
        "/data/liquidations": liquidation,
    }[path]

    async def check(api: Api) -> None:
        api.store([made(NOW_MS - back - 1), made(NOW_MS - back), made(NOW_MS - 1)])
        body = (await api.get(path, pair=BTC)).body
        assert body["metadata"]["records_returned"] == 2
        asked = await api.get(path, pair=BTC, start=NOW_MS - back - 1, end=NOW_MS)
        assert asked.body["metadata"]["records_returned"] == 3

    with_api(tmp_path, check)


def test_tickers_of_both_kinds_are_served_in_one_order_and_one_kind_when_asked_for(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([ticker(NOW_MS - 3), mini_ticker(NOW_MS - 2), ticker(NOW_MS - 1)])
        for params, kinds in (
            ({}, ["24hrTicker", "24hrMiniTicker", "24hrTicker"]),
            ({"kind": "24hrMiniTicker"}, ["24hrMiniTicker"]),
            ({"kind": "24hrTicker"}, ["24hrTicker"] * 2),
        ):
            body = (await api.get("/data/tickers", pair=BTC, **params)).body
            assert [value["kind"] for value in body["data"]] == kinds

    with_api(tmp_path, check)


def test_links_lead_through_a_range_and_keep_what_thins_it_out(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([*(ticker(NOW_MS - n) for n in range(1, 6)), mini_ticker(NOW_MS - 1)])
        seen: list[str] = []
        response = await api.get(
            "/data/tickers", pair=BTC, kind="24hrTicker", limit=2, sort_order="asc", dialect="head"
        )
        while True:
            seen += [value["timestamp"] for value in response.body["data"]]
            assert "values" not in response.body
            if "next" not in response.links:
                break
            response = await api.request("GET", str(response.links["next"]["url"].relative()))
        assert seen == sorted(set(seen))
        assert len(seen) == 5

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("path", "params", "loc"),
    [
        *((path, {}, "pair") for path in ROWS),
        *((path, {"pair": "btc;drop"}, "pair") for path in ROWS),
        *((path, {"pair": BTC, "limit": "1001"}, "limit") for path in ROWS),
        *((path, {"pair": BTC, "offset": "100001"}, "offset") for path in ROWS),
        ("/data/tickers", {"pair": BTC, "kind": "ticker"}, "kind"),
    ],
)
def test_bad_parameters_are_refused(tmp_path: Path, path: str, params: dict[str, str], loc: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(path, **params)
        assert answer.status == 422
        assert [item["loc"] for item in answer.body["detail"]] == [["query", loc]]

    with_api(tmp_path, check)


@pytest.mark.parametrize("path", ROWS)
def test_a_store_that_is_away_is_503_and_a_pair_without_rows_is_empty(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        empty = await api.get(path, pair="XRPUSDT")
        assert (empty.status, empty.body["data"]) == (200, [])
        assert empty.body["metadata"]["message"] == "XRPUSDT is not collected here."
        api.store([ROWS[path][0]])
        (tmp_path / "market" / "BTCUSDT.sqlite3").write_bytes(b"this is no database" * 1000)
        away = await api.get(path, pair=BTC)
        assert away.status == 503
        assert "Retry-After" in away.headers

    with_api(tmp_path, check)

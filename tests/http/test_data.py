from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from yarl import URL

from tests.http.serving import BTC, MINUTE, NOW, NOW_MS, Api, book, candle, funding, serving, trade

Check = Callable[[Api], Awaitable[None]]


def with_api(folder: Path, check: Check, **options: object) -> None:
    async def run() -> None:
        async with serving(folder, **options) as api:
            await check(api)

    asyncio.run(run())


def shape(value: object) -> object:
    """The keys and types of a body: what golden answers are compared on."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


PAGINATION = {
    "total": "int",
    "limit": "int",
    "offset": "int",
    "page": "int",
    "pages": "int",
    "has_next": "bool",
    "has_previous": "bool",
    "total_is_lower_bound": "bool",
}
LIST_METADATA = {
    "data_completeness": "NoneType",
    "last_updated": "str",
    "source": "str",
    "collection": "str",
    "records_returned": "int",
}
SORT = {"by": "str", "order": "str"}


def test_candles_have_the_keys_and_types_of_the_contract(tmp_path: Path) -> None:
    value = {
        "timestamp": "str",
        "open": "str",
        "high": "str",
        "low": "str",
        "close": "str",
        "volume": "str",
        "quote_volume": "str",
        "trades_count": "int",
        "complete": "bool",
        "source": "str",
    }

    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - MINUTE)])
        answer = await api.get("/data/candles", pair=BTC, period="1m")
        assert answer.status == 200
        assert shape(answer.body) == {
            "pair": "str",
            "period": "str",
            "values": [value],
            "data": [value],
            "pagination": PAGINATION,
            "sort": SORT,
            "filters_applied": {"pair": "str", "period": "str", "start": "str", "end": "str"},
            "metadata": LIST_METADATA,
            "parameters": {"pair": "str", "period": "str", "start": "str", "end": "str", "limit": "int"},
        }
        assert answer.body["values"][0] == {
            "timestamp": "2025-10-20T11:59:00.000000+00:00",
            "open": "42000.10",
            "high": "42010.00",
            "low": "41990.5",
            "close": "42005.00000001",
            "volume": "1.2300",
            "quote_volume": "51666.12",
            "trades_count": 17,
            "complete": True,
            "source": "kline",
        }
        assert answer.body["metadata"] == {
            "data_completeness": None,
            "last_updated": "2025-10-20T12:00:01.000000+00:00",
            "source": "sqlite",
            "collection": "candles_BTCUSDT_1m",
            "records_returned": 1,
        }
        assert answer.body["parameters"] == {
            "pair": "BTCUSDT",
            "period": "1m",
            "start": "2025-10-19T12:00:00.000000+00:00",
            "end": NOW,
            "limit": 100,
        }

    with_api(tmp_path, check)


def test_absent_optional_numbers_are_null_and_never_zero(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - MINUTE, quote_volume=None, trades_count=None, source="trades", complete=False)])
        (value,) = (await api.get("/data/candles", pair=BTC, period="1m")).body["values"]
        assert value["quote_volume"] is None
        assert value["trades_count"] is None
        assert (value["source"], value["complete"]) == ("trades", False)

    with_api(tmp_path, check)


def test_trades_have_the_keys_and_types_of_the_contract(tmp_path: Path) -> None:
    value = {"timestamp": "str", "trade_id": "int", "price": "str", "quantity": "str", "side": "str"}

    async def check(api: Api) -> None:
        api.store([trade(1, NOW_MS - 20), trade(2, NOW_MS - 10)])
        answer = await api.get("/data/trades", pair=BTC)
        assert shape(answer.body) == {
            "pair": "str",
            "values": [value],
            "data": [value],
            "pagination": PAGINATION,
            "sort": SORT,
            "filters_applied": {"pair": "str", "kind": "str", "start": "str", "end": "str"},
            "metadata": LIST_METADATA | {"kind": "str"},
            "parameters": {"pair": "str", "start": "str", "end": "str", "limit": "int"},
        }
        assert [row["side"] for row in answer.body["values"]] == ["buy", "sell"]
        assert answer.body["metadata"]["collection"] == "trades_BTCUSDT"
        assert answer.body["parameters"]["start"] == "2025-10-20T11:00:00.000000+00:00"

    with_api(tmp_path, check)


def test_funding_has_the_keys_and_types_of_the_contract(tmp_path: Path) -> None:
    value = {"timestamp": "str", "funding_rate": "str", "mark_price": "str", "settled": "bool"}

    async def check(api: Api) -> None:
        api.store([funding(NOW_MS - 3_600_000, settled=True)])
        answer = await api.get("/data/funding", pair=BTC)
        assert shape(answer.body["data"]) == [value]
        assert answer.body["data"][0]["funding_rate"] == "0.00010000"
        assert answer.body["metadata"]["collection"] == "funding_rates_BTCUSDT"
        assert answer.body["parameters"]["start"] == "2025-10-13T12:00:00.000000+00:00"

    with_api(tmp_path, check)


def test_depth_is_the_newest_book_whatever_its_levels(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([], book(7, NOW_MS - 1500))
        answer = await api.get("/data/depth", pair=BTC)
        assert answer.body == {
            "pair": "BTCUSDT",
            "data": {
                "bids": [
                    {"price": "42000.10", "quantity": "1.000"},
                    {"price": "42000.00", "quantity": "2.5"},
                ],
                "asks": [{"price": "42000.20", "quantity": "0.010"}],
                "last_update_id": 7,
            },
            "metadata": {
                "timestamp": "2025-10-20T11:59:58.500000+00:00",
                "source": "sqlite",
                "collection": "depth_BTCUSDT",
            },
            "parameters": {"pair": "BTCUSDT"},
        }

    with_api(tmp_path, check)


def test_a_book_nobody_sent_is_empty_without_a_collection(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/data/depth", pair="DOGEUSDT")
        assert answer.status == 200
        assert answer.body["data"] == {"bids": [], "asks": [], "last_update_id": 0}
        assert answer.body["metadata"] == {
            "timestamp": None,
            "source": "sqlite",
            "message": "DOGEUSDT is not collected here.",
        }

    with_api(tmp_path, check)


def test_without_paging_parameters_the_newest_rows_are_served_in_ascending_order(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 31)])
        answer = await api.get("/data/candles", pair=BTC, period="1m", limit=3)
        times = [row["timestamp"][11:16] for row in answer.body["values"]]
        assert times == ["11:57", "11:58", "11:59"]
        assert answer.body["pagination"] == {
            "total": 30,
            "limit": 3,
            "offset": 27,
            "page": 10,
            "pages": 10,
            "has_next": False,
            "has_previous": True,
            "total_is_lower_bound": False,
        }

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "params",
    [{"offset": 0}, {"sort_order": "asc"}, {"start": "2025-10-20T11:30:00"}],
    ids=["offset", "sort_order", "start"],
)
def test_each_paging_parameter_alone_selects_the_oldest_rows_first(tmp_path: Path, params: dict[str, object]) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 31)])
        answer = await api.get("/data/candles", pair=BTC, period="1m", limit=3, **params)
        assert [row["timestamp"][11:16] for row in answer.body["values"]] == ["11:30", "11:31", "11:32"]
        assert answer.body["sort"] == {"by": "timestamp", "order": "asc"}
        assert answer.body["pagination"]["has_next"]
        assert not answer.body["pagination"]["has_previous"]

    with_api(tmp_path, check)


def test_descending_order_starts_at_the_newest(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 6)])
        answer = await api.get("/data/candles", pair=BTC, period="1m", limit=2, sort_order="desc", offset=1)
        assert [row["timestamp"][11:16] for row in answer.body["values"]] == ["11:58", "11:57"]
        assert answer.body["sort"]["order"] == "desc"

    with_api(tmp_path, check)


def test_a_range_holds_its_start_and_not_its_end(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 31)])
        span = {"start": NOW_MS - 5 * MINUTE, "end": NOW_MS - 2 * MINUTE}
        answer = await api.get("/data/candles", pair=BTC, period="1m", **span)
        assert [row["timestamp"][14:16] for row in answer.body["values"]] == ["55", "56", "57"]
        off_by_a_microsecond = await api.get(
            "/data/candles",
            pair=BTC,
            period="1m",
            start="2025-10-20T11:55:00.000001",
            end="2025-10-20T11:58:00.000001",
        )
        assert [row["timestamp"][14:16] for row in off_by_a_microsecond.body["values"]] == ["56", "57", "58"]

    with_api(tmp_path, check)


def test_timeframes_do_not_mix(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - MINUTE), candle(NOW_MS - 5 * MINUTE, "5m")])
        for period, expected in (("1m", "11:59"), ("5m", "11:55")):
            answer = await api.get("/data/candles", pair=BTC, period=period)
            assert [row["timestamp"][11:16] for row in answer.body["values"]] == [expected]

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("dialect", "present"), [("v11", {"values"}), ("head", {"data"}), ("both", {"values", "data"})]
)
def test_a_dialect_chooses_the_lists_name_by_parameter_and_by_setting(
    tmp_path: Path, dialect: str, present: set[str]
) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - MINUTE)])
        by_setting = await api.get("/data/candles", pair=BTC, period="1m")
        assert {"values", "data"} & set(by_setting.body) == present
        by_parameter = await api.get("/data/candles", pair=BTC, period="1m", dialect="v11")
        assert {"values", "data"} & set(by_parameter.body) == {"values"}

    with_api(tmp_path, check, api_dialect=dialect)


def test_kinds_of_trades_never_mix_and_raw_ones_come_first(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        hour_ago = NOW_MS - 3_600_000
        api.store([trade(9, hour_ago - 5, "aggTrade"), trade(10, NOW_MS - 5, "aggTrade"), trade(100, NOW_MS - 4)])
        default = await api.get("/data/trades", pair=BTC)
        assert default.body["metadata"]["kind"] == "trade"
        assert [row["trade_id"] for row in default.body["values"]] == [100]
        asked = await api.get("/data/trades", pair=BTC, kind="aggTrade")
        assert asked.body["metadata"]["kind"] == "aggTrade"
        assert [row["trade_id"] for row in asked.body["values"]] == [10]
        older = await api.get("/data/trades", pair=BTC, end=hour_ago)
        assert older.body["metadata"]["kind"] == "aggTrade"
        assert [row["trade_id"] for row in older.body["values"]] == [9]

    with_api(tmp_path, check)


def test_predicted_funding_is_served_only_when_asked_for(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([funding(NOW_MS - 100_000, settled=True), funding(NOW_MS - 40_000, settled=False)])
        for params, settled in (
            ({}, [True]),
            ({"settled": "true"}, [True]),
            ({"settled": "false"}, [False]),
            ({"settled": "any"}, [True, False]),
        ):
            answer = await api.get("/data/funding", pair=BTC, **params)
            assert [row["settled"] for row in answer.body["values"]] == settled

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("ETHUSDT", "Nothing is stored for ETHUSDT yet."),
        ("XRPUSDT", "XRPUSDT is not collected here."),
        ("BTCUSDT", "Nothing is stored for BTCUSDT that matches."),
        ("测试USDT", "测试USDT is not collected here."),
    ],
)
def test_a_well_formed_pair_without_rows_is_empty_and_says_why(tmp_path: Path, pair: str, message: str) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - MINUTE, "5m")])
        for path in ("/data/candles", "/data/trades", "/data/funding"):
            answer = await api.get(path, pair=pair, period="1m")
            assert answer.status == 200
            assert answer.body["values"] == answer.body["data"] == []
            assert answer.body["metadata"]["message"] == message
            assert answer.body["metadata"]["last_updated"] is None
            assert answer.body["pagination"]["total"] == 0
            assert "Link" not in answer.headers

    with_api(tmp_path, check)


GOOD = {"pair": "BTCUSDT", "period": "1m"}


@pytest.mark.parametrize(
    ("params", "loc", "kind"),
    [
        ({"period": "1m"}, "pair", "missing"),
        ({"pair": "BTCUSDT"}, "period", "missing"),
        (GOOD | {"pair": "btcusdt"}, "pair", "value_error"),
        (GOOD | {"pair": "B"}, "pair", "value_error"),
        (GOOD | {"pair": "A" * 21}, "pair", "value_error"),
        (GOOD | {"pair": "BTC/USDT"}, "pair", "value_error"),
        (GOOD | {"pair": "../BTC"}, "pair", "value_error"),
        (GOOD | {"pair": ""}, "pair", "value_error"),
        (GOOD | {"period": "7m"}, "period", "value_error"),
        (GOOD | {"limit": "0"}, "limit", "greater_than_equal"),
        (GOOD | {"limit": "1001"}, "limit", "less_than_equal"),
        (GOOD | {"limit": "ten"}, "limit", "int_parsing"),
        (GOOD | {"offset": "-1"}, "offset", "greater_than_equal"),
        (GOOD | {"offset": "100001"}, "offset", "less_than_equal"),
        (GOOD | {"sort_order": "up"}, "sort_order", "literal_error"),
        (GOOD | {"sort_by": "price"}, "sort_by", "literal_error"),
        (GOOD | {"dialect": "v12"}, "dialect", "literal_error"),
        (GOOD | {"start": "yesterday"}, "start", "datetime_from_date_parsing"),
        (GOOD | {"start": "0001-01-01T00:00:00+10:00"}, "start", "value_error"),
        (GOOD | {"start": "9999-12-31T23:59:59-10:00"}, "start", "value_error"),
        (GOOD | {"end": "nan"}, "end", "datetime_from_date_parsing"),
        (GOOD | {"start": "2025-10-20T11:00:00", "end": "2025-10-20T11:00:00"}, "start", "value_error"),
        (GOOD | {"start": "2025-10-20T12:00:01"}, "start", "value_error"),
        (GOOD | {"end": "0"}, "start", "value_error"),
    ],
)
def test_bad_parameters_are_refused_with_the_list_form(
    tmp_path: Path, params: dict[str, str], loc: str, kind: str
) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/data/candles", **params)
        assert answer.status == 422
        (item,) = answer.body["detail"]
        assert item["type"] == kind
        assert item["loc"] == ["query", loc]
        assert item["msg"]
        assert "input" in item
        assert set(item) <= {"type", "loc", "msg", "input", "ctx"}
        assert answer.body["title"] == "Unprocessable Entity"

    with_api(tmp_path, check)


def test_several_bad_parameters_are_named_together(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/data/candles", pair="x", period="x", limit="x")
        assert [item["loc"][1] for item in answer.body["detail"]] == ["pair", "limit", "period"]

    with_api(tmp_path, check)


def test_skip_without_the_newest_rows_is_refused(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/data/candles", skip=1, offset=1, **GOOD)
        assert answer.status == 422
        assert "use offset" in answer.body["detail"][0]["msg"]

    with_api(tmp_path, check)


def test_unknown_parameters_are_ignored_and_the_last_of_repeated_ones_counts(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 10)])
        answer = await api.request("GET", "/data/candles?pair=BTCUSDT&period=1m&limit=5&limit=2&colour=red")
        assert answer.status == 200
        assert answer.body["parameters"]["limit"] == 2
        assert "colour" not in answer.body["parameters"]

    with_api(tmp_path, check)


def test_our_own_timestamps_may_be_pasted_without_escaping_the_plus(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        query = "pair=BTCUSDT&period=1m&start=2025-10-20T11:00:00.000000+00:00"
        path = URL(f"/data/candles?{query}", encoded=True)
        async with api.session.get(path) as response:
            assert (await response.json())["parameters"]["start"] == "2025-10-20T11:00:00.000000+00:00"

    with_api(tmp_path, check)


def test_a_market_store_that_is_away_is_503_with_a_time_to_try_again(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - MINUTE)])
        (tmp_path / "market" / "BTCUSDT.sqlite3").write_bytes(b"this is no database" * 1000)
        for path in ("/data/candles", "/data/trades", "/data/depth", "/data/funding"):
            answer = await api.get(path, **GOOD)
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.body["detail"] == "The market store is not available now; try again in a few seconds."
            assert str(tmp_path) not in str(answer.body)

    with_api(tmp_path, check)


def test_rows_written_after_the_start_are_served_at_once(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for count in (1, 2, 3):
            api.store([candle(NOW_MS - count * MINUTE)])
            answer = await api.get("/data/candles", **GOOD)
            assert answer.body["pagination"]["total"] == count

    with_api(tmp_path, check)


def test_a_large_page_is_compressed_only_for_clients_that_ask(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 1001)])
        for limit, accept, encoding in (
            (1000, "gzip", "gzip"),
            (1000, "identity", None),
            (10, "gzip", None),
        ):
            answer = await api.request(
                "GET",
                "/data/candles",
                params=GOOD | {"limit": str(limit)},
                headers={"Accept-Encoding": accept},
            )
            assert answer.headers.get("Content-Encoding") == encoding
            assert answer.headers["Content-Type"] == "application/json"
            assert len(answer.body["values"]) == limit

    with_api(tmp_path, check)

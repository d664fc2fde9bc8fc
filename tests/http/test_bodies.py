"""Bodies that are no JSON, or not what was asked for, from friends and strangers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.http.serving import Api, serving

GOOD = {
    "symbol": "BTCUSDT",
    "data_type": "candles",
    "timeframe": "1m",
    "start_time": "2025-10-20T10:00:00Z",
    "end_time": "2025-10-20T11:00:00Z",
}
JSON = {"Content-Type": "application/json"}


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            await check(api)

    asyncio.run(run())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"nope",
        b"\xff\xfe",
        b'{"symbol":"BTCUSDT"',
        b'{"symbol":"\\ud800"}',
        b"[" * 50_000,
        b'{"a":' * 10_000,
        b"[1]",
        b"null",
        b'"text"',
        b"17",
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_what_is_no_json_object_is_422_about_the_body(tmp_path: Path, raw: bytes) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", data=raw, headers=JSON)
        assert answer.status == 422
        (item,) = answer.body["detail"]
        assert item["loc"] == ["body"]
        assert item.keys() <= {"type", "loc", "msg", "input", "ctx"}

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": ""},
        {"Content-Type": "application/jsonp"},
    ],
    ids=str,
)
def test_a_body_that_a_foreign_page_could_send_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", data=json.dumps(GOOD).encode(), headers=headers)
        assert answer.status == 422
        assert "Content-Type: application/json" in answer.body["detail"][0]["msg"]
        assert api.system.hints == []

    with_api(tmp_path, check)


def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", data=b"x" * 100_000, headers=JSON)
        assert answer.status == 413

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("raw", "loc", "repeated"),
    [
        ('"priority": 0', "priority", 0),
        ('"priority": 11', "priority", 11),
        ('"priority": "high"', "priority", "high"),
        ('"priority": 100000000000000000000000000000', "priority", None),
        ('"priority": NaN', "priority", None),
        ('"priority": null', "priority", None),
        ('"priority": [1]', "priority", None),
        ('"symbol": "btcusdt"', "symbol", "btcusdt"),
        ('"symbol": "B"', "symbol", "B"),
        ('"symbol": "../../etc"', "symbol", "../../etc"),
        ('"symbol": "BTC USDT"', "symbol", "BTC USDT"),
        ('"symbol": "B\\u0000C"', "symbol", "B\0C"),
        ('"symbol": 7', "symbol", 7),
        ('"symbol": {"$ne": 1}', "symbol", None),
        ('"data_type": "klines"', "data_type", "klines"),
        ('"data_type": ""', "data_type", ""),
        ('"data_type": null', "data_type", None),
        ('"timeframe": "2m"', "timeframe", "2m"),
        ('"timeframe": "1M"', "timeframe", "1M"),
        ('"start_time": "yesterday"', "start_time", "yesterday"),
        ('"start_time": "2025-13-01"', "start_time", "2025-13-01"),
        ('"start_time": true', "start_time", True),
        ('"end_time": 1e300', "end_time", 1e300),
        ('"end_time": Infinity', "end_time", None),
        ('"end_time": "9999-12-31T23:59:59Z"', "end_time", "9999-12-31T23:59:59Z"),
        ('"start_time": "0001-01-01T00:00:00+23:00"', "start_time", "0001-01-01T00:00:00+23:00"),
    ],
)
def test_a_wrong_value_is_named_and_repeated_as_far_as_json_can(
    tmp_path: Path, raw: str, loc: str, repeated: Any
) -> None:
    async def check(api: Api) -> None:
        body = json.dumps(GOOD)[:-1] + ", " + raw + "}"  # the later of two equal keys counts
        answer = await api.post("/backfill/start", data=body.encode(), headers=JSON)
        assert answer.status == 422
        (item,) = answer.body["detail"]
        assert (item["loc"], item["input"]) == (["body", loc], repeated)
        assert api.system.hints == []

    with_api(tmp_path, check)


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", json={})
        assert answer.status == 422
        assert [item["loc"] for item in answer.body["detail"]] == [
            ["body", name] for name in ("symbol", "data_type", "start_time", "end_time")
        ]
        assert {item["type"] for item in answer.body["detail"]} == {"missing"}

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "time",
    ["2025-10-20T10:00:00", "2025-10-20T10:00:00+00:00", "2025-10-20T12:00+02:00", 1760954400, 1760954400000],
    ids=str,
)
def test_times_are_taken_as_the_original_took_them(tmp_path: Path, time: object) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", json=GOOD | {"start_time": time})
        assert answer.status == 200
        assert answer.body["request"]["start_time"] == "2025-10-20T10:00:00.000000+00:00"

    with_api(tmp_path, check)

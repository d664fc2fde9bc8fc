"""A page of another origin can read the API in a browser only where API_CORS_ORIGINS says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.http.serving import BTC, MINUTE, NOW_MS, Api, candle, serving

DESK, OTHER = "https://desk.example.com", "https://evil.example.com"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


def with_origins(folder: Path, origins: tuple[str, ...], check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder, token="secret", api_cors_origins=origins) as api:
            await check(api)

    asyncio.run(run())


def test_without_the_setting_no_answer_speaks_of_origins(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.request("GET", "/", headers={"Origin": DESK})
        asked = await api.request("OPTIONS", "/backfill/start", headers={"Origin": DESK, **ASKED})
        assert asked.status == 405
        for headers in (answer.headers, asked.headers):
            assert not [name for name in headers if name.startswith("Access-Control")]

    with_origins(tmp_path, (), check)


def test_a_page_of_a_named_origin_may_read_and_another_may_not(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for path, status in (("/", 200), ("/nope", 404), ("/data/candles", 422), ("/data/trades?pair=BTCUSDT", 200)):
            mine = await api.request("GET", path, headers={"Origin": DESK})
            assert (mine.status, mine.headers["Access-Control-Allow-Origin"]) == (status, DESK)
            assert "ETag" in mine.headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in mine.headers
            assert "Origin" in mine.headers["Vary"]
            for headers in ({"Origin": OTHER}, {"Origin": "null"}, {"Origin": f"{DESK}.evil.com"}, {}):
                others = await api.request("GET", path, headers=headers)
                assert "Access-Control-Allow-Origin" not in others.headers
                assert "Origin" in others.headers["Vary"]

    with_origins(tmp_path, (DESK,), check)


def test_a_stream_says_so_too(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - MINUTE)])
        headers = {"Origin": DESK, "Accept": "text/csv"}
        answer = await api.request("GET", f"/data/candles?pair={BTC}&period=1m", headers=headers)
        assert answer.headers["Access-Control-Allow-Origin"] == DESK
        assert answer.headers["Vary"] == "Accept, Origin"

    with_origins(tmp_path, (DESK,), check)


def test_a_browser_is_told_what_a_page_may_send_before_it_sends_it(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for origin in (DESK, OTHER):
            asked = await api.request("OPTIONS", "/backfill/start", headers={"Origin": origin, **ASKED})
            assert (asked.status, asked.body) == (204, b"")
            assert asked.headers["Access-Control-Allow-Methods"] == "POST"
            assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
            assert asked.headers.get("Access-Control-Allow-Origin") == (DESK if origin == DESK else None)
        nowhere = await api.request("OPTIONS", "/nope", headers={"Origin": DESK, **ASKED})
        assert nowhere.status == 404
        no_question = await api.request("OPTIONS", "/backfill/start", headers={"Origin": DESK})
        assert no_question.status == 405

    with_origins(tmp_path, (DESK,), check)


def test_asking_first_is_no_way_around_the_token(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", json={}, headers={"Origin": DESK, **ASKED})
        assert answer.status == 401
        assert answer.headers["Access-Control-Allow-Origin"] == DESK

    with_origins(tmp_path, (DESK,), check)


def test_a_star_lets_every_page_read(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.request("GET", "/", headers={"Origin": OTHER})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers

    with_origins(tmp_path, ("*",), check)

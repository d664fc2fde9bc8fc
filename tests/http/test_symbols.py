"""`/symbols` over a real catalog: listed, added, retired, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from data_manager.http.symbols import PROCESS_MB, crowded
from data_manager.storage import symbols
from data_manager.system.settings import RESERVED_SYMBOL
from tests.http.serving import NOW_MS, Api, actor, serving, tree

TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PAIRS = "BTCUSDT,ETHUSDT"
NOW = "2025-10-20T12:00:00.000000+00:00"
MIB = 2**20


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]], token: str | None = TOKEN) -> None:
    async def run() -> None:
        async with serving(folder, token=token, supported_pairs=PAIRS) as api:
            api.system.latest = tree(
                actor("ingest/BTCUSDT", symbol="BTCUSDT"), actor("ingest/ETHUSDT", "parked", symbol="ETHUSDT")
            )
            await check(api)

    asyncio.run(run())


def value(symbol: str, state: str | None, status: str = "active", retired_at: str | None = None) -> dict[str, object]:
    return {"symbol": symbol, "status": status, "added_at": NOW, "retired_at": retired_at, "state": state}


async def add(api: Api, symbol: object) -> tuple[int, object]:
    answer = await api.post("/symbols", json={"symbol": symbol}, headers=BEARER)
    return answer.status, answer.body


async def retire(api: Api, symbol: str) -> tuple[int, object]:
    answer = await api.post(f"/symbols/{symbol}/retire", headers=BEARER)
    return answer.status, answer.body


def test_all_are_listed_with_the_state_of_their_actors(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/symbols")
        assert answer.status == 200
        assert answer.body == {
            "data": [value("BTCUSDT", "running"), value("ETHUSDT", "parked")],
            "metadata": {"records_returned": 2, "last_updated": NOW, "source": "catalog", "active": 2},
        }
        api.system.latest = None
        assert {each["state"] for each in (await api.get("/symbols")).body["data"]} == {None}

    with_api(tmp_path, check)


def test_a_symbol_is_added_and_the_supervisor_told_of_all_that_are_active(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        assert await add(api, "XRPUSDT") == (201, value("XRPUSDT", None))
        assert api.system.assigned == [("BTCUSDT", "ETHUSDT", "XRPUSDT")]
        assert await add(api, "XRPUSDT") == (200, value("XRPUSDT", None))
        assert api.system.assigned == [("BTCUSDT", "ETHUSDT", "XRPUSDT")] * 2  # the first may have been lost
        assert [each["symbol"] for each in (await api.get("/symbols")).body["data"]] == [
            "BTCUSDT",
            "ETHUSDT",
            "XRPUSDT",
        ]

    with_api(tmp_path, check)


def test_a_symbol_is_retired_stays_listed_and_can_come_back(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        retired = value("ETHUSDT", "parked", "retired", NOW)
        assert await retire(api, "ETHUSDT") == (200, retired)
        assert await retire(api, "ETHUSDT") == (200, retired)
        listed = (await api.get("/symbols")).body
        assert (listed["data"][1], listed["metadata"]["active"]) == (retired, 1)
        assert await add(api, "ETHUSDT") == (201, value("ETHUSDT", "parked"))
        assert api.system.assigned == [("BTCUSDT",), ("BTCUSDT",), ("BTCUSDT", "ETHUSDT")]

    with_api(tmp_path, check)


@pytest.mark.parametrize("symbol", ["btcusdt", "", "../x", "A" * 21, RESERVED_SYMBOL, 5, None])
def test_what_is_no_symbol_is_refused_with_422_and_changes_nothing(tmp_path: Path, symbol: object) -> None:
    async def check(api: Api) -> None:
        status, body = await add(api, symbol)
        assert status == 422
        assert body["detail"][0]["loc"] == ["body", "symbol"]  # type: ignore[index]
        assert api.system.assigned == []

    with_api(tmp_path, check)


def test_retiring_what_is_not_there_is_404_and_what_cannot_be_422(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        assert (await retire(api, "NOUSDT"))[0] == 404
        assert (await retire(api, "nousdt"))[0] == (await retire(api, RESERVED_SYMBOL))[0] == 422
        assert api.system.assigned == []

    with_api(tmp_path, check)


def test_both_changes_need_the_token_and_the_list_does_not(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for path, body in (("/symbols", {"symbol": "XRPUSDT"}), ("/symbols/BTCUSDT/retire", None)):
            assert (await api.post(path, json=body)).status == 401
        assert (await api.get("/symbols")).status == 200
        assert api.system.assigned == []

    with_api(tmp_path, check)


def test_without_a_token_of_the_service_nothing_can_be_changed(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        assert (await add(api, "XRPUSDT"))[0] == (await retire(api, "BTCUSDT"))[0] == 403

    with_api(tmp_path, check, token=None)


def test_beyond_the_most_that_can_be_active_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(api: Api) -> None:
        monkeypatch.setattr(symbols, "SYMBOLS_MAX", 2)
        status, body = await add(api, "XRPUSDT")
        assert status == 409
        assert "retire one first" in body["detail"]  # type: ignore[index]
        assert api.system.assigned == []

    with_api(tmp_path, check)


def test_without_the_catalog_it_is_unavailable(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        (tmp_path / "catalog.sqlite3").mkdir()
        assert (await api.get("/symbols")).status == 503
        assert (await add(api, "XRPUSDT"))[0] == (await retire(api, "BTCUSDT"))[0] == 503

    with_api(tmp_path, check)


def test_more_symbols_than_the_host_can_bear_are_warned_of() -> None:
    assert crowded(50, 2 * 50 * PROCESS_MB * MIB) == ""
    warning = crowded(1000, 8192 * MIB)
    assert "1,000 symbols" in warning
    assert "8,192 MiB in all" in warning


def test_what_was_retired_is_left_out_of_the_summary_and_is_served(tmp_path: Path) -> None:
    from tests.http.serving import candle

    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - 60_000)])
        before = (await api.get("/health/summary")).body["data"]
        assert before["total_datasets"] == 1
        api.services.symbols.become(["ETHUSDT"])
        after = (await api.get("/health/summary")).body["data"]
        assert after["total_datasets"] == 0
        served = await api.get("/data/candles", pair="BTCUSDT", period="1m")
        assert len(served.body["data"]) == 1
        empty = await api.get("/data/candles", pair="BTCUSDT", period="1m", start="2020-01-01", end="2020-01-02")
        assert empty.body["metadata"]["message"] == "Nothing is stored for BTCUSDT that matches."
        nothing = await api.get("/data/candles", pair="XRPUSDT", period="1m")
        assert nothing.body["metadata"]["message"] == "XRPUSDT is not collected here."

    with_api(tmp_path, check)

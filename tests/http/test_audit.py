"""`POST /audit/run` and `/conflicts`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.protocols import Conflict
from data_manager.system.messages import AuditRequested
from tests.http.serving import NOW, NOW_MS, Api, actor, serving, tree, working_tree

TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]], token: str | None = TOKEN, **settings: Any) -> None:
    async def run() -> None:
        async with serving(folder, token=token, **settings) as api:
            api.system.latest = tree(actor("http"), actor("auditor"))
            await check(api)

    asyncio.run(run())


def conflict(number: int, **changes: Any) -> Conflict:
    values = {
        "conflict_id": f"c{number}",
        "dataset_id": "candles_BTCUSDT_1m",
        "symbol": "BTCUSDT",
        "row_key": "2025-10-20T11:59:00+00:00",
        "stored_row": '{"close":"1.0"}',
        "offered_row": '{"close":"1.1"}',
        "source": "rest",
        "at_ms": NOW_MS + number,
    }
    return Conflict(**{**values, **changes})


# -- run -----------------------------------------------------------------------------------------------------


def test_an_audit_is_asked_for_and_the_answer_does_not_wait_for_it(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/audit/run", headers=BEARER)
        assert answer.status == 202
        assert answer.body.keys() == {"status", "requested_at", "message"}
        assert (answer.body["status"], answer.body["requested_at"]) == ("started", NOW)
        assert api.system.hints == [AuditRequested()]
        assert (await api.get("/audit/run")).status == 405

    with_api(tmp_path, check)


def test_while_no_token_is_set_nobody_may(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for headers in ({}, BEARER):
            answer = await api.post("/audit/run", headers=headers)
            assert answer.status == 403
            assert "API_TOKEN" in answer.body["detail"]
        assert api.system.hints == []

    with_api(tmp_path, check, token=None)


def test_a_stranger_is_challenged_whatever_the_state(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = None
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = await api.post("/audit/run", headers=headers)
            assert (answer.status, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
        assert api.system.hints == []

    with_api(tmp_path, check)


@pytest.mark.parametrize("state", ["parked", "paused", "starting", "backoff"])
def test_an_auditor_that_is_not_at_work_is_503(tmp_path: Path, state: str) -> None:
    async def check(api: Api) -> None:
        for latest in (None, working_tree(), tree(actor("auditor", state))):
            api.system.latest = latest
            answer = await api.post("/audit/run", headers=BEARER)
            assert (answer.status, answer.body["detail"]) == (
                503,
                "The auditor is not at work now; GET /system/tree says why.",
            )
        assert api.system.hints == []

    with_api(tmp_path, check)


def test_an_auditor_that_waits_for_a_store_takes_the_hint(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = tree(actor("auditor", "waiting", "catalog"))
        assert (await api.post("/audit/run", headers=BEARER)).status == 202

    with_api(tmp_path, check)


def test_audits_that_are_switched_off_are_503_although_the_actor_runs(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/audit/run", headers=BEARER)
        assert answer.status == 503
        assert "ENABLE_AUDITOR=true" in answer.body["detail"]

    with_api(tmp_path, check, enable_auditor=False)


# -- conflicts -----------------------------------------------------------------------------------------------


def test_conflicts_are_listed_with_both_rows_the_newest_first(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        rows = [conflict(1), conflict(2), conflict(3, dataset_id="trades_BTCUSDT")]
        await api.services.catalog.call(lambda catalog: catalog.save_conflicts(rows))
        body = (await api.get("/conflicts", dataset="candles_BTCUSDT_1m")).body
        assert [each["conflict_id"] for each in body["data"]] == ["c2", "c1"]
        assert body["data"][1] == {
            "conflict_id": "c1",
            "dataset_id": "candles_BTCUSDT_1m",
            "pair": "BTCUSDT",
            "row_key": "2025-10-20T11:59:00+00:00",
            "stored": {"close": "1.0"},
            "offered": {"close": "1.1"},
            "source": "rest",
            "found_at": "2025-10-20T12:00:00.001000+00:00",
        }
        assert body["metadata"] == {"records_returned": 2}
        assert body["filters_applied"] == {"dataset": "candles_BTCUSDT_1m"}
        assert [each["conflict_id"] for each in (await api.get("/conflicts", limit=1)).body["data"]] == ["c3"]
        assert (await api.get("/conflicts", dataset="nothing")).body["data"] == []

    with_api(tmp_path, check)


def test_a_row_that_was_cut_is_shown_as_the_text_it_is(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        rows = [conflict(1, stored_row='{"bids":[…')]
        await api.services.catalog.call(lambda catalog: catalog.save_conflicts(rows))
        (value,) = (await api.get("/conflicts")).body["data"]
        assert (value["stored"], value["offered"]) == ('{"bids":[…', {"close": "1.1"})

    with_api(tmp_path, check)


@pytest.mark.parametrize("asked", [{"limit": 0}, {"limit": 1001}, {"dataset": ""}])
def test_what_cannot_be_asked_is_422(tmp_path: Path, asked: dict[str, object]) -> None:
    async def check(api: Api) -> None:
        assert (await api.get("/conflicts", **asked)).body["detail"][0]["loc"] == ["query", next(iter(asked))]

    with_api(tmp_path, check)


def test_a_catalog_that_is_away_is_503(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        assert (await api.get("/conflicts")).status == 503

    (tmp_path / "catalog.sqlite3").mkdir()
    with_api(tmp_path, check)

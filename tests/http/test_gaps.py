"""`/gaps`: the rows of the catalog, filtered, paged, each by its id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from data_manager.http.jobs import job_value
from data_manager.storage.protocols import Gap
from tests.http.serving import NOW_MS, Api, serving
from tests.http.test_jobs import job

MINUTE = 60_000
GAP = Gap(
    gap_id="one",
    dataset_id="candles_BTCUSDT_1m",
    symbol="BTCUSDT",
    data_type="candles",
    timeframe="1m",
    start_ms=NOW_MS - 10 * MINUTE,
    end_ms=NOW_MS - 8 * MINUTE,
    status="open",
    cause="ours",
    evidence="2 of the bars that must be there are not stored",
    first_seen_ms=NOW_MS - MINUTE,
    last_seen_ms=NOW_MS,
)
VALUE = {
    "gap_id": "one",
    "dataset_id": "candles_BTCUSDT_1m",
    "pair": "BTCUSDT",
    "data_type": "candles",
    "timeframe": "1m",
    "start": "2025-10-20T11:50:00.000000+00:00",
    "end": "2025-10-20T11:52:00.000000+00:00",
    "status": "open",
    "cause": "ours",
    "evidence": "2 of the bars that must be there are not stored",
    "job_id": None,
    "first_seen": "2025-10-20T11:59:00.000000+00:00",
    "last_seen": "2025-10-20T12:00:00.000000+00:00",
    "closed_at": None,
}


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            await check(api)

    asyncio.run(run())


def gap(gap_id: str, **changes: Any) -> Gap:
    values = {field: getattr(GAP, field) for field in GAP.__struct_fields__}
    return Gap(**{**values, "gap_id": gap_id, **changes})


async def save(api: Api, *gaps: Gap) -> None:
    await api.services.catalog.call(lambda catalog: catalog.save_gaps(gaps))


def test_a_gap_is_listed_and_found_by_its_id(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(api, GAP)
        listed = await api.get("/gaps")
        assert (listed.status, listed.body["data"]) == (200, [VALUE])
        assert listed.body["pagination"]["total"] == 1
        assert listed.body["sort"] == {"by": "start", "order": "desc"}
        assert (await api.get("/gaps/one")).body == VALUE | {"job": None}

    with_api(tmp_path, check)


def test_without_gaps_the_list_is_empty(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        listed = await api.get("/gaps")
        assert (listed.status, listed.body["data"], listed.body["pagination"]["total"]) == (200, [], 0)

    with_api(tmp_path, check)


def test_gaps_are_filtered_sorted_and_paged(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(
            api,
            *(gap(f"b{n}", start_ms=NOW_MS + n * MINUTE) for n in range(3)),
            gap("closed", status="closed", closed_ms=NOW_MS),
            gap("other", symbol="ETHUSDT"),
        )

        async def ids(**asked: object) -> list[str]:
            return [each["gap_id"] for each in (await api.get("/gaps", **asked)).body["data"]]

        assert await ids(pair="ETHUSDT") == ["other"]
        assert await ids(status="closed") == ["closed"]
        assert await ids(pair="BTCUSDT", status="open") == ["b2", "b1", "b0"]
        assert await ids(pair="BTCUSDT", status="open", sort_order="asc", limit=2) == ["b0", "b1"]
        assert await ids(pair="BTCUSDT", status="open", sort_order="asc", limit=2, offset=2) == ["b2"]
        body = (await api.get("/gaps", pair="BTCUSDT", status="open", limit=2)).body
        assert body["filters_applied"] == {"pair": "BTCUSDT", "status": "open"}
        assert (body["pagination"]["total"], body["pagination"]["has_next"]) == (3, True)

    with_api(tmp_path, check)


def test_gaps_of_one_dataset_are_found_by_its_id_or_by_symbol_and_period(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(
            api,
            GAP,
            gap("hours", dataset_id="candles_BTCUSDT_1h", timeframe="1h"),
            gap("trades", dataset_id="trades_BTCUSDT", data_type="trades", timeframe=None),
        )

        async def ids(**asked: object) -> list[str]:
            return [each["gap_id"] for each in (await api.get("/gaps", **asked)).body["data"]]

        assert await ids(pair="BTCUSDT", period="1h") == ["hours"]
        assert await ids(dataset="trades_BTCUSDT") == ["trades"]
        assert await ids(pair="ETHUSDT", period="1h") == []
        body = (await api.get("/gaps", pair="BTCUSDT", period="1h", status="open")).body
        assert body["filters_applied"] == {"pair": "BTCUSDT", "period": "1h", "status": "open"}
        for asked in ({"period": "1h"}, {"pair": "BTCUSDT", "period": "1h", "dataset": "trades_BTCUSDT"}):
            answer = await api.get("/gaps", **asked)
            assert (answer.status, answer.body["detail"][0]["loc"]) == (422, ["query"])

    with_api(tmp_path, check)


@pytest.mark.parametrize("dataset", ["%ff", "%ED%A0%80", "%00", "'%20or%201=1"])
def test_a_dataset_that_cannot_be_has_no_gaps(tmp_path: Path, dataset: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(URL(f"/gaps?dataset={dataset}", encoded=True))
        assert (answer.status, answer.body["data"]) == (200, [])

    with_api(tmp_path, check)


def test_a_gap_is_shown_with_its_job(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(api, gap("one", status="backfilling", job_id="job1"), gap("two", job_id="gone"))
        repair = job(job_id="job1", reason="gap", status="running", progress=50.0)
        await api.services.catalog.call(lambda catalog: catalog.save_job(repair))
        shown = (await api.get("/gaps/one")).body
        assert (shown["job_id"], shown["evidence"]) == ("job1", GAP.evidence)
        assert shown["job"] == job_value(repair, NOW_MS)
        assert (await api.get("/gaps/two")).body["job"] is None, "retention may have taken it"

    with_api(tmp_path, check)


@pytest.mark.parametrize("gap_id", ["none", "%00", "%ff", "%ED%A0%80", "a'%20or%201=1", "x" * 300])
def test_an_unknown_id_is_404(tmp_path: Path, gap_id: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(URL(f"/gaps/{gap_id}", encoded=True))
        assert answer.status == 404
        assert "There is no gap " in answer.body["detail"]

    with_api(tmp_path, check)


@pytest.mark.parametrize("asked", [{"status": "lost"}, {"pair": "btc"}, {"limit": 0}, {"offset": -1}, {"dataset": ""}])
def test_what_cannot_be_asked_is_422(tmp_path: Path, asked: dict[str, object]) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/gaps", **asked)
        assert answer.status == 422
        assert answer.body["detail"][0]["loc"] == ["query", next(iter(asked))]

    with_api(tmp_path, check)


def test_a_catalog_that_is_away_is_503(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        (tmp_path / "catalog.sqlite3").unlink(missing_ok=True)
        (tmp_path / "catalog.sqlite3").mkdir()
        answer = await api.get("/gaps")
        assert answer.status == 503
        assert "Retry-After" in answer.headers

    with_api(tmp_path, check)

"""`/backfill/*`: a job is saved, told of, listed in both dialects and found by its id."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from data_manager.actors.backfill.door import BUDGET
from data_manager.http import backfill
from data_manager.http.backfill import MAX_OPEN_JOBS
from data_manager.storage.protocols import Catalog, ExchangeState, Gap, Job
from data_manager.system.messages import JobRequested
from tests.http.serving import NOW, NOW_MS, Api, replace, serving
from tests.http.test_bodies import GOOD
from tests.http.test_jobs import JOB, job

TOKEN = "correct horse battery staple"
KEYS = {  # the original's, with the types of their values in a new job
    "job_id": str,
    "status": str,
    "request": dict,
    "progress": float,
    "records_fetched": int,
    "records_inserted": int,
    "created_at": str,
    "started_at": type(None),
    "completed_at": type(None),
}
ADDED = {"reason", "error_message", "rows_per_second", "eta_seconds"}
ECHOED = {
    "symbol": "BTCUSDT",
    "data_type": "candles",
    "timeframe": "1m",
    "start_time": "2025-10-20T10:00:00.000000+00:00",
    "end_time": "2025-10-20T11:00:00.000000+00:00",
    "priority": 5,
}


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with serving(folder, **options) as api:
            await check(api)

    asyncio.run(run())


async def save(api: Api, *jobs: Job) -> None:
    def work(catalog: Catalog) -> None:
        for each in jobs:
            catalog.save_job(each)

    await api.services.catalog.call(work)


async def stored(api: Api) -> list[Job]:
    found: list[Job] = (await api.services.catalog.call(lambda catalog: catalog.jobs()))[0]
    return found


# -- start ---------------------------------------------------------------------------------------------------


def test_a_started_job_is_pending_saved_and_told_of(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", json=GOOD)
        assert answer.status == 200
        body = answer.body
        assert body.keys() == KEYS.keys() | ADDED
        assert {name: type(body[name]) for name in KEYS} == KEYS
        assert body["request"] == ECHOED
        assert (body["status"], body["progress"], body["created_at"]) == ("pending", 0.0, NOW)
        assert str(uuid.UUID(body["job_id"])) == body["job_id"]
        (saved,) = await stored(api)
        assert (saved.job_id, saved.status, saved.reason) == (body["job_id"], "pending", "user")
        assert api.system.hints == [JobRequested(body["job_id"])]

    with_api(tmp_path, check)


@pytest.mark.parametrize("status", ["pending", "running"])
@pytest.mark.parametrize("reason", ["user", "gap", "bootstrap"])
def test_while_an_equal_job_is_open_it_is_the_answer(tmp_path: Path, status: str, reason: str) -> None:
    async def check(api: Api) -> None:
        first = (await api.post("/backfill/start", json=GOOD)).body
        (saved,) = await stored(api)
        await save(api, replace(saved, {"status": status, "reason": reason, "progress": 40.0}))
        again = await api.post("/backfill/start", json=GOOD | {"priority": 1})
        assert (again.status, again.body["job_id"], again.body["progress"]) == (200, first["job_id"], 40.0)
        other = await api.post("/backfill/start", json=GOOD | {"timeframe": "5m"})
        assert other.body["job_id"] != first["job_id"]
        assert len(await stored(api)) == 2

    with_api(tmp_path, check)


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_what_has_ended_may_be_done_again(tmp_path: Path, status: str) -> None:
    async def check(api: Api) -> None:
        first = (await api.post("/backfill/start", json=GOOD)).body
        (saved,) = await stored(api)
        await save(api, replace(saved, {"status": status}))
        assert (await api.post("/backfill/start", json=GOOD)).body["job_id"] != first["job_id"]

    with_api(tmp_path, check)


def test_two_who_ask_for_the_same_at_once_get_one_job(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answers = await asyncio.gather(*(api.post("/backfill/start", json=GOOD) for _ in range(8)))
        assert len({answer.body["job_id"] for answer in answers}) == 1
        assert len(await stored(api)) == 1

    with_api(tmp_path, check)


def test_a_full_queue_takes_no_more_but_still_names_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "MAX_OPEN_JOBS", 2)

    async def check(api: Api) -> None:
        await save(api, job(job_id="done", status="completed"))
        first = (await api.post("/backfill/start", json=GOOD)).body
        await api.post("/backfill/start", json=GOOD | {"symbol": "ETHUSDT"})
        refused = await api.post("/backfill/start", json=GOOD | {"symbol": "SOLUSDT"})
        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
        assert f"{MAX_OPEN_JOBS:,} jobs wait already" in refused.body["detail"]
        assert (await api.post("/backfill/start", json=GOOD)).body["job_id"] == first["job_id"]
        assert len(await stored(api)) == 3

    with_api(tmp_path, check)


def test_a_range_without_end_or_sense_is_422_about_the_body(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for changes, loc in (
            ({"timeframe": None}, "timeframe"),
            ({"end_time": GOOD["start_time"]}, "start_time"),
            ({"start_time": "2025-10-20T12:00:01Z", "end_time": "2026-01-01"}, "start_time"),
            ({"start_time": "1999-01-01"}, "end_time"),
        ):
            answer = await api.post("/backfill/start", json=GOOD | changes)
            assert (answer.status, answer.body["detail"][0]["loc"]) == (422, ["body", loc])
        assert await stored(api) == []
        assert api.system.hints == []

    with_api(tmp_path, check)


def test_a_token_is_needed_once_one_is_set(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = await api.post("/backfill/start", json=GOOD, headers=headers)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await api.post("/backfill/start", json={}, headers=headers)).status == 401
        assert await stored(api) == []
        good = await api.post("/backfill/start", json=GOOD, headers={"Authorization": f"Bearer {TOKEN}"})
        assert good.status == 200
        assert (await api.get("/backfill/jobs")).status == 200, "reading stays open"

    with_api(tmp_path, check, token=TOKEN)


def test_without_a_backfiller_nothing_is_promised(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/backfill/start", json=GOOD)
        assert answer.status == 503
        assert "ENABLE_BACKFILLER=true" in answer.body["detail"]
        assert await stored(api) == []
        assert (await api.post("/backfill/start", json={})).status == 422

    with_api(tmp_path, check, enable_backfiller=False)


# -- list ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "lists"), [("v11", {"jobs"}), ("head", {"data"}), ("both", {"jobs", "data"}), (None, {"jobs", "data"})]
)
def test_the_list_speaks_both_dialects(tmp_path: Path, dialect: str | None, lists: set[str]) -> None:
    async def check(api: Api) -> None:
        await save(api, JOB)
        body = (await api.get("/backfill/jobs", **({} if dialect is None else {"dialect": dialect}))).body
        assert body.keys() == lists | {"total_count", "pagination", "sort", "filters_applied"}
        for name in lists:
            (value,) = body[name]
            assert value.keys() == KEYS.keys() | ADDED
        assert body["total_count"] == 1
        assert body["pagination"] == {
            "total": 1,
            "limit": 100,
            "offset": 0,
            "page": 1,
            "pages": 1,
            "has_next": False,
            "has_previous": False,
        }
        assert body["sort"] == {"by": "created_at", "order": "desc"}
        assert body["filters_applied"] == {}

    with_api(tmp_path, check)


def test_without_jobs_the_list_is_empty(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        body = (await api.get("/backfill/jobs")).body
        assert (body["jobs"], body["data"], body["total_count"]) == ([], [], 0)

    with_api(tmp_path, check)


def test_jobs_are_filtered_sorted_and_paged(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(
            api,
            *(job(job_id=f"b{n}", created_ms=NOW_MS + n * 1000) for n in range(3)),
            job(job_id="done", status="completed", created_ms=NOW_MS - 1000),
            job(job_id="eth", symbol="ETHUSDT", created_ms=NOW_MS - 2000),
            job(job_id="trades", data_type="trades", timeframe=None, created_ms=NOW_MS - 3000),
        )

        async def ids(**asked: object) -> list[str]:
            return [each["job_id"] for each in (await api.get("/backfill/jobs", **asked)).body["data"]]

        assert await ids() == ["b2", "b1", "b0", "done", "eth", "trades"]
        assert await ids(status="completed") == ["done"]
        assert await ids(symbol="ETHUSDT") == ["eth"]
        assert await ids(data_type="trades") == ["trades"]
        assert await ids(data_type="nothing") == []
        assert await ids(sort_order="asc", limit=2) == ["trades", "eth"]
        assert await ids(sort_order="asc", limit=2, offset=4) == ["b1", "b2"]
        assert await ids(**{"from": "2025-10-20T12:00:01Z"}) == ["b2", "b1"]
        assert await ids(to="2025-10-20T11:59:58Z") == ["trades"]
        body = (await api.get("/backfill/jobs", status="pending", symbol="BTCUSDT", limit=2, **{"from": "0"})).body
        assert body["filters_applied"] == {
            "status": "pending",
            "symbol": "BTCUSDT",
            "from": "1970-01-01T00:00:00.000000+00:00",
        }
        assert (body["total_count"], body["pagination"]["has_next"]) == (4, True)

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "asked",
    [
        {"status": "lost"},
        {"symbol": "btc"},
        {"limit": 0},
        {"limit": 1001},
        {"offset": -1},
        {"from": "soon"},
        {"to": "x"},
        {"sort_by": "job_id"},
        {"sort_order": "down"},
        {"dialect": "v12"},
        {"data_type": "x" * 101},
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_422_about_the_query(tmp_path: Path, asked: dict[str, object]) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/backfill/jobs", **asked)
        assert answer.status == 422
        assert answer.body["detail"][0]["loc"] == ["query", next(iter(asked))]

    with_api(tmp_path, check)


# -- one job -------------------------------------------------------------------------------------------------


def test_a_job_is_found_by_its_id_with_pace_and_rest(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(
            api,
            job(
                status="running",
                started_ms=NOW_MS - 4000,
                progress=25.0,
                records_fetched=998,
                records_inserted=7,
            ),
        )
        answer = await api.get("/backfill/jobs/one")
        assert answer.status == 200
        assert answer.body.keys() == KEYS.keys() | ADDED | {"gap_ids", "exchange_closed_until"}
        assert (answer.body["rows_per_second"], answer.body["eta_seconds"]) == (249.5, 12.0)
        assert (answer.body["records_fetched"], answer.body["records_inserted"]) == (998, 7)
        assert (answer.body["started_at"], answer.body["gap_ids"]) == ("2025-10-20T11:59:56.000000+00:00", [])

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("status", "until_ms", "told"),
    [
        ("running", NOW_MS + 120_000, "2025-10-20T12:02:00.000000+00:00"),
        ("pending", NOW_MS + 120_000, "2025-10-20T12:02:00.000000+00:00"),
        ("completed", NOW_MS + 120_000, None),
        ("running", NOW_MS - 1, None),
        ("running", None, None),
    ],
)
def test_an_open_job_tells_until_when_the_exchange_answers_nobody(
    tmp_path: Path, status: str, until_ms: int | None, told: str | None
) -> None:
    async def check(api: Api) -> None:
        state = ExchangeState(BUDGET, "{}", until_ms, NOW_MS)
        await api.services.catalog.call(lambda catalog: catalog.save_exchange_state(state))
        await save(api, job(status=status))
        assert (await api.get("/backfill/jobs/one")).body["exchange_closed_until"] == told

    with_api(tmp_path, check)


def test_a_failed_job_says_why(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(api, job(status="failed", error_message="the exchange does not trade BTCUSDT"))
        assert (await api.get("/backfill/jobs/one")).body["error_message"] == "the exchange does not trade BTCUSDT"

    with_api(tmp_path, check)


def test_a_job_made_for_a_gap_names_it(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await save(api, job(reason="gap"))
        gaps = [
            Gap(
                gap_id=name,
                dataset_id="candles_BTCUSDT_1m",
                symbol="BTCUSDT",
                data_type="candles",
                timeframe="1m",
                start_ms=NOW_MS - 60_000,
                end_ms=NOW_MS,
                status="backfilling",
                cause=None,
                evidence=None,
                first_seen_ms=NOW_MS,
                last_seen_ms=NOW_MS,
                job_id=job_id,
            )
            for name, job_id in (("mine", "one"), ("another's", "two"), ("nobody's", None))
        ]
        await api.services.catalog.call(lambda catalog: catalog.save_gaps(gaps))
        assert (await api.get("/backfill/jobs/one")).body["gap_ids"] == ["mine"]

    with_api(tmp_path, check)


@pytest.mark.parametrize("job_id", ["none", "%00", "%ff", "%ED%A0%80", "a'%20or%201=1", "%F0%9F%92%A9", "x" * 300])
def test_an_unknown_id_is_404_with_a_sentence(tmp_path: Path, job_id: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(URL(f"/backfill/jobs/{job_id}", encoded=True))
        assert answer.status == 404
        assert answer.body["detail"].startswith("There is no job ")

    with_api(tmp_path, check)


def test_a_catalog_that_is_away_is_503_everywhere(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for answer in (
            await api.post("/backfill/start", json=GOOD),
            await api.get("/backfill/jobs"),
            await api.get("/backfill/jobs/one"),
        ):
            assert answer.status == 503
            assert answer.headers["Retry-After"]
            assert answer.body["detail"] == "The catalog is not available now; try again in a few seconds."
        assert api.system.hints == []

    (tmp_path / "catalog.sqlite3").mkdir()
    with_api(tmp_path, check)

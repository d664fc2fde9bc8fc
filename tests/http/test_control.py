from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from yarl import URL

from data_manager.storage.protocols import Incident
from data_manager.system.fleet_messages import FleetNews, HolderAnswered, Replica
from data_manager.system.messages import CommandDone, IncidentNews
from tests.http.serving import BUSY, NOW_MS, Api, actor, serving, tree, working_tree

TOKEN = "correct horse battery staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]], token: str | None = TOKEN) -> None:
    async def run() -> None:
        async with serving(folder, token=token) as api:
            api.system.latest = working_tree()
            await check(api)

    asyncio.run(run())


def test_the_tree_shows_every_actor_and_the_open_incidents(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        parked = actor("ingest/BTCUSDT", "parked", last_cause="signal 9", last_exit_ms=NOW_MS - 1000, restarts=6)
        news = IncidentNews("a1", "actor_down", "ingest/BTCUSDT", "signal 9", NOW_MS - 1000)
        api.system.latest = tree(parked, actor("router", started_ms=None, pid=None), incidents=(news,))
        answer = await api.get("/system/tree")
        assert answer.status == 200
        assert {key: answer.body[key] for key in ("taken_at", "started_at", "age_s", "draining")} == {
            "taken_at": "2025-10-20T12:00:00.000000+00:00",
            "started_at": "2025-10-20T11:59:00.000000+00:00",
            "age_s": 0.5,
            "draining": False,
        }
        assert answer.body["actors"][0] == {
            "name": "ingest/BTCUSDT",
            "symbol": "BTCUSDT",
            "essential": False,
            "state": "parked",
            "detail": "",
            "pid": 4242,
            "generation": 1,
            "restarts": 6,
            "last_cause": "signal 9",
            "uptime_s": 5.0,
            "lag": 0,
            "ever_running": False,
            "last_exit_at": "2025-10-20T11:59:59.000000+00:00",
            "started_at": "2025-10-20T11:59:55.000000+00:00",
            "holder": None,
        }
        assert answer.body["actors"][1]["started_at"] is None
        assert answer.body["incidents"] == [
            {
                "incident_id": "a1",
                "kind": "actor_down",
                "subject": "ingest/BTCUSDT",
                "cause": "signal 9",
                "detail": "",
                "started_at": "2025-10-20T11:59:59.000000+00:00",
                "ended_at": None,
            }
        ]

    with_api(tmp_path, check)


def test_before_the_first_tree_the_tree_is_not_there_yet(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = None
        for answer in (
            await api.get("/system/tree"),
            await api.post("/system/actors/router/restart", headers=BEARER),
        ):
            assert answer.status == 503
            assert "Retry-After" in answer.headers

    with_api(tmp_path, check)


@pytest.mark.parametrize("action", ["restart", "pause", "resume"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("router", "router"),
        ("ingest/BTCUSDT", "ingest/BTCUSDT"),
        ("ingest%2FBTCUSDT", "ingest/BTCUSDT"),
        ("ingest%2fBTCUSDT", "ingest/BTCUSDT"),
        ("ingest/%E6%B5%8BUSDT", "ingest/测USDT"),
    ],
)
def test_a_command_reaches_the_actor_it_names(tmp_path: Path, path: str, name: str, action: str) -> None:
    async def check(api: Api) -> None:
        api.system.latest = tree(actor("router"), actor("ingest/BTCUSDT"), actor("ingest/测USDT"))
        url = URL(f"/system/actors/{path}/{action}", encoded=True)
        answer = await api.post(url, headers=BEARER)
        assert answer.status == 200
        assert answer.body == {"actor": name, "action": action, "state": "stopping", "holder": None}
        assert api.system.commands == [(name, action)]

    with_api(tmp_path, check)


@pytest.mark.parametrize("token", [None, ""])
def test_commands_are_forbidden_while_no_token_is_set(tmp_path: Path, token: str | None) -> None:
    async def check(api: Api) -> None:
        for headers in ({}, {"Authorization": "Bearer "}, BEARER):
            answer = await api.post("/system/actors/router/restart", headers=headers)
            assert answer.status == 403
            assert "API_TOKEN" in answer.body["detail"]
        assert api.system.commands == []

    with_api(tmp_path, check, token)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \u00fc\u00e9"},
    ],
    ids=str,
)
def test_a_missing_or_wrong_token_is_challenged(tmp_path: Path, headers: dict[str, str]) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/system/actors/router/restart", headers=headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert TOKEN not in str(answer.body)
        unknown = await api.post("/system/actors/nobody/restart", headers=headers)
        assert unknown.status == 401, "names are not told to strangers"
        assert api.system.commands == []

    with_api(tmp_path, check)


def test_an_unknown_actor_is_404_and_an_unknown_action_too(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/system/actors/ingest/NOPE/restart", headers=BEARER)
        assert answer.status == 404
        assert answer.body["detail"] == "There is no actor named ingest/NOPE; GET /system/tree lists them."
        assert (await api.post("/system/actors/router/explode", headers=BEARER)).status == 404
        assert (await api.get("/system/actors/router/restart")).status == 405
        assert api.system.commands == []

    with_api(tmp_path, check)


def test_a_refused_command_is_409_with_the_supervisors_sentence(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.answer = CommandDone("1", "router is not paused", "running")
        answer = await api.post("/system/actors/router/resume", headers=BEARER)
        assert answer.status == 409
        assert answer.body["detail"] == "router is not paused"

    with_api(tmp_path, check)


def test_a_silent_supervisor_is_504_and_a_crowd_of_commands_503(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for error, status in ((TimeoutError(), 504), (BUSY, 503)):
            api.system.answer = error
            answer = await api.post("/system/actors/router/restart", headers=BEARER)
            assert answer.status == status
            assert answer.body["detail"].endswith(".")

    with_api(tmp_path, check)


def test_incidents_come_from_the_catalog_newest_first(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for number in range(3):
            ended = None if number == 1 else NOW_MS + number
            incident = Incident(f"id{number}", "actor_down", "router", "signal 9", NOW_MS + number, ended, "why")
            await api.services.catalog.call(lambda catalog, incident=incident: catalog.save_incident(incident))
        answer = await api.get("/system/incidents")
        assert [row["incident_id"] for row in answer.body["data"]] == ["id2", "id1", "id0"]
        assert answer.body["data"][0] == {
            "incident_id": "id2",
            "kind": "actor_down",
            "subject": "router",
            "cause": "signal 9",
            "detail": "why",
            "started_at": "2025-10-20T12:00:00.002000+00:00",
            "ended_at": "2025-10-20T12:00:00.002000+00:00",
        }
        assert answer.body["parameters"] == {"limit": 100, "open": False}
        open_only = await api.get("/system/incidents", open="true", limit=5)
        assert [row["incident_id"] for row in open_only.body["data"]] == ["id1"]
        assert open_only.body["metadata"]["records_returned"] == 1
        assert (await api.get("/system/incidents", limit=0)).status == 422
        assert (await api.get("/system/incidents", open="perhaps")).body["detail"][0]["loc"] == [
            "query",
            "open",
        ]

    with_api(tmp_path, check)


# several replicas


HERE, THERE = "pod-a/15/1", "pod-b/15/2"
REPLICAS = FleetNews(
    HERE,
    (
        Replica(HERE, "pod-a", 15, "1.0", NOW_MS, (), (("http", "running", "", 16, 0),)),
        Replica(THERE, "pod-b", 15, "1.0", NOW_MS, ("router",), (("router", "running", "delivery=core", 17, 2),)),
    ),
    {"router": THERE},
)


def with_replicas(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def checked(api: Api) -> None:
        api.system.latest = tree(actor("http"), actor("router", "elsewhere"), actor("auditor", "elsewhere"))
        api.system.replicas = REPLICAS
        await check(api)

    with_api(folder, checked)


def test_the_tree_shows_all_replicas_and_who_holds_what(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        body = (await api.get("/system/tree")).body
        assert {actor["name"]: actor["holder"] for actor in body["actors"]} == {
            "http": None,
            "router": THERE,
            "auditor": None,
        }
        assert body["fleet"]["me"] == HERE
        assert body["fleet"]["replicas"][1] == {
            "replica": THERE,
            "host": "pod-b",
            "pid": 15,
            "version": "1.0",
            "started_at": "2025-10-20T12:00:00.000000+00:00",
            "leases": ["router"],
            "actors": [{"name": "router", "state": "running", "detail": "delivery=core", "pid": 17, "restarts": 2}],
        }

    with_replicas(tmp_path, check)


@pytest.mark.parametrize(
    ("said", "status", "expected"),
    [
        (HolderAnswered("1", THERE, True, "stopping"), 200, {"state": "stopping", "holder": THERE}),
        (HolderAnswered("1", THERE), 202, {"state": None, "holder": THERE}),
        (HolderAnswered("1"), 202, {"state": None, "holder": None}),
        (HolderAnswered("1", THERE, True, "", "router is paused"), 409, {"detail": "router is paused"}),
        (HolderAnswered("1", is_done=True, problem="the catalog is away"), 503, {"detail": "The catalog is away."}),
        (TimeoutError(), 504, {}),
        (BUSY, 503, {}),
    ],
)
def test_an_actor_that_another_replica_runs_is_told_there(
    tmp_path: Path, said: HolderAnswered | Exception, status: int, expected: dict[str, object]
) -> None:
    async def check(api: Api) -> None:
        api.system.holder_said = said
        answer = await api.post("/system/actors/router/restart", headers=BEARER)
        assert answer.status == status
        assert {key: answer.body[key] for key in expected} == expected
        assert (api.system.sent_on, api.system.commands) == ([("router", "restart")], [])

    with_replicas(tmp_path, check)


def test_an_actor_that_runs_here_is_told_here(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/system/actors/http/restart", headers=BEARER)
        assert (answer.status, answer.body["holder"]) == (200, HERE)
        assert api.system.sent_on == []

    with_replicas(tmp_path, check)

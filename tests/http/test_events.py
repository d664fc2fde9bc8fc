from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager import __version__
from data_manager.http import events
from data_manager.http.live import Rates, counted, difference
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Gap, GapStatus, Job
from data_manager.system.fleet_messages import FleetNews, Replica
from data_manager.system.messages import IncidentNews, Tree
from data_manager.system.metrics import Series
from tests.eventually import eventually
from tests.http.serving import NOW, NOW_MS, Api, StillClock, actor, replace, serving, tree, working_tree

GAP = Gap("g1", "candles_BTCUSDT_1m", "BTCUSDT", "candles", "1m", NOW_MS, NOW_MS + 60_000, "open", "feed", None, 1, 1)
JOB = Job("j1", "BTCUSDT", "candles", "1m", NOW_MS, NOW_MS + 60_000, "running", NOW_MS, progress=12.5)


class Follower:
    """A client that reads events one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, Any]:
        """Name and data of the next event; a comment has no name. Raises EOFError after the last one."""
        async with asyncio.timeout(10):
            text = (await self._response.content.readuntil(b"\n\n")).decode()
        if not text:
            raise EOFError
        if text.startswith(":"):
            return "", text
        name, data = text.strip().split("\n")
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def until(self, name: str) -> Any:
        """The data of the next event of that name."""
        while True:
            found, data = await self.next()
            if found == name:
                return data


@pytest.fixture(autouse=True)
def looks_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "READ_S", 0.02)


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            api.system.latest = working_tree()
            await check(api)

    asyncio.run(run())


def in_catalog(folder: Path, work: Callable[[SqlCatalog], object]) -> None:
    catalog = SqlCatalog(f"sqlite:///{folder}/catalog.sqlite3", clock=StillClock())
    work(catalog)
    catalog.close()


def stored(symbol: str, number: float, outcome: str = "stored", event_type: str = "trade") -> tuple[Series, float]:
    labels = (("event_type", event_type), ("outcome", outcome), ("symbol", symbol))
    return ("data_manager_events_total", labels), number


def test_the_first_event_is_a_snapshot_of_everything(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        in_catalog(tmp_path, lambda catalog: (catalog.save_gaps([GAP]), catalog.save_job(JOB)))
        news = IncidentNews("a1", "actor_down", "ingest/BTCUSDT", "signal 9", NOW_MS)
        api.system.latest = working_tree(incidents=(news,), counters=dict([stored("BTCUSDT", 7)]))
        async with api.session.get("/system/events") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["Cache-Control"] == "no-store"
            name, state = await Follower(response).next()
        assert name == "snapshot"
        assert [each["name"] for each in state["tree"]] == ["http", "ingest/BTCUSDT", "ingest/ETHUSDT", "router"]
        assert "uptime_s" not in state["tree"][0]  # it changes all the time
        assert [each["incident_id"] for each in state["incidents"]] == ["a1"]
        assert state["rates"][0] == {"symbol": "BTCUSDT", "events_per_second": None, "events": 7, "quarantined": 0}
        assert (state["gaps"][0]["gap_id"], state["gaps"][0]["start"]) == ("g1", NOW)
        assert (state["jobs"][0]["job_id"], state["jobs"][0]["progress"]) == ("j1", 12.5)
        assert state["service"] == [
            {
                "version": __version__,
                "started_at": "2025-10-20T11:59:00.000000+00:00",
                "supervisor_answers": True,
                "catalog_answers": True,
                "draining": False,
                "delivery": "jetstream",
                "quarantined": 0,
                "gaps_open": 1,
                "jobs_open": 1,
            }
        ]

    with_api(tmp_path, check)


def test_only_what_has_changed_is_told_and_what_is_gone(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            await follower.until("snapshot")
            before = api.system.latest.actors
            api.system.latest = tree(replace(before[1], {"state": "parked", "restarts": 6}), *before[2:])
            told = await follower.until("tree")
        assert [(each["name"], each["state"]) for each in told["changed"]] == [("ingest/BTCUSDT", "parked")]
        assert told["removed"] == ["http"]

    with_api(tmp_path, check)


def test_rates_are_told_from_the_counters_of_two_trees(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree(counters=dict([stored("BTCUSDT", 100)]))
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            await follower.until("snapshot")
            later = dict([stored("BTCUSDT", 150), stored("BTCUSDT", 2, "quarantined")])
            api.system.latest = working_tree(counters=later, taken_ms=NOW_MS + 2000)
            told = await follower.until("rates")
        assert told["changed"] == [
            {"symbol": "BTCUSDT", "events_per_second": 26.0, "events": 152, "quarantined": 2},
            {"symbol": "ETHUSDT", "events_per_second": 0.0, "events": 0, "quarantined": 0},
        ]

    with_api(tmp_path, check)


def test_what_could_not_be_used_is_counted_with_what_told_no_symbol(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        counters = dict([stored("BTCUSDT", 2, "quarantined"), stored("", 3, "quarantined"), stored("BTCUSDT", 9)])
        api.system.latest = working_tree(counters=counters)
        async with api.session.get("/system/events") as response:
            state = await Follower(response).until("snapshot")
        assert state["service"][0]["quarantined"] == 5

    with_api(tmp_path, check)


def test_replicas_are_told_as_they_come_and_go_without_what_runs_in_them(tmp_path: Path) -> None:
    def replica(name: str, *leases: str) -> Replica:
        return Replica(name, "pod", 15, "2.0.0", NOW_MS, leases, (("http", "running", "", 16, 0),))

    async def check(api: Api) -> None:
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            assert (await follower.until("snapshot"))["fleet"] == []
            api.system.replicas = FleetNews("a", (replica("a", "router"), replica("b")), {"router": "a"})
            told = await follower.until("fleet")
            assert [(each["replica"], each["me"], each["leases"]) for each in told["changed"]] == [
                ("a", True, ["router"]),
                ("b", False, []),
            ]
            assert "actors" not in told["changed"][0]
            api.system.replicas = FleetNews("a", (replica("a", "router"),), {"router": "a"})
            assert (await follower.until("fleet")) == {"changed": [], "removed": ["b"]}

    with_api(tmp_path, check)


def test_a_gap_is_told_when_it_is_found_and_gone_when_it_has_ended(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            await follower.until("snapshot")
            in_catalog(tmp_path, lambda catalog: catalog.save_gaps([GAP]))
            assert [each["gap_id"] for each in (await follower.until("gaps"))["changed"]] == ["g1"]
            assert (await follower.until("service"))["changed"][0]["gaps_open"] == 1
            in_catalog(
                tmp_path,
                lambda catalog: catalog.move_gap("g1", GapStatus.CLOSED, only_from=[GapStatus.OPEN], at_ms=NOW_MS),
            )
            assert (await follower.until("gaps"))["removed"] == ["g1"]

    with_api(tmp_path, check)


def test_a_jobs_progress_is_told(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        in_catalog(tmp_path, lambda catalog: catalog.save_job(JOB))
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            await follower.until("snapshot")
            in_catalog(tmp_path, lambda catalog: catalog.save_job(replace(JOB, {"progress": 50.0})))
            assert (await follower.until("jobs"))["changed"][0]["progress"] == 50.0

    with_api(tmp_path, check)


def test_a_catalog_that_is_away_is_told_of_and_all_else_goes_on(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        (tmp_path / "catalog.sqlite3").mkdir()
        async with api.session.get("/system/events") as response:
            state = await Follower(response).until("snapshot")
        assert state["service"][0]["catalog_answers"] is False
        assert state["service"][0]["gaps_open"] is None
        assert len(state["tree"]) == 4

    with_api(tmp_path, check)


def test_a_comment_comes_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_S", 0.1)

    async def check(api: Api) -> None:
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            await follower.until("snapshot")
            assert (await follower.next())[1].startswith(":")

    with_api(tmp_path, check)


def test_one_client_too_many_is_refused_until_another_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_CLIENTS", 2)

    async def admitted(api: Api) -> bool:
        async with api.session.get("/system/events") as response:
            return response.status == 200

    async def check(api: Api) -> None:
        async with api.session.get("/system/events") as first:
            await Follower(first).until("snapshot")
            async with api.session.get("/system/events") as second:
                await Follower(second).until("snapshot")
                refused = await api.get("/system/events")
                assert refused.status == 503
                assert refused.headers["Retry-After"]
                assert refused.body["detail"].startswith("2 clients follow the events already")
            second.close()
            await eventually(lambda: admitted(api))

    with_api(tmp_path, check)


def test_all_clients_are_let_go_when_the_application_stops(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            await follower.until("snapshot")
            loop = asyncio.get_running_loop()
            began = loop.time()
            await api.stop()
            assert loop.time() - began < events.WRITE_S / 2  # nobody waited for a comment or a time-out
            with pytest.raises(EOFError):
                await follower.until("never")

    with_api(tmp_path, check)


def test_a_client_that_takes_nothing_holds_up_neither_the_others_nor_the_end(tmp_path: Path) -> None:
    long = "x" * 200_000  # the kernel's buffers are soon full

    async def check(api: Api) -> None:
        with socket.create_connection(("127.0.0.1", api.api_port)) as idle:
            idle.sendall(b"GET /system/events HTTP/1.1\r\nHost: x\r\n\r\n")
            async with api.session.get("/system/events") as response:
                follower = Follower(response)
                await follower.until("snapshot")
                for number in range(events.QUEUE_MAX + 16):
                    api.system.latest = tree(actor("router", detail=f"{number} {long}"))
                    told = await follower.until("tree")
                    assert told["changed"][0]["detail"].startswith(f"{number} ")
            await api.stop()

    with_api(tmp_path, check)


def test_a_fault_of_our_own_ends_the_events_instead_of_telling_old_ones(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        async with api.session.get("/system/events") as response:
            follower = Follower(response)
            await follower.until("snapshot")
            api.system.latest = "no tree"
            with pytest.raises(EOFError):
                await follower.until("never")
        assert (await api.get("/system/events")).status == 503

    with_api(tmp_path, check)


def test_where_too_many_events_wait_a_snapshot_takes_their_place() -> None:
    async def run() -> None:
        client = events.Client(None)
        assert await client.next(lambda: b"first") == b"first"
        for number in range(events.QUEUE_MAX):
            client.offer(b"%d" % number)
        assert await client.next(lambda: b"again") == b"0"
        client.offer(b"fits")
        client.offer(b"does not")
        assert await client.next(lambda: b"again") == b"again"
        client.offer(b"and on")
        assert await client.next(lambda: b"again") == b"and on"

    asyncio.run(run())


def test_nobody_reads_the_catalog_while_nobody_follows(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await api.get("/system/tree")
        assert not (tmp_path / "catalog.sqlite3").exists()
        async with api.session.get("/system/events") as response:
            await Follower(response).until("snapshot")
        assert (tmp_path / "catalog.sqlite3").exists()

    with_api(tmp_path, check)


VALUES = st.dictionaries(st.text(max_size=2), st.fixed_dictionaries({"n": st.integers(0, 3)}), max_size=6)


@given(before=VALUES, after=VALUES)
def test_a_difference_makes_of_what_was_what_is(before: Any, after: Any) -> None:
    keyed = {key: {**value, "key": key} for key, value in after.items()}
    old = {key: {**value, "key": key} for key, value in before.items()}
    found = difference(old, keyed)
    if found is None:
        assert old == keyed
        return
    made = {key: value for key, value in old.items() if key not in found.removed}
    made |= {str(value["key"]): value for value in found.changed}
    assert made == keyed
    assert all(old.get(str(value["key"])) != value for value in found.changed)


def at(second: int, events_so_far: float) -> Tree:
    counters = dict([stored("BTCUSDT", events_so_far)])
    return working_tree(counters=counters, taken_ms=NOW_MS + 1000 * second)


def test_a_rate_is_the_mean_of_the_last_ten_seconds() -> None:
    rates = Rates()
    for second in range(30):
        rates.add(at(second, 100.0 * second))
    told = [rates.add(at(second, 2900))["BTCUSDT"]["events_per_second"] for second in range(30, 41)]
    assert told[0] == 90.0
    assert told[-1] == 0.0


def test_a_symbol_that_came_later_has_no_rate_at_first() -> None:
    rates = Rates()
    rates.add(at(0, 5))
    actors = *working_tree().actors, actor("ingest/SOLUSDT")
    new = tree(*actors, counters=dict([stored("SOLUSDT", 50)]), taken_ms=NOW_MS + 1000)
    assert rates.add(new)["SOLUSDT"]["events_per_second"] is None


def test_a_symbol_that_has_gone_is_not_told_to_be_silent() -> None:
    rates = Rates()
    assert "BTCUSDT" in rates.add(at(0, 5))
    for state in ("retired", "elsewhere"):
        gone = tree(actor("ingest/BTCUSDT", state), actor("ingest/ETHUSDT"), counters=dict([stored("BTCUSDT", 50)]))
        assert set(rates.add(gone)) == {"ETHUSDT"}
    no_more = tree(actor("ingest/ETHUSDT"), counters=dict([stored("BTCUSDT", 50)]))
    assert set(rates.add(no_more)) == {"ETHUSDT"}


def test_a_symbols_events_are_the_sum_over_types_and_outcomes() -> None:
    pairs = [stored("BTCUSDT", 3), stored("BTCUSDT", 4, "duplicate", "kline"), stored("BTCUSDT", 1, "quarantined")]
    found = counted(working_tree(counters=dict(pairs)))
    assert found["BTCUSDT"] == (8, 1)
    assert found["ETHUSDT"] == (0, 0)

from __future__ import annotations

import asyncio
import io
import os
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import orjson
import pytest
from pydantic import SecretStr

from data_manager.actors import http
from data_manager.actors.http import HttpWorker
from data_manager.http.listen import bind
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import MYSQL, SQLITE, catalog_url
from data_manager.storage.protocols import Incident, ListedSymbol
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.errors import ConfigError
from data_manager.system.fleet_messages import AskHolder, FleetNews, HolderAnswered
from data_manager.system.messages import (
    Assign,
    AuditRequested,
    Command,
    CommandDone,
    Detected,
    DetectRequested,
    Found,
    IncidentNews,
    JobRequested,
    Message,
    Pong,
    TreeNews,
)
from data_manager.system.metrics import Metrics, Totals
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.eventually import eventually
from tests.http.serving import actor, candle, store_rows, tree, working_tree
from tests.log_capture import logs_to

CLOCK = SystemClock()
BEARER = {"Authorization": "Bearer secret"}


class Supervisor:
    """The other end of the worker's mailbox: keeps what is sent to it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        (folder / "market").mkdir(exist_ok=True)
        token = SecretStr("secret")
        options = {"api_host": "127.0.0.1", "api_port": 0, "metrics_port": 0, "api_token": token, **settings}
        self.sent: list[Message] = []
        self.assigned: list[tuple[str, ...]] = []  # by Assign, which comes by itself and is not among the others
        self.settings = Settings(data_dir=folder, **options)
        self.worker = HttpWorker(
            Context(
                "http",
                1,
                None,
                self.settings,
                CLOCK,
                random.Random(1),
                Metrics(),
                self.take,
                Symbols(self.settings.supported_pairs),
            )
        )

    def take(self, message: Message) -> None:
        if isinstance(message, Assign):
            self.assigned.append(message.symbols)
        else:
            self.sent.append(message)

    def ports(self) -> SimpleNamespace:
        return SimpleNamespace(**orjson.loads(self.settings.ports_file.read_bytes()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[aiohttp.ClientSession]:
        stop = asyncio.Event()
        work = asyncio.create_task(self.worker.run(stop))
        await eventually(lambda: self.worker.status().state == "running" or work.done())
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{self.ports().api_port}") as session:
                yield session
        finally:
            stop.set()
            async with asyncio.timeout(10):
                await work


def test_the_ports_it_bound_are_in_a_file_while_it_runs(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        assert supervisor.worker.status().state == "waiting"
        async with supervisor.running() as session:
            ports = supervisor.ports()
            assert ports.pid == os.getpid()
            assert (await session.get("/health/liveness")).status == 200
            metrics = await session.get(f"http://127.0.0.1:{ports.metrics_port}/metrics")
            assert metrics.status == 200
            assert supervisor.worker.busy_since() is None
        assert list(tmp_path.glob("http.*")) == []
        for port in (ports.api_port, ports.metrics_port):
            bind("127.0.0.1", port, "API_PORT").close()

    asyncio.run(run())


def test_it_serves_what_the_supervisor_and_the_store_hold(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        store_rows(tmp_path, [candle(now_ms(CLOCK) // 60_000 * 60_000 - 60_000)])
        async with supervisor.running() as session:
            assert (await session.get("/health/readiness")).status == 503
            supervisor.worker.receive(TreeNews(working_tree()))
            assert (await session.get("/health/readiness")).status == 200
            answer = await (await session.get("/data/candles?pair=BTCUSDT&period=1m")).json()
            assert len(answer["data"]) == 1
            tree = await (await session.get("/system/tree")).json()
            assert [view["name"] for view in tree["actors"]] == [view.name for view in working_tree().actors]
            assert 0 <= tree["age_s"] < 10

    asyncio.run(run())


def test_what_is_asked_of_other_actors_goes_up_as_a_hint(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        body = {"symbol": "BTCUSDT", "data_type": "funding", "start_time": "2025-10-19", "end_time": "2025-10-20"}
        async with supervisor.running() as session:
            supervisor.worker.receive(TreeNews(tree(actor("auditor"))))
            started = await (await session.post("/backfill/start", json=body, headers=BEARER)).json()
            assert (await session.post("/audit/run", headers=BEARER)).status == 202
        assert supervisor.sent == [JobRequested(started["job_id"]), AuditRequested()]

    asyncio.run(run())


def test_a_command_for_what_another_replica_runs_goes_there_and_its_answer_names_that(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        async with supervisor.running() as session:
            supervisor.worker.receive(TreeNews(tree(actor("auditor", "elsewhere"))))
            supervisor.worker.receive(FleetNews("a", (), {"auditor": "b"}))
            shown = await (await session.get("/system/tree")).json()
            assert (shown["fleet"], shown["actors"][0]["holder"]) == ({"me": "a", "replicas": []}, "b")
            asked = asyncio.create_task(session.post("/system/actors/auditor/pause", headers=BEARER))
            await eventually(lambda: supervisor.sent)
            (sent,) = supervisor.sent
            assert isinstance(sent, AskHolder)
            assert (sent.to, sent.actor, sent.action) == ("fleet", "auditor", "pause")
            supervisor.worker.receive(HolderAnswered("another's", "c", True, "running"))
            supervisor.worker.receive(HolderAnswered(sent.request_id, "b", True, "stopping"))
            assert (await (await asked).json())["holder"] == "b"
            assert (await session.post("/audit/run", headers=BEARER)).status == 202  # wherever it runs
            assert supervisor.sent == [sent, AuditRequested()]

    asyncio.run(run())


def test_a_search_for_anomalies_goes_up_and_what_was_found_comes_back_one_at_a_time(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        detect = "/anomalies/detect?pair=BTCUSDT&method=mad"
        async with supervisor.running() as session:
            supervisor.worker.receive(TreeNews(tree(actor("analytics"))))
            asked = asyncio.create_task(session.post(detect, headers=BEARER))
            await eventually(lambda: supervisor.sent)
            (request,) = supervisor.sent
            assert isinstance(request, DetectRequested)
            assert (request.symbol, request.timeframe, request.method) == ("BTCUSDT", "1h", "mad")
            assert (await session.post(detect, headers=BEARER)).status == 503
            supervisor.worker.receive(Detected("another", problem="not for us"))
            found = Found(0, "mad", "high", "statistical_outlier", 7.0, 6.0, 42000.0)
            supervisor.worker.receive(Detected(request.request_id, (found,)))
            answer = await asked
            assert (answer.status, (await answer.json())["anomalies_detected"]) == (200, 1)
        assert len(supervisor.sent) == 1

    asyncio.run(run())


def test_a_command_goes_up_and_its_answer_comes_back(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        async with supervisor.running() as session:
            supervisor.worker.receive(TreeNews(working_tree()))
            asked = asyncio.create_task(session.post("/system/actors/router/restart", headers=BEARER))
            await eventually(lambda: supervisor.sent)
            (command,) = supervisor.sent
            assert isinstance(command, Command)
            assert (command.actor, command.action) == ("router", "restart")
            supervisor.worker.receive(CommandDone("another", "not for us"))
            supervisor.worker.receive(CommandDone(command.request_id, "", "stopping"))
            supervisor.worker.receive(CommandDone(command.request_id, "", "twice"))
            answer = await asked
            assert answer.status == 200
            assert (await answer.json())["state"] == "stopping"

    asyncio.run(run())


def test_a_command_nobody_answers_times_out_and_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "COMMAND_S", 0.2)
    monkeypatch.setattr(http, "MAX_COMMANDS", 2)

    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        async with supervisor.running() as session:
            supervisor.worker.receive(TreeNews(working_tree()))

            async def post() -> int:
                return (await session.post("/system/actors/router/pause", headers=BEARER)).status

            assert sorted(await asyncio.gather(post(), post(), post())) == [503, 504, 504]
            assert await post() == 504
            late = supervisor.sent[0]
            assert isinstance(late, Command)
            supervisor.worker.receive(CommandDone(late.request_id, ""))

    asyncio.run(run())


def test_incidents_are_kept_even_those_from_before_it_served_and_at_the_end(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        now = now_ms(CLOCK)
        supervisor.worker.receive(IncidentNews("early", "actor_down", "router", "signal 9", now))
        async with supervisor.running() as session:

            async def known() -> list[str]:
                answer = await (await session.get("/system/incidents")).json()
                return [row["incident_id"] for row in answer["data"]]

            async def early_is_known() -> bool:
                return await known() == ["early"]

            await eventually(early_is_known)
            supervisor.worker.receive(IncidentNews("late", "actor_down", "router", "signal 9", now + 1))
        catalog = SqlCatalog(catalog_url(Settings(data_dir=tmp_path)), clock=CLOCK)
        assert [incident.incident_id for incident in catalog.incidents()] == ["late", "early"]
        catalog.close()

    asyncio.run(run())


@pytest.mark.parametrize("setting", ["api_port", "metrics_port"])
def test_a_port_in_use_ends_it_with_a_sentence(tmp_path: Path, setting: str) -> None:
    async def run() -> None:
        with bind("127.0.0.1", 0, "X") as taken:
            port = taken.getsockname()[1]
            supervisor = Supervisor(tmp_path, **{setting: port})
            with pytest.raises(ConfigError, match=f"port {port} is in use.*{setting.upper()}"):
                await supervisor.worker.run(asyncio.Event())
        assert list(tmp_path.glob("http.*")) == []

    asyncio.run(run())


def test_a_bug_in_keeping_incidents_ends_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("data_manager.http.incidents.IncidentKeeper.run", broken)

    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        with pytest.raises(RuntimeError, match="a bug"):
            await supervisor.worker.run(asyncio.Event())

    asyncio.run(run())


def test_a_catalog_that_hangs_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("http.app.STOP_S", "http.store_thread.CLOSE_S", "actors.http.LAST_FLUSH_S"):
        monkeypatch.setattr(f"data_manager.{limit}", 0.1)
    go_on = threading.Event()

    class Hanging(SqlCatalog):
        def incidents(self, limit: int = 100, open_only: bool = False) -> list[Incident]:
            go_on.wait(10)
            return []

    monkeypatch.setattr("data_manager.storage.catalog.SqlCatalog", Hanging)

    async def run() -> None:
        supervisor = Supervisor(tmp_path)
        async with supervisor.running() as session:
            asked = asyncio.create_task(session.get("/system/incidents"))
            await asyncio.sleep(0.2)
            supervisor.worker.receive(IncidentNews("last", "actor_down", "router", "signal 9", 1))
            stopping = CLOCK.monotonic()
        assert CLOCK.monotonic() - stopping < 3
        go_on.set()
        assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], aiohttp.ClientError)

    asyncio.run(run())


def test_a_message_it_does_not_know_is_an_error(tmp_path: Path) -> None:
    worker = Supervisor(tmp_path).worker
    with pytest.raises(TypeError, match="Pong"):
        worker.receive(Pong("router", 1, 1, "running", "", None, 0.0, Totals()))


def test_importing_the_actor_loads_nothing_heavy() -> None:
    heavy = {"aiohttp", "sqlalchemy", "numpy", "pandas"}
    code = f"import sys, data_manager.actors.http; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_it_tells_the_supervisor_which_symbols_the_catalog_lists(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path, supported_pairs="BTCUSDT,ETHUSDT")
        catalog = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=CLOCK)
        catalog.save_symbols([ListedSymbol("ETHUSDT", "retired", 1, 2), ListedSymbol("XRPUSDT", "active", 3)])
        async with supervisor.running() as session:
            assert supervisor.assigned == []  # it has not been heard of yet
            supervisor.worker.receive(TreeNews(working_tree()))
            await eventually(lambda: ("BTCUSDT", "XRPUSDT") in supervisor.assigned)
            await session.post("/symbols", json={"symbol": "ETHUSDT"}, headers=BEARER)
            await eventually(lambda: ("BTCUSDT", "ETHUSDT", "XRPUSDT") in supervisor.assigned)
            assert len(supervisor.assigned) == 2
        catalog.close()

    asyncio.run(run())


def test_where_replicas_share_the_symbols_out_it_leaves_telling_to_their_fleet(tmp_path: Path) -> None:
    async def run() -> None:
        supervisor = Supervisor(tmp_path, supported_pairs="BTCUSDT")
        async with supervisor.running() as session:
            supervisor.worker.receive(TreeNews(tree(actor("fleet"), actor("http"))))
            answer = await session.post("/symbols", json={"symbol": "ETHUSDT"}, headers=BEARER)
            assert answer.status == 201
        assert supervisor.assigned == []

    asyncio.run(run())


def test_what_somebody_else_has_changed_in_the_list_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SYMBOLS_S", 0.05)

    async def run() -> None:
        supervisor = Supervisor(tmp_path, supported_pairs="BTCUSDT,ETHUSDT")
        catalog = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=CLOCK)
        async with supervisor.running():
            supervisor.worker.receive(TreeNews(working_tree()))
            await eventually(lambda: ("BTCUSDT", "ETHUSDT") in supervisor.assigned)
            catalog.save_symbols([ListedSymbol("BTCUSDT", "retired", 1, 2)])
            await eventually(lambda: ("ETHUSDT",) in supervisor.assigned)
        catalog.close()

    asyncio.run(run())


@pytest.mark.parametrize(("backend", "warnings"), [(MYSQL, 1), (SQLITE, 0)])
def test_that_the_settings_name_a_retired_symbol_is_warned_of_once_where_main_cannot_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, warnings: int
) -> None:
    monkeypatch.setattr(http, "SYMBOLS_S", 0.02)
    monkeypatch.setattr(http, "catalog_backend", lambda settings: backend)

    async def run() -> None:
        supervisor = Supervisor(tmp_path, supported_pairs="BTCUSDT,ETHUSDT")
        catalog = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=CLOCK)
        catalog.save_symbols([ListedSymbol("BTCUSDT", "retired", 1, 2)])
        catalog.close()
        async with supervisor.running():
            supervisor.worker.receive(TreeNews(working_tree()))
            await eventually(lambda: len(supervisor.assigned) > 2)

    with logs_to(lines := io.StringIO()):
        asyncio.run(run())
    assert lines.getvalue().count("symbols_stay_retired") == warnings


def test_a_service_without_a_token_says_at_its_start_what_anybody_may_do(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of a file\n")

    async def run(**settings: Any) -> int:
        supervisor = Supervisor(tmp_path, **settings)
        async with supervisor.running() as session:
            answer = await session.post("/audit/run", headers={"Authorization": "Bearer of a file"})
            return answer.status

    for settings, status, warnings in (
        ({"api_token": None}, 403, 1),
        ({}, 401, 0),
        ({"api_token": None, "api_token_file": tmp_path / "token"}, 503, 0),  # it may, but there is no auditor
    ):
        with logs_to(lines := io.StringIO()):
            assert asyncio.run(run(**settings)) == status
        assert lines.getvalue().count("api_without_token") == warnings


def test_a_token_file_that_is_not_there_keeps_the_api_from_starting(tmp_path: Path) -> None:
    async def run() -> None:
        async with Supervisor(tmp_path, api_token=None, api_token_file=tmp_path / "none").running():
            pass

    with pytest.raises(ConfigError, match="API_TOKEN_FILE"):
        asyncio.run(run())

"""`data-manager run` as the operator meets it: exit codes, sentences, signals, logs, and the broker it may start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.data_dir import DataDir
from data_manager.storage.records import Trade
from data_manager.system.lifecycle import BROKER_RESTARTS
from data_manager.system.logs import MAX_LINE
from tests.servers.command import Command
from tests.servers.load import Load, publish, trade
from tests.servers.service import monotonic

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
NOBODY = "nats://127.0.0.1:1"


def broker_of(run: Command) -> int:
    """The pid of the nats-server it has started; waits until that takes connections."""
    found: list[int] = []

    def listens() -> bool:
        found[:] = [pid for pid in run.processes() if "nats-server" in title(pid) and ports_file(run, pid).exists()]
        return bool(found)

    run.wait(listens)
    return found[0]


def ports_file(run: Command, pid: int) -> Path:
    return run.data_dir / "jetstream" / f"nats-server_{pid}.ports"


def pid_of(run: Command, actor: str) -> int:
    """An actor's process, by the log."""
    return next(line["pid"] for line in lines(run) if line["actor"] == actor)


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def broker_url(run: Command) -> str:
    """Where the embedded broker listens."""
    return str(json.loads(ports_file(run, broker_of(run)).read_text())["nats"][0])


def stored(run: Command, symbol: str = "BTCUSDT") -> list[int]:
    """The ids of the stored trades."""
    return [row.trade_id for row in run.rows(symbol, Trade)]


# -- what is wrong, and who must act ------------------------------------------------------------------------


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_in_use_ends_with_2_and_one_sentence_that_names_the_setting(tmp_path: Path, taken_port: int) -> None:
    run = Command(tmp_path, "run", nats_url=NOBODY, metrics_port=str(taken_port))
    assert run.run() == 2
    assert run.stderr == (
        f"port {taken_port} is in use by another program: stop it, or set METRICS_PORT to another port\n"
    )


def test_a_folder_that_cannot_be_made_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = Command(tmp_path, "run", "--data-dir", str(tmp_path / "file" / "data"))
    assert run.run() == 2
    assert re.fullmatch(r".*/file/data cannot be used as data folder .*: make it writable, .*\n", run.stderr)
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--set", "NATS_ULR=x"), "nats_ulr (flag) is not a known setting; the nearest name is NATS_URL."),
        (("--set", "supported_pairs=btcusdt"), "did you mean BTCUSDT"),
        (("--nats", "http://localhost"), "write nats://HOST:PORT or embedded"),
        (("--api-port", "0.5"), "API_PORT (flag): '0.5' should be a whole number"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_a_sentence_that_helps(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    run = Command(tmp_path, "run", *arguments)
    assert run.run() == 2
    assert sentence in run.stderr
    assert run.stderr.count("\n") == 1
    assert not run.data_dir.exists()


def test_a_second_instance_is_refused_by_a_sentence_that_names_the_first(tmp_path: Path) -> None:
    run = Command(tmp_path, "run")
    first = DataDir(run.data_dir)
    first.acquire()
    try:
        assert run.run() == 2
        assert f"is in use by process {os.getpid()} " in run.stderr
        assert not list(run.data_dir.glob("jetstream/*")), "it has started nothing"
    finally:
        first.release()


# -- stopping -----------------------------------------------------------------------------------------------


def test_without_nats_it_lives_says_so_once_an_actor_and_stops_at_once(tmp_path: Path) -> None:
    waiting = ["ingest/BTCUSDT", "ingest/ETHUSDT", "router"]
    with Command(tmp_path, "run", nats_url=NOBODY, awaits="/health/liveness") as run:
        run.wait(lambda: [name for name, view in run.actors().items() if view["state"] == "waiting"] == waiting)
        status, body = run.get("/health/readiness")
        assert (status, body["components"]["nats"]) == (503, "unhealthy")
        later = run.actor("router")["uptime_s"] + 1
        run.wait(lambda: run.actor("router")["uptime_s"] > later)
        began = monotonic()
        assert run.end(signal.SIGTERM) == 0
        assert monotonic() - began < 5
        told = {name: Counter(line["event"] for line in lines(run) if speaker(line) == name) for name in waiting}
        assert told == {name: {"nats_waiting": 1, "actor_state": 1, "actor_exited": 1} for name in waiting}


def lines(run: Command) -> list[dict[str, Any]]:
    """What it logged; every line must be one JSON object that a pipe keeps in one piece."""
    raw = run.stdout.splitlines(keepends=True)
    assert max(len(line.encode()) for line in raw) <= MAX_LINE
    return [json.loads(line) for line in raw]


def speaker(line: dict[str, Any]) -> str:
    """The actor that a line is about."""
    return str(line.get("actor_name", line["actor"]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_stops_in_order_with_an_embedded_broker_that_goes_last(
    tmp_path: Path, number: signal.Signals
) -> None:
    with Command(tmp_path, "run") as run:
        publish(broker_url(run), *(trade(symbol, 1) for symbol in SYMBOLS))
        run.wait(lambda: stored(run, "BTCUSDT") == stored(run, "ETHUSDT") == [1])
        assert run.end(number) == 0
        assert run.stderr == ""
        logged = lines(run)
        assert all({"timestamp", "level", "event", "actor", "pid", "pod"} <= line.keys() for line in logged)
        # at the first start one process makes the catalog's tables, and the others may find it busy meanwhile
        # ... and that nothing is told to a collector is said once
        assert {line["level"] for line in logged if line["event"] not in ("store_check", "telemetry_off")} == {"INFO"}
        assert [line["event"] for line in logged].count("telemetry_off") == 1
        assert [line["event"] for line in logged if line["actor"] == "main"] == [
            "stores_chosen",
            "stopping",
            "stopped",
        ]
        ended = [line["actor_name"] for line in logged if line["event"] == "actor_exited"]
        assert ended[-4:-3] + sorted(ended[-3:-1]) + ended[-1:] == [
            "router",
            "ingest/BTCUSDT",
            "ingest/ETHUSDT",
            "http",
        ]
        assert "auditor" in ended[:-4]
        assert not (run.data_dir / "http.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_starts_is_obeyed_as_soon_as_it_has_started(tmp_path: Path, number: signal.Signals) -> None:
    run = Command(tmp_path, "run", enable_api="no")
    with run.starting():
        run.wait(lambda: (run.data_dir / "jetstream" / "nats-server.conf").exists())
        assert run.end(number) == 0
        assert run.stderr == ""


def test_an_actor_that_has_to_be_killed_while_stopping_shows_in_the_exit_code(tmp_path: Path) -> None:
    # half of the time-out is an actor's own: enough for the auditor, which may still be importing what it needs
    with Command(tmp_path, "run", heartbeat_miss_s="60", drain_timeout_s="10", enable_api="no") as run:
        os.kill(pid_of(run, "ingest/BTCUSDT"), signal.SIGSTOP)
        assert run.end() == 76
        assert lines(run)[-1]["killed"] == ["ingest/BTCUSDT"]


def test_an_essential_part_that_cannot_be_kept_running_ends_the_process(tmp_path: Path) -> None:
    with Command(tmp_path, "run", restart_intensity="0", enable_api="no") as run:
        os.kill(pid_of(run, "router"), signal.SIGKILL)
        assert run.outcome() == 75
        last = lines(run)[-1]
        assert (last["event"], last["reason"]) == ("system_died", "router cannot be kept running: signal 9")


def test_the_death_of_the_actor_system_ends_the_process_and_all_it_started(tmp_path: Path) -> None:
    with Command(tmp_path, "run", enable_api="no") as run:
        (admin,) = (pid for pid in run.processes() if "Admin" in title(pid))
        os.kill(admin, signal.SIGKILL)
        assert run.outcome() == 70


# -- the embedded broker ------------------------------------------------------------------------------------


def test_a_killed_broker_comes_back_on_its_port_and_nothing_is_lost(tmp_path: Path) -> None:
    with Command(tmp_path, "run", enable_api="no") as run:
        url = broker_url(run)
        with Load(url, SYMBOLS, rate=400) as load:
            for _ in range(2):
                seen = len(stored(run))
                run.wait(lambda seen=seen: len(stored(run)) > seen + 20)
                killed = broker_of(run)
                os.kill(killed, signal.SIGKILL)
                run.wait(lambda killed=killed: broker_of(run) != killed)
        assert broker_url(run) == url
        for symbol in SYMBOLS:
            run.wait(lambda symbol=symbol: stored(run, symbol) == list(range(1, load.sent + 1)))
        assert run.end() == 0
        assert not [line for line in lines(run) if line["event"] == "actor_exited" and line["generation"] > 1]


def test_a_broker_that_keeps_dying_ends_the_process(tmp_path: Path) -> None:
    with Command(tmp_path, "run", enable_api="no") as run:
        for restarts in range(BROKER_RESTARTS):
            os.kill(broker_of(run), signal.SIGKILL)
            run.wait(lambda restarts=restarts: run.stdout.count('"broker_restarted"') > restarts)
        os.kill(broker_of(run), signal.SIGKILL)
        assert run.outcome() == 72


def test_a_broker_that_cannot_be_restarted_ends_the_process_with_its_reason(tmp_path: Path) -> None:
    with Command(tmp_path, "run", enable_api="no") as run:
        config = run.data_dir / "jetstream" / "nats-server.conf"
        config.unlink()
        config.mkdir()
        os.kill(broker_of(run), signal.SIGKILL)
        assert run.outcome() == 72
        assert "cannot use its folder" in lines(run)[-1]["reason"]

"""`data-manager doctor`: what is wrong is said with what to do about it, and nothing is touched."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
from pathlib import Path

import pytest

from tests.servers.api import served_api
from tests.servers.command import PROGRAM
from tests.servers.databases import free_port
from tests.servers.nats import NatsServer
from tests.system.typed import Outcome, Terminal

NOWHERE = "binance_fapi_base_url=http://127.0.0.1:9"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(monkeypatch, capsys, tmp_path)
    terminal.set(API_PORT="0", METRICS_PORT="0", BINANCE_FAPI_BASE_URL="http://127.0.0.1:9", NATS_URL="embedded")
    return terminal


def checks(done: Outcome) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(done.out)["checks"]}


def test_a_host_on_which_it_can_run_is_good_and_nothing_is_made(typed: Terminal, tmp_path: Path) -> None:
    done = typed("doctor")
    assert (done.code, done.err) == (0, "")
    *lines, total = done.out.splitlines()
    assert "0 fail" not in total
    assert " ok" in total
    assert lines[0].startswith("ok       configuration")
    assert list(tmp_path.iterdir()) == []


def test_programs_get_every_check_with_verdict_finding_and_fix(typed: Terminal) -> None:
    found = checks(typed("doctor", "--json"))
    assert set(found) >= {
        "configuration",
        "packages",
        "data folder",
        "API_PORT",
        "METRICS_PORT",
        "open files",
        "processes",
        "memory",
        "NATS",
        "market store",
        "space",
        "catalog",
        "clock",
        "weight budget",
        "telemetry",
    }
    assert {check["verdict"] for check in found.values()} <= {"ok", "warn", "fail", "skipped"}
    assert found["clock"]["verdict"] == "skipped"
    assert set(found["clock"]) == {"name", "verdict", "found", "fix", "away"}


def test_a_port_that_is_taken_is_a_problem_with_a_way_out(typed: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        done = typed("doctor", "--api-port", number)
    assert done.code == 1
    assert f"Port {number} is in use by another program." in done.out
    assert "fix: stop that program" in done.out


def test_an_unknown_setting_is_a_problem_that_names_the_nearest_one(typed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("max_bach: 7\n")
    done = typed("doctor", "--config", "mine.yaml")
    assert done.code == 1
    assert "the nearest name is MAX_BATCH" in done.out
    assert "`data-manager config`" in done.out


def test_a_damaged_file_is_a_problem_and_stays_as_it_is(typed: Terminal, tmp_path: Path) -> None:
    bad = tmp_path / "data/market/BTCUSDT.sqlite3"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(b"this is no database" * 1000)
    done = typed("doctor")
    assert done.code == 1
    assert "BTCUSDT.sqlite3" in done.out
    assert bad.read_bytes() == b"this is no database" * 1000
    assert sorted(path.name for path in bad.parent.iterdir()) == ["BTCUSDT.sqlite3"]


def test_a_server_that_is_away_ends_with_3_and_with_1_where_something_else_is_wrong_too(
    typed: Terminal, tmp_path: Path
) -> None:
    away = f"nats://127.0.0.1:{free_port()}"
    assert typed("doctor", "--nats", away).code == 3
    (tmp_path / "data").write_text("no folder")
    assert typed("doctor", "--nats", away).code == 1


def test_a_server_that_is_there_is_asked(typed: Terminal, tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats:
        found = checks(typed("doctor", "--nats", nats.url, "--json"))
    assert found["FEED"]["verdict"] == found["JetStream"]["verdict"] == "ok"


def test_a_service_that_is_named_is_asked_too(typed: Terminal, tmp_path: Path) -> None:
    with served_api(tmp_path) as api:
        found = checks(typed("doctor", "--url", api.url, "--json"))
        assert (found["service"]["verdict"], api.url in found["service"]["fix"]) == ("warn", True)  # it has no tree
    away = typed("doctor", "--url", f"http://127.0.0.1:{free_port()}", "--json")
    assert (away.code, checks(away)["service"]["away"]) == (3, True)


def test_few_open_files_are_named_with_the_command_that_allows_more(tmp_path: Path) -> None:
    """`ulimit -n 256`, as a process of its own has it."""
    symbols = ",".join(f"C{number}USDT" for number in range(60))
    settings = {"supported_pairs": symbols, "api_port": "0", "metrics_port": "0", "nats_url": "embedded"}
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    done = subprocess.run(
        [PROGRAM, "doctor", "--set", NOWHERE, *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4096)),
    )
    assert done.returncode == 1
    assert "A process may open 256 files, and 60 symbols need" in done.stdout
    assert "fix: ulimit -n" in done.stdout
    assert "\x1b" not in done.stdout  # no colours where there is no terminal

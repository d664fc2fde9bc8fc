"""Every command of the README runs, in a folder of its own and on free ports, and does what the README says."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.records import Trade
from data_manager.system import lifecycle
from data_manager.system.commands.config import cell
from data_manager.system.demo import UNRECONCILED
from data_manager.system.settings import Settings
from data_manager.system.settings_sources import NAMES
from tests.fixtures.recording import write_recording
from tests.servers.command import PROGRAM, Command
from tests.servers.load import publish, trade
from tests.servers.nats import NatsServer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
MAKE = [line for line in COMMANDS if line.startswith("make ")]
CURL = [line for line in COMMANDS if line.startswith("curl ")]
DEMO = "data-manager demo --for 20"
RUN = "NATS_URL=nats://localhost:4222 SUPPORTED_PAIRS=BTCUSDT,ETHUSDT data-manager run"
CONFIG = "data-manager config"
REPLAY = "data-manager replay recording.ndjson"
MIGRATE = "data-manager migrate"
REPAIR = tuple(line for line in COMMANDS if re.match("data-manager (gaps|backfill|audit) ", line))
SEEN = tuple(
    line for line in COMMANDS if re.match("data-manager (status|tree|ledger|quarantine|symbols|export)\\b", line)
)
FINDS = ("data-manager status", "data-manager ledger verify")  # end with 1 where they find something, as in a demo
STATS, BACKUP, RESTORE = STORE = tuple(line for line in COMMANDS if line.startswith("data-manager store "))


def test_every_command_of_the_readme_is_run_by_a_test_below() -> None:
    assert COMMANDS
    assert set(COMMANDS) == {*MAKE, *CURL, *SEEN, *REPAIR, *STORE, DEMO, RUN, CONFIG, REPLAY, MIGRATE}
    assert {path_of(line) for line in CURL} == ANSWERS.keys()


def sh(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a reader of the README gets who types this line."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def clean_environment() -> dict[str, str]:
    """Without settings of ours, and with `data-manager` on PATH."""
    inherited = {name: value for name, value in os.environ.items() if name not in NAMES}
    return inherited | {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}


# -- make ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", MAKE)
def test_a_make_command_does_what_is_tested_elsewhere(line: str) -> None:
    """`make test` is how these tests are run; what others run is one of the commands below."""
    dry = sh(f"{line} --dry-run --no-print-directory", ROOT, MAKEFLAGS="")
    assert dry.returncode == 0, dry.stderr
    last = dry.stdout.strip().splitlines()[-1].strip()
    in_ci = re.search(rf"\b{line}\b", (ROOT / ".ci" / "run").read_text())
    assert in_ci or last.removesuffix(" ").endswith("bin/data-manager demo")


# -- the demo, and what can be asked of it ------------------------------------------------------------------


def test_the_demo_ends_by_itself_with_the_summary_that_the_readme_shows(tmp_path: Path) -> None:
    line = DEMO.replace("--for 20", "--for 1")
    done = sh(line, tmp_path, API_PORT="0", METRICS_PORT="0", HEARTBEAT_S="0.2")
    assert done.returncode == 0, done.stdout + done.stderr
    (shown,) = (block for block in blocks("text") if block.startswith("event type"))
    heading, *_, total, figures, verdict = shown.splitlines()
    printed = done.stdout.splitlines()
    assert re.split(" {2,}", heading) in [re.split(" {2,}", line.strip()) for line in printed]
    assert verdict == printed[-1]
    assert shape(figures) == shape(printed[-2])
    assert shape(total) == shape(printed[-3])
    assert total.split()[1].removesuffix(",") in figures, "the figures are of one run"


def shape(line: str) -> str:
    """A line with its numbers and its alignment taken out."""
    return re.sub(" +", " ", re.sub(r"[\d,]*\d", "0", line)).strip()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: nobody could type these commands here")
    folder = tmp_path_factory.mktemp("demo")
    settings = {"exchange_rate": "500", "enable_backfiller": "true", "history_bootstrap": "false"}
    with Command(folder, "demo", "--api-port", "0", "--metrics-port", "0", **settings) as running:
        running.wait(lambda: len(running.rows("BTCUSDT", Trade)) > 10)
        running.wait(
            lambda: b"data_manager_events_total{" in running.request("GET", "/metrics", port="metrics_port")[1]
        )
        yield running


def path_of(line: str) -> str:
    """The path that a curl command asks for."""
    found = re.search(r'"http://127\.0\.0\.1:\d+(/[^"?]*)', line)
    assert found is not None, line
    return found[1]


def is_ready(body: Any) -> None:
    assert body["ready"] is True


def are_candles(body: Any) -> None:
    assert (body["pair"], body["period"]) == ("BTCUSDT", "1m")
    assert len(body["values"]) <= 3


def are_trades(body: Any) -> None:
    assert len(body["values"]) == 3
    assert {"trade_id", "price", "quantity"} <= body["values"][0].keys()


def is_depth(body: Any) -> None:
    assert body["data"]["bids"]
    assert body["data"]["asks"]


def are_best(body: Any) -> None:
    assert {"bid_price", "ask_price"} <= body["values"][0].keys()


def is_ledger(body: Any) -> None:
    assert body["balanced"] is True
    assert body["total"]["received"] > 0


def are_quarantined(body: Any) -> None:
    assert len(body["data"]) <= 3


def are_datasets(body: Any) -> None:
    assert body["datasets"] == body["data"]
    assert body["total_count"] == len(body["data"])


def is_health(body: Any) -> None:
    assert {"completeness", "freshness_sec", "gaps", "duplicates", "quality_score"} <= body["health"].keys()


def are_gaps(body: Any) -> None:
    assert body["data"] == []
    assert body["filters_applied"] == {"status": "open"}


def is_tree(body: Any) -> None:
    actors = {actor["name"]: actor["pid"] for actor in body["actors"]}
    assert {"http", "router", "exchange", "ingest/BTCUSDT"} <= actors.keys()
    assert all(Path(f"/proc/{pid}").exists() for pid in actors.values())


def are_symbols(body: Any) -> None:
    assert "BTCUSDT" in {each["symbol"] for each in body["data"] if each["status"] == "active"}


def is_description(body: Any) -> None:
    assert body["openapi"].startswith("3.1.")
    assert "/data/candles" in body["paths"]


def is_restarted(body: Any) -> None:
    assert "ingest/BTCUSDT" in json.dumps(body)


ANSWERS: dict[str, Callable[[Any], None] | None] = {
    "/health/readiness": is_ready,
    "/data/candles": are_candles,
    "/data/trades": are_trades,
    "/data/depth": is_depth,
    "/data/book": are_best,
    "/ledger": is_ledger,
    "/quarantine": are_quarantined,
    "/catalog/datasets": are_datasets,
    "/health": is_health,
    "/gaps": are_gaps,
    "/symbols": are_symbols,
    "/system/tree": is_tree,
    "/openapi.json": is_description,
    "/metrics": None,  # no JSON
    "/system/actors/ingest%2FBTCUSDT/restart": is_restarted,
}


@pytest.mark.parametrize("line", CURL, ids=path_of)
def test_what_the_readme_asks_a_running_demo_is_answered(demo: Command, line: str) -> None:
    ports = json.loads((demo.data_dir / "http.json").read_text())
    here = line.replace(":8000/", f":{ports['api_port']}/").replace(":9090/", f":{ports['metrics_port']}/")
    before = demo.actor("ingest/BTCUSDT")["restarts"]
    done = sh(here, demo.folder)
    assert done.returncode == 0, done.stderr
    check = ANSWERS[path_of(line)]
    if check is None:
        assert re.search(r'^data_manager_events_total\{.*outcome="stored".*\} \d', done.stdout, re.MULTILINE)
        return
    check(json.loads(done.stdout))
    if path_of(line).endswith("/restart"):
        demo.wait(lambda: demo.actor("ingest/BTCUSDT")["restarts"] == before + 1)
        demo.wait(lambda: demo.actor("ingest/BTCUSDT")["state"] == "running")


@pytest.mark.parametrize("line", REPAIR)
def test_what_the_readme_types_beside_a_running_demo_is_done(demo: Command, line: str) -> None:
    done = sh(line, demo.folder, API_PORT="0")  # the demo has picked its port, and written it down
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("line", SEEN)
def test_what_the_readme_looks_at_beside_a_running_demo_is_shown(demo: Command, line: str) -> None:
    done = sh(line, demo.folder, API_PORT="0")
    assert done.returncode in ((0, 1) if line in FINDS else (0,)), done.stdout + done.stderr
    file = re.search("--out (.*)", line)
    assert (demo.folder / file[1]).read_text().count("\n") > 10 if file else done.stdout


# -- in production ------------------------------------------------------------------------------------------


QUIET = {  # the real exchange is asked nothing, and no command here waits for numbers
    "API_PORT": "0",
    "METRICS_PORT": "0",
    "ENABLE_BACKFILLER": "false",
    "ENABLE_ANALYTICS": "false",
}


class Typed(Command):
    """A line of the README that runs until it is stopped."""

    def __init__(self, folder: Path, line: str, **settings: str) -> None:
        super().__init__(folder, line, **settings)
        self._environment = clean_environment() | QUIET | settings

    def program(self) -> list[str]:
        return ["sh", "-c", f"exec env {self.arguments[0]}"]


def test_the_production_command_gets_ready_stores_and_ends_on_sigterm(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats:
        (tmp_path / "run").mkdir()
        with Typed(tmp_path / "run", RUN.replace("nats://localhost:4222", nats.url)) as run:
            publish(nats.url, trade("ETHUSDT", 1))
            run.wait(lambda: [row.trade_id for row in run.rows("ETHUSDT", Trade)] == [1])
            assert {name for name in run.actors() if "/" in name} == {"ingest/BTCUSDT", "ingest/ETHUSDT"}
            assert run.end(signal.SIGTERM) == 0
            assert all(json.loads(line)["event"] for line in run.stdout.splitlines())


def test_the_replay_publishes_the_whole_recording(tmp_path: Path) -> None:
    write_recording(tmp_path / "recording.ndjson")
    events = (tmp_path / "recording.ndjson").read_text().count("\n")
    with NatsServer(tmp_path / "nats") as nats:
        done = sh(REPLAY, tmp_path, NATS_URL=nats.url)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{events} events published on binance.futures.websocket.data in ")


def test_config_prints_each_setting_with_its_origin_and_hides_secrets(tmp_path: Path) -> None:
    done = sh(CONFIG, tmp_path, API_TOKEN="hunter2")
    assert done.returncode == 0, done.stderr
    heading, *rows, market, catalog = done.stdout.splitlines()
    assert heading.split() == ["SETTING", "VALUE", "ORIGIN"]
    assert {row.split()[0] for row in rows} == NAMES
    assert (market, catalog) == (
        "market store: sqlite files in data/market",
        "catalog: sqlite file data/catalog.sqlite3",
    )
    assert "hunter2" not in done.stdout


def test_a_store_is_looked_at_saved_while_the_service_runs_and_restored_while_it_does_not(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats:
        (tmp_path / "run").mkdir()
        with Typed(tmp_path / "run", RUN.replace("nats://localhost:4222", nats.url)) as run:
            publish(nats.url, trade("ETHUSDT", 1))
            run.wait(lambda: [row.trade_id for row in run.rows("ETHUSDT", Trade)] == [1])
            stats = sh(STATS, run.folder)
            assert (stats.returncode, stats.stderr) == (0, "")
            assert "trades_ETHUSDT" in stats.stdout
            assert sh(BACKUP, run.folder).returncode == 0
            publish(nats.url, trade("ETHUSDT", 2))
            run.wait(lambda: len(run.rows("ETHUSDT", Trade)) == 2)
            assert sh(RESTORE, run.folder).returncode == 2, "the service still runs"
            assert run.end(signal.SIGTERM) == 0
            done = sh(RESTORE, run.folder)
            assert done.returncode == 0, done.stderr
            assert [row.trade_id for row in run.rows("ETHUSDT", Trade)] == [1]


def test_a_catalog_is_brought_to_the_present_schema_by_hand(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for _ in range(2):
        done = sh(MIGRATE, tmp_path)
        assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout


# -- what it says besides -----------------------------------------------------------------------------------


def test_the_settings_it_names_exist_and_have_the_defaults_it_says() -> None:
    rows = [row.split(" | ") for row in re.findall(r"^\| (`[A-Z_].*) \|$", README, re.MULTILINE)]
    assert len(rows) > 5
    named = {name for row in rows for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", row[0])}
    assert named
    assert named <= NAMES
    shown = Settings().shown()
    plain = {row[0].strip("`"): row[1].strip("`") for row in rows if row[1].startswith("`")}
    assert {name: cell(shown[name.lower()]) for name in plain} == {
        name: value.removeprefix("./") for name, value in plain.items()
    }


def test_its_exit_codes_are_those_of_the_program() -> None:
    (sentence,) = re.findall(r"^Exit codes of `run` and `demo`: (.*?)\. ", README, re.MULTILINE)
    codes: set[int] = set()
    for first, last in re.findall(r"\b(\d+)(?: to (\d+))?", sentence):
        codes |= set(range(int(first), int(last or first) + 1))
    assert codes == {
        0,
        UNRECONCILED,
        2,
        lifecycle.ADMIN_DIED,
        lifecycle.SUPERVISOR_DIED,
        lifecycle.BROKER_DIED,
        lifecycle.ESCALATED,
        lifecycle.FORCED_KILL,
        lifecycle.FORCED,
    }


def test_the_files_and_folders_it_points_to_exist() -> None:
    pointed = re.findall(r"`((?:actors|system|storage|http|conf|chart|tests|src|\.ci)/[\w./]*)`", README)
    assert pointed
    assert not [path for path in pointed if not (ROOT / path).exists()]

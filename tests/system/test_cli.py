import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from data_manager import __version__
from data_manager.system import cli
from data_manager.system.cli import exit_code
from data_manager.system.commands.config import cell
from data_manager.system.commands.options import IMAGE, load_settings, parse_assignments, require_linux
from data_manager.system.errors import (
    ConfigError,
    DataError,
    DataManagerError,
    FeedError,
    StoreCorrupt,
    StoreUnavailable,
)
from data_manager.system.settings import Settings
from data_manager.system.settings_sources import NAMES, load

SLOW_TO_IMPORT = (
    "pydantic",
    "yaml",
    "rich",
    "orjson",
    "asyncio",
    "nats",
    "thespian",
    "aiohttp",
    "sqlalchemy",
)


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `data-manager` in an environment without settings of ours, but for `environ`."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [sys.executable, "-m", "data_manager", *arguments],
        env=clean | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )


def settings_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)["settings"]
    assert isinstance(shown, dict)
    return shown


# -- help and usage -----------------------------------------------------------------------------------------


def test_help_of_no_command_imports_anything_that_is_slow():
    script = (
        "import json, sys, typer, data_manager.system.cli as cli\n"
        "def paths(command, path=()):\n"
        "    yield path\n"
        "    for name, below in getattr(command, 'commands', {}).items():\n"
        "        yield from paths(below, (*path, name))\n"
        "every = list(paths(typer.main.get_command(cli.app)))\n"
        "for path in every:\n"
        "    sys.argv = ['data-manager', *path, '--help']\n"
        "    try: cli.main()\n"
        "    except SystemExit as end: assert not end.code, path\n"
        "print(json.dumps([every, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    every, modules = json.loads(done.stderr)
    assert ["backfill", "run"] in every
    loaded = {name.partition(".")[0] for name in modules}
    assert "typer" in loaded
    assert not loaded & set(SLOW_TO_IMPORT)


def test_help_lists_the_commands_and_exit_codes():
    done = command("--help")
    assert done.returncode == 0
    assert re.search(r"^  config ", done.stdout, re.MULTILINE)
    assert re.search(r"^  version ", done.stdout, re.MULTILINE)
    assert "Exit codes: 0 good" in done.stdout


@pytest.mark.parametrize("arguments", [["confgi"], ["config", "--prot", "1"], ["config", "extra"], []])
def test_wrong_usage_ends_with_2_and_no_traceback(arguments: list[str]):
    done = command(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout


def test_version_is_the_packages():
    assert command("version").stdout == f"{__version__}\n"


# -- config -------------------------------------------------------------------------------------------------


def test_config_prints_every_setting_with_value_and_origin(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("max_batch: 7\n")
    done = command("config", "--config", str(file), "--set", "linger_ms=3", API_PORT="8001")
    assert done.returncode == 0
    heading, *rows, market, catalog = done.stdout.splitlines()
    assert heading.split() == ["SETTING", "VALUE", "ORIGIN"]
    assert (market, catalog) == (
        "market store: sqlite files in data/market",
        "catalog: sqlite file data/catalog.sqlite3",
    )
    table = {name: (value, origin) for name, value, origin in (re.split(" {2,}", row) for row in rows)}
    assert table.keys() == NAMES
    assert table["MAX_BATCH"] == ("7", f"file {file}")
    assert table["LINGER_MS"] == ("3.0", "flag")
    assert table["API_PORT"] == ("8001", "environment")
    assert table["NATS_CREDS_FILE"] == ("-", "default")
    assert table["SUPPORTED_PAIRS"][0] == ",".join(Settings().supported_pairs)
    assert table["ENABLE_API"][0] == "true"


def test_the_named_flags_set_what_they_say_and_go_before_set():
    flags = {
        "--api-port": ("api_port", 1),
        "--metrics-port": ("metrics_port", 2),
        "--data-dir": ("data_dir", "/d"),
        "--nats": ("nats_url", "embedded"),
        "--log-level": ("log_level", "DEBUG"),
    }
    arguments = [text for flag, (_, value) in flags.items() for text in (flag, str(value))]
    shown = settings_of(command("config", "--json", "--set", "API_PORT=9", *arguments, API_PORT="8"))
    assert {name: shown[name] for _, (name, _) in flags.items()} == {
        name: {"value": value, "origin": "flag"} for _, (name, value) in flags.items()
    }


def test_what_config_prints_as_json_makes_the_same_settings_again(tmp_path: Path):
    given = ["--set", "store_depth=off", "--set", "supported_pairs=BTCUSDT,ETHUSDT", "--set", "enable_api=no"]
    shown = settings_of(command("config", "--json", *given, "--data-dir", str(tmp_path)))
    values = {name: entry["value"] for name, entry in shown.items()}
    file = tmp_path / "again.yaml"
    file.write_text(json.dumps(values))
    assert load({}, {}, file).settings == Settings.model_validate(values)
    assert load({}, {}, file).settings.shown() == values
    again = settings_of(command("config", "--json", "--config", str(file)))
    assert {name: entry["value"] for name, entry in again.items()} == values


def test_secrets_are_hidden_in_both_forms():
    for form in ([], ["--json"]):
        done = command(
            "config", *form, "--nats", "nats://me:hunter2@host", API_TOKEN="hunter2", MYSQL_PASSWORD="hunter2"
        )
        assert done.returncode == 0
        assert "hunter2" not in done.stdout + done.stderr
        assert "nats://***@host" in done.stdout
        assert "****" in done.stdout


def test_what_was_set_in_vain_is_on_stderr_and_in_the_json():
    environ = {"NATS_ULR": "x", "API_WORKERS": "4"}
    warning, vain = command("config", **environ).stderr.splitlines()
    assert warning.startswith("warning: NATS_ULR")
    assert vain.startswith("without effect: API_WORKERS")
    report = json.loads(command("config", "--json", **environ).stdout)
    assert [f"warning: {line}" for line in report["warnings"]] == [warning]
    assert [f"without effect: {line}" for line in report["without_effect"]] == [vain]


def test_config_shows_the_stores_that_the_settings_choose():
    environ = {
        "MONGODB_URL": "mongodb://u:hunter2@a,b/mine",
        "MONGODB_DB": "other",
        "MYSQL_URI": "mysql://u:hunter2@c/x",
    }
    done = command("config", "--json", **environ)
    report = json.loads(done.stdout)
    assert report["stores"] == {"market_store": "mongodb://a,b/mine", "catalog": "mysql+pymysql://c/x"}
    assert report["warnings"] == ["MONGODB_DB is 'other', but the database's URL names 'mine', which is used."]
    assert "hunter2" not in done.stdout + done.stderr


def test_shared_stores_that_are_required_and_missing_end_with_2():
    done = command("config", REQUIRE_SHARED_STORES="true", MYSQL_HOST="h")
    assert done.returncode == 2
    assert "MONGODB_URL (or MONGODB_HOST) is not set" in done.stderr


def test_settings_that_are_wrong_end_with_2_and_one_sentence_a_line():
    done = command("config", "--api-port", "http", "--set", "foo=1", SUPPORTED_PAIRS="btcusdt")
    assert done.returncode == 2
    assert not done.stdout
    assert sorted(line.split(" ")[0] for line in done.stderr.splitlines()) == [
        "API_PORT",
        "SUPPORTED_PAIRS",
        "foo",
    ]


def test_a_cell_is_what_one_would_write_in_the_environment():
    assert [cell(value) for value in (True, None, ["A", "B"], [], 7, "text")] == ["true", "-", "A,B", "-", "7", "text"]


# -- options ------------------------------------------------------------------------------------------------


def test_an_assignment_may_hold_equals_signs_and_the_last_one_counts():
    assert parse_assignments(["API_TOKEN=a=b", "max_batch=1", "MAX_BATCH=2"]) == {
        "api_token": "a=b",
        "max_batch": "2",
    }


def test_every_assignment_without_a_value_is_named():
    with pytest.raises(ConfigError) as refused:
        parse_assignments(["api_port", "a=1", "max_batch"])
    assert str(refused.value).splitlines() == [
        "--set api_port: write it as NAME=VALUE.",
        "--set max_batch: write it as NAME=VALUE.",
    ]


def test_flags_left_out_leave_the_environment_in_force(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("API_PORT", "8123")
    assert load_settings(None, None, api_port=None).settings.api_port == 8123
    assert load_settings(None, ["api_port=1"], api_port="2").settings.api_port == 2


def test_other_systems_are_sent_to_the_image():
    require_linux("run", "linux")
    for platform in ("darwin", "win32"):
        with pytest.raises(ConfigError, match=f"`data-manager run` needs Linux: run the container image {IMAGE}"):
            require_linux("run", platform)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (FeedError("x"), 3),
        (StoreUnavailable("x"), 3),
        (StoreCorrupt("x"), 1),
        (DataError("bad", "x"), 1),
        (DataManagerError("x"), 1),
    ],
)
def test_the_exit_code_says_who_must_act(error: DataManagerError, code: int):
    assert exit_code(error) == code


def test_what_is_unreachable_says_the_next_command_to_type():
    assert cli.told(StoreUnavailable("the disk is gone")).endswith("gone\n`data-manager doctor` looks for the cause.")
    assert cli.told(FeedError("see `data-manager status`")) == "see `data-manager status`"
    assert cli.told(ConfigError("a word is wrong")) == "a word is wrong"


WITHOUT_JSON = {"run", "demo", "feed", "openapi"}  # they run until they are stopped, or print JSON anyway


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its whole name."""
    below = getattr(command, "commands", {})
    for name, each in below.items():
        yield from leaves(each, (*path, name))
    if not below:
        yield " ".join(path), command


def test_every_command_answers_programs_in_json_and_says_what_its_exit_codes_mean():
    every = dict(leaves(typer.main.get_command(cli.app)))
    without = {name for name, each in every.items() if not any("--json" in param.opts for param in each.params)}
    assert without == WITHOUT_JSON
    silent = {name for name, each in every.items() if "Exit code" not in " ".join(f"{each.help} {each.epilog}".split())}
    assert silent == set()


def test_the_version_is_told_in_json_too():
    assert json.loads(command("version", "--json").stdout) == {"version": __version__}

"""`data-manager symbols`, against the API as it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.http import symbols
from tests.http.serving import actor, tree
from tests.servers.api import ServedApi, served_api
from tests.system.typed import Terminal

TOKEN = "correct horse battery staple"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path, token=TOKEN, supported_pairs="BTCUSDT,ETHUSDT") as served:
        served.system.latest = tree(actor("ingest/BTCUSDT", symbol="BTCUSDT"))
        yield served


@pytest.fixture
def token(tmp_path: Path) -> str:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return str(file)


def test_they_are_listed_as_a_table_and_as_json(api: ServedApi, typed: Terminal) -> None:
    done = typed("symbols", "list", "--url", api.url)
    assert [line.split() for line in done.out.splitlines()] == [
        ["SYMBOL", "STATUS", "ADDED", "RETIRED", "ACTOR"],
        ["BTCUSDT", "active", "2025-10-20T12:00:00Z", "-", "running"],
        ["ETHUSDT", "active", "2025-10-20T12:00:00Z", "-", "-"],
    ]
    as_json = json.loads(typed("symbols", "list", "--json", "--url", api.url).out)
    assert [each["symbol"] for each in as_json["data"]] == ["BTCUSDT", "ETHUSDT"]


def test_several_are_added_and_retired_at_once(api: ServedApi, typed: Terminal, token: str) -> None:
    to = ("--url", api.url, "--token-file", token)
    added = typed("symbols", "add", "XRPUSDT", "ADAUSDT", *to)
    assert (added.code, added.out.splitlines()) == (
        0,
        ["XRPUSDT is active since 2025-10-20T12:00:00Z", "ADAUSDT is active since 2025-10-20T12:00:00Z"],
    )
    retired = typed("symbols", "retire", "XRPUSDT", "BTCUSDT", *to)
    assert retired.out.splitlines() == [
        "XRPUSDT is retired since 2025-10-20T12:00:00Z",
        "BTCUSDT is retired since 2025-10-20T12:00:00Z",
    ]
    assert api.system.assigned[-1] == ("ETHUSDT", "ADAUSDT")
    assert {each.symbol: each.status for each in api.catalog.symbols()} == {
        "ADAUSDT": "active",
        "BTCUSDT": "retired",
        "ETHUSDT": "active",
        "XRPUSDT": "retired",
    }


def test_what_was_added_and_retired_is_told_in_json_too(api: ServedApi, typed: Terminal, token: str) -> None:
    to = ("--json", "--url", api.url, "--token-file", token)
    added = json.loads(typed("symbols", "add", "XRPUSDT", "ADAUSDT", *to).out)
    assert [(each["symbol"], each["status"]) for each in added] == [("XRPUSDT", "active"), ("ADAUSDT", "active")]
    assert [each["status"] for each in json.loads(typed("symbols", "retire", "XRPUSDT", *to).out)] == ["retired"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "xrpusdt"), "upper-case"),
        (("add", "SELFTEST"), "reserved for the self-test"),
        (("retire", "NOUSDT"), "not one of the service's symbols"),
        (("retire", "../x"), "upper-case"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    api: ServedApi, typed: Terminal, token: str, arguments: tuple[str, ...], sentence: str
) -> None:
    done = typed("symbols", *arguments, "--url", api.url, "--token-file", token)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


def test_a_token_is_needed(api: ServedApi, typed: Terminal) -> None:
    done = typed("symbols", "retire", "BTCUSDT", "--url", api.url)
    assert done.code == 2
    assert "API_TOKEN" in done.err
    assert api.system.assigned == []


def test_what_the_service_warns_of_is_shown(
    api: ServedApi, typed: Terminal, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbols, "memory_bytes", lambda: 2**20)
    done = typed("symbols", "add", "XRPUSDT", "--url", api.url, "--token-file", token)
    assert done.code == 0
    assert "3 symbols have a process each" in done.err

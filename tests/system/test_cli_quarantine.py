"""`data-manager quarantine`, against the API as it is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.serving import NOW_MS, store_rows
from tests.servers.api import ServedApi, served_api
from tests.servers.databases import free_port
from tests.storage.examples import quarantined
from tests.system.typed import Terminal


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path) as served:
        yield served


def test_quarantined_events_are_listed_newest_first_and_filtered(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    rows = [quarantined(n, stored_ms=NOW_MS + n * 1000, reason="bad_shape" if n < 3 else "decode") for n in (1, 2, 3)]
    store_rows(tmp_path, rows)
    done = typed("quarantine", "list", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    heading, first, *rest = done.out.splitlines()
    assert heading.split() == ["EVENT", "STORED", "TYPE", "REASON", "DETAIL"]
    assert first.split()[:4] == ["BTCUSDT-5-3", "2025-10-20T12:00:03Z", "trade", "decode"]
    assert len(rest) == 2
    one = typed("quarantine", "list", "--reason", "bad_shape", "--limit", "1", "--json", "--url", api.url)
    assert [each["event_id"] for each in json.loads(one.out)["data"]] == ["BTCUSDT-5-2"]
    nothing = typed("quarantine", "list", "--symbol", "ETHUSDT", "--url", api.url)
    assert (nothing.code, nothing.out) == (0, "Nothing is in quarantine that matches.\n")
    assert typed("quarantine", "list", "--symbol", "eth", "--url", api.url).code == 2


def test_an_event_is_shown_with_its_bytes_and_nothing_of_them_steers_the_terminal(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    store_rows(tmp_path, [quarantined(1, raw=b"\x1b[2Jfoul", detail="what \x1b[31m", received_ms=NOW_MS)])
    done = typed("quarantine", "show", "BTCUSDT-5-1", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "BTCUSDT-5-1: trade of BTCUSDT, bad_shape",
        "Why: what ?[31m",
        "Received 2025-10-20T12:00:00Z, stored 2023-11-14T22:14:00Z.",
        "8 bytes, utf-8:",
        "?[2Jfoul",
    ]
    as_json = json.loads(typed("quarantine", "show", "BTCUSDT-5-1", "--json", "--url", api.url).out)
    assert as_json["raw"] == "\x1b[2Jfoul"


def test_an_event_that_is_not_there_ends_with_2_and_a_service_that_is_away_with_3(
    api: ServedApi, typed: Terminal
) -> None:
    for unknown in ("BTCUSDT-5-1", "../ledger", "?"):
        done = typed("quarantine", "show", unknown, "--url", api.url)
        assert done.code == 2
        assert "`data-manager quarantine list` lists them" in done.err
    for command in (("list",), ("show", "BTCUSDT-5-1")):
        assert typed("quarantine", *command, "--url", f"http://127.0.0.1:{free_port()}").code == 3

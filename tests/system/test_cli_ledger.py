"""`data-manager ledger`: over HTTP as it is served, and on the files themselves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.ledger import Counts
from data_manager.storage.records import ALL_SYMBOLS
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock, now_ms
from tests.http.serving import BTC
from tests.http.test_ledger import ETH, count
from tests.servers.api import ServedApi, served_api
from tests.servers.command import PROGRAM
from tests.servers.databases import free_port
from tests.storage.examples import quarantined, received, trade
from tests.system.typed import Terminal


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path) as served:
        yield served


# -- show ----------------------------------------------------------------------------------------------------


def test_the_ledger_is_shown_by_symbol_and_type_with_its_total(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    count(tmp_path, BTC, trade=Counts(received=1200, stored=1199, duplicate=1, redelivered=1))
    count(tmp_path, ETH, kline=Counts(received=3, replaced=2, skipped=1))
    count(tmp_path, ALL_SYMBOLS, unknown=Counts(received=2, quarantined=2))
    done = typed("ledger", "show", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    assert [line.split() for line in done.out.replace("EVENT TYPE", "EVENT").splitlines()] == [
        [
            "SYMBOL",
            "EVENT",
            "RECEIVED",
            "STORED",
            "REPLACED",
            "DUPLICATE",
            "SKIPPED",
            "QUARANTINED",
            "REDELIVERED",
            "BALANCED",
        ],
        ["BTCUSDT", "trade", "1,200", "1,199", "0", "1", "0", "0", "1", "yes"],
        ["ETHUSDT", "kline", "3", "0", "2", "0", "1", "0", "0", "yes"],
        ["(none)", "unknown", "2", "0", "0", "0", "0", "2", "0", "yes"],
        ["total", "1,205", "1,199", "2", "1", "1", "2", "1", "yes"],
    ]
    one = typed("ledger", "show", "--symbol", ETH, "--json", "--url", api.url)
    assert [each["pair"] for each in json.loads(one.out)["data"]] == [ETH]


def test_a_ledger_that_does_not_balance_ends_with_1(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    count(tmp_path, BTC, trade=Counts(received=2, stored=1))
    for options in ((), ("--json",)):
        done = typed("ledger", "show", *options, "--url", api.url)
        assert done.code == 1
    assert typed("ledger", "show", "--symbol", "btc", "--url", api.url).code == 2


def test_without_a_service_show_ends_with_3_and_says_what_to_type(typed: Terminal) -> None:
    done = typed("ledger", "show", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.code == 3
    assert "`data-manager run`" in done.err


# -- verify --------------------------------------------------------------------------------------------------


def stored(folder: Path, *ids: int) -> None:
    """Trades of the last minutes, in the files of a service that runs in that folder."""
    now = now_ms(SystemClock())
    store = SqliteMarketStore(folder / "data" / "market", clock=SystemClock())
    store.write(BTC, received(*(trade(n, time_ms=now - 60_000 + n) for n in ids)))
    store.write(ALL_SYMBOLS, received(quarantined(1)))
    store.close()


def test_stores_that_bear_the_ledger_out_end_with_0_and_a_line_each(typed: Terminal, tmp_path: Path) -> None:
    stored(tmp_path, 1, 2, 3)
    done = typed("ledger", "verify")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "BTCUSDT: 3 events, 3 trades looked at; all is well",
        "(no symbol): 1 event, 0 trades looked at; all is well",
    ]


def test_a_missing_trade_id_ends_with_1(tmp_path: Path) -> None:
    stored(tmp_path, 1, 2, 5, 9)
    done = subprocess.run([PROGRAM, "ledger", "verify"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[0] == "BTCUSDT: 4 events, 4 trades looked at; trade ids 3..4 are missing"


def test_a_verdict_as_json_holds_what_was_compared(typed: Terminal, tmp_path: Path) -> None:
    stored(tmp_path, 1, 3)
    done = typed("ledger", "verify", "--json")
    assert done.code == 1
    btc, nobody = json.loads(done.out)
    assert btc == {
        "symbol": "BTCUSDT",
        "received": 2,
        "compared": [
            {"event_type": "trade", "least": 2, "most": 2, "rows": 2, "may_go": True},
            {"event_type": "quarantine", "least": 0, "most": 0, "rows": 0, "may_go": True},
        ],
        "trades_looked_at": 2,
        "first_hole": {"first": 2, "last": 2},
        "problems": ["trade ids 2..2 are missing"],
    }
    assert (nobody["symbol"], nobody["problems"]) == (None, [])


def test_where_there_is_no_store_there_is_nothing_to_verify(typed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = typed("ledger", "verify")
    assert done.code == 3
    assert done.err

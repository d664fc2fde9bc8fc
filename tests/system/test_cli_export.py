"""`data-manager export`, against the API as it is served."""

from __future__ import annotations

import csv
import io
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.http.serving import MINUTE, NOW_MS, candle, store_rows, trade
from tests.http.test_stored_types import ROWS
from tests.servers.api import ServedApi, served_api
from tests.servers.command import PROGRAM
from tests.servers.databases import free_port
from tests.system.typed import Terminal


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path) as served:
        yield served


@contextmanager
def breaking_off() -> Iterator[str]:
    """A service whose answer ends in the middle."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\ntimestamp,price\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_rows_go_to_stdout_as_csv_or_as_ndjson(api: ServedApi, typed: Terminal, tmp_path: Path) -> None:
    store_rows(tmp_path, [candle(NOW_MS - n * MINUTE) for n in (1, 2, 3)])
    options = ("candles", "--symbol", "BTCUSDT", "--timeframe", "1m", "--url", api.url)
    done = typed("export", *options)
    assert (done.code, done.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["timestamp"][11:16] for row in rows] == ["11:57", "11:58", "11:59"]
    assert rows[0]["close"] == "42005.00000001"
    as_lines = typed("export", *options, "--format", "ndjson", "--from", "2025-10-20T11:58:00Z", "--to", str(NOW_MS))
    assert [json.loads(line)["timestamp"][11:16] for line in as_lines.out.splitlines()] == ["11:58", "11:59"]


@pytest.mark.parametrize("path", ROWS)
def test_every_type_can_be_exported(api: ServedApi, typed: Terminal, tmp_path: Path, path: str) -> None:
    row, _, value = ROWS[path]
    store_rows(tmp_path, [row])
    name = path.removeprefix("/data/")
    done = typed("export", name, "--symbol", "BTCUSDT", "--format", "ndjson", "--url", api.url)
    assert json.loads(done.out) == value


def test_a_file_is_written_whole_counted_and_never_overwritten_unasked(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    store_rows(tmp_path, [trade(n, NOW_MS - 3000 + n) for n in range(2500)])
    out = tmp_path / "trades.csv"
    options = ("trades", "--symbol", "BTCUSDT", "--out", out, "--url", api.url)
    done = typed("export", *options)
    assert (done.code, done.out, done.err) == (0, "", f"2,500 rows are in {out}.\n")
    assert len(out.read_text().splitlines()) == 2501
    again = typed("export", *options)
    assert again.code == 2
    assert "--replace" in again.err
    replaced = typed("export", *options, "--replace", "--limit", "10", "--json")
    assert json.loads(replaced.out) == {"file": str(out), "rows": 10, "limit_reached": True}
    assert "there may be more" in replaced.err
    assert len(out.read_text().splitlines()) == 11
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("candles", "--symbol", "BTCUSDT"), "--timeframe"),
        (("trades", "--symbol", "BTCUSDT", "--timeframe", "1m"), "--timeframe"),
        (("trades", "--symbol", "BTCUSDT", "--json"), "--json needs --out"),
        (("candles", "--symbol", "BTCUSDT", "--timeframe", "7m"), "unknown period"),
        (("trades", "--symbol", "btc"), "a pair is"),
        (("trades", "--symbol", "BTCUSDT", "--from", "then"), "start: "),
        (("trades", "--symbol", "BTCUSDT", "--limit", "1000001"), "--limit"),
        (("orders", "--symbol", "BTCUSDT"), "orders"),
        (("trades", "--symbol", "BTCUSDT", "--out", "nowhere/trades.csv"), "cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence_and_ends_with_2(
    api: ServedApi, typed: Terminal, options: tuple[str, ...], sentence: str
) -> None:
    done = typed("export", *options, "--url", api.url)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err


def test_an_answer_that_breaks_off_leaves_no_file_and_ends_with_3(typed: Terminal, tmp_path: Path) -> None:
    with breaking_off() as url:
        done = typed("export", "trades", "--symbol", "BTCUSDT", "--out", "trades.csv", "--url", url)
    assert done.code == 3
    assert "broke off" in done.err
    assert not list(tmp_path.glob("trades*"))


def test_a_service_that_is_away_ends_with_3(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    line = [PROGRAM, "export", "trades", "--symbol", "BTCUSDT", "--url", url]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "")
    assert "`data-manager run`" in done.stderr

"""The demo's lines about gaps: one for all that happened alike, each change told once."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from data_manager.system.demo_gaps import Gap, GapNews, lines
from data_manager.system.settings import Settings

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def gap(number: int, status: str = "open", pair: str = "BTCUSDT", timeframe: str | None = None) -> Gap:
    kind = "trades" if timeframe is None else "candles"
    start = AT + timedelta(seconds=number)
    return Gap(f"gap {number}", pair, kind, timeframe, start, start + timedelta(seconds=5), status, None)


def test_an_outage_of_all_symbols_is_one_line() -> None:
    (line,) = lines([gap(1, pair="ETHUSDT"), gap(0), gap(2, pair="BNBUSDT")])
    assert line.strip() == "trades of BNBUSDT, BTCUSDT, ETHUSDT, 03:04:05 to 03:04:12 UTC: missing"


def test_what_is_missing_comes_before_what_was_repaired_and_kinds_have_lines_of_their_own() -> None:
    told = [line.strip() for line in lines([gap(0, "closed"), gap(1, "unfillable"), gap(2, timeframe="1m"), gap(3)])]
    assert told == [
        "1m candles of BTCUSDT, 03:04:07 to 03:04:12 UTC: missing",
        "trades of BTCUSDT, 03:04:08 to 03:04:13 UTC: missing",
        "trades of BTCUSDT, 03:04:05 to 03:04:10 UTC: repaired from the exchange, audited again and closed",
        "trades of BTCUSDT, 03:04:06 to 03:04:11 UTC: missing for good: the exchange keeps no history of it",
    ]


def test_there_is_no_news_where_nothing_answers(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings = Settings(data_dir=tmp_path, api_port=free.getsockname()[1])
        assert GapNews(settings).look() == []
    assert GapNews(Settings(data_dir=tmp_path, api_port=0)).look() == []
    assert GapNews(Settings(data_dir=tmp_path, enable_api=False)).look() == []

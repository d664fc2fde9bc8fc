"""From the raw subject to rows and HTTP bodies, through a real broker and every process of the tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from data_manager.storage.records import (
    BookTicker,
    Candle,
    Depth,
    Funding,
    Liquidation,
    MarkPrice,
    OpenCandle,
    Quarantined,
    Ticker,
    Trade,
)
from tests.actors.ingest.examples import EXAMPLES, SYMBOL, SYMBOLLESS, bare, enveloped, event
from tests.fixtures.recording import CLOSE_MS, OPEN_MS, SYMBOLS, write_recording
from tests.servers.load import SUBJECT, publish
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService
from tests.storage.test_klines import H0, fill, make

NAMES = [symbol.name for symbol in SYMBOLS]
PATIENT = {"ack_wait_s": "10", "store_timeout_s": "5", "heartbeat_miss_s": "10"}  # as in production
RECORDING = "binance_futures_ws_2021-07-22.ndjson"


@pytest.fixture(params=["the seeded twin", "the real recording"])
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "recording.ndjson"
    if request.param == "the seeded twin":
        write_recording(path)
        return path
    folder = os.environ.get("MARKET_RECORDINGS")
    if not folder:
        pytest.skip("MARKET_RECORDINGS is not set: the real recordings are not part of the repository")
    shutil.copy(Path(folder) / RECORDING, path)
    return path


def replay(path: Path, url: str) -> None:
    command = [sys.executable, "-m", "data_manager", "replay", str(path), "--nats", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def stored(service: RunningService) -> dict[str, int]:
    """Rows by type, all symbols."""
    counts: Counter[str] = Counter()
    for name in NAMES:
        for record in (Trade, Candle, OpenCandle, Depth, BookTicker, Ticker, MarkPrice, Quarantined):
            counts[record.dataset] += len(service.rows(name, record))
    return dict(counts)


def test_a_recording_is_stored_exactly_once_in_whatever_stores_however_often_it_is_replayed(
    tmp_path: Path, recording: Path, new_mongo: Callable[[], str], new_mysql: Callable[[], str]
) -> None:
    in_files = played_twice(tmp_path / "files", recording)
    on_servers = played_twice(tmp_path / "servers", recording, mongodb_url=new_mongo(), mysql_uri=new_mysql())
    assert in_files.keys() == on_servers.keys()
    for what in in_files:
        assert in_files[what] == on_servers[what], what


def played_twice(folder: Path, recording: Path, **stores: str) -> dict[str, object]:
    """What is stored and what HTTP tells of it, without what may differ from run to run."""
    folder.mkdir()
    with (
        NatsServer(folder / "nats") as nats,
        RunningService(folder, nats.url, ",".join(NAMES), **PATIENT, **stores) as service,
    ):
        replay(recording, nats.url)
        service.wait(lambda: service.events(*NAMES) == 1535, 30)
        bars_of_the_trades = [("1m", CLOSE_MS, name) for name in NAMES]
        service.wait(lambda: set(bars_of_the_trades) <= set(bars(service)))
        assert_rows_are_those_of_the_recording(service)
        once = stored(service)

        replay(recording, nats.url)
        service.wait(lambda: service.events(*NAMES) == 2 * 1535, 30)
        assert stored(service) == once
        totals = [service.ledger(name).total for name in NAMES]
        assert all(total.balanced for total in totals)
        assert sum(total.duplicate for total in totals) >= 91 + 4
        assert_http_gives_the_recording_back(service, recording)
        return rows_without_their_run(service) | bodies_without_their_run(service)


def rows_without_their_run(service: RunningService) -> dict[str, object]:
    """Every row of every type, without the batch that brought it and the time it was stored."""
    return {
        f"{record.dataset} of {name}": [
            {
                field: getattr(row, field)
                for field in record.__struct_fields__
                if field not in ("market_seq", "stored_ms")
            }
            for row in service.rows(name, record)
        ]
        for name in NAMES
        for record in (Trade, Candle, OpenCandle, Depth, BookTicker, Ticker, MarkPrice, Funding, Liquidation)
    }


def bodies_without_their_run(service: RunningService) -> dict[str, object]:
    """The bodies of every data route, without the back end's name and the time something was stored."""
    within = {"start": OPEN_MS, "end": OPEN_MS + 120_000}
    pages: list[dict[str, object]] = [
        {},
        {"limit": 1},
        {"limit": 5, "offset": 3, "sort_order": "asc"},
        {"limit": 5, "sort_order": "desc"},
    ]
    asked: dict[str, dict[str, object]] = {}
    for name in NAMES:
        for page in pages:
            for route, more in (("candles", {"period": "1m"}), ("candles", {"period": "5m"}), ("trades", {})):
                asked[f"/data/{route} {name} {more} {page}"] = {"pair": name, **within, **more, **page}
        asked[f"/data/depth {name}"] = {"pair": name}
        asked[f"/data/funding {name}"] = {"pair": name, **within}
    bodies: dict[str, object] = {}
    for key, parameters in asked.items():
        status, body = service.get(key.split(" ")[0], **parameters)
        assert status == 200, body
        assert body["metadata"].pop("source") == ("mongodb" if service.setting("mongodb_url") else "sqlite")
        body["metadata"].pop("last_updated", None)
        bodies[key] = body
    return bodies


def bars(service: RunningService) -> dict[tuple[str, int, str], Candle]:
    return {(bar.timeframe, bar.open_time, name): bar for name in NAMES for bar in service.rows(name, Candle)}


def assert_rows_are_those_of_the_recording(service: RunningService) -> None:
    assert sum(len(service.rows(name, Trade)) for name in NAMES) == 91
    found = bars(service)
    for name in NAMES:
        closed = found["1m", OPEN_MS, name]
        assert (closed.source, closed.complete) == ("kline", True)
        derived = found["1m", CLOSE_MS, name]
        assert (derived.source, derived.complete) == ("trades", False)
    assert sum(len(service.rows(name, BookTicker)) for name in NAMES) == 84
    assert sum(len(service.rows(name, Depth)) for name in NAMES) == 0
    depth = [service.ledger(name).by_type["depthUpdate"] for name in NAMES]
    assert sum(counts.received for counts in depth) == sum(counts.skipped for counts in depth) == 764
    assert "broken" not in service.request("GET", "/metrics")[1].decode()


def assert_http_gives_the_recording_back(service: RunningService, recording: Path) -> None:
    events = [json.loads(line)["data"] for line in recording.read_text().splitlines()]
    for name in NAMES:
        sent = [(e["a"], e["p"], e["q"]) for e in events if e["e"] == "aggTrade" and e["s"] == name]
        status, body = service.get("/data/trades", pair=name, start=OPEN_MS, end=OPEN_MS + 120_000, limit=1000)
        assert status == 200
        assert [(row["trade_id"], row["price"], row["quantity"]) for row in body["values"]] == sorted(sent)
        assert body["data"] == body["values"]
        closed = next(e["k"] for e in events if e["e"] == "kline" and e["s"] == name and e["k"]["x"])
        _, body = service.get("/data/candles", pair=name, period="1m", start=OPEN_MS, end=CLOSE_MS)
        (bar,) = body["values"]
        assert [bar[key] for key in ("open", "high", "low", "close", "volume")] == [closed[k] for k in "ohlcv"]
        assert bar["timestamp"] == "2021-07-22T22:25:00.000000+00:00"


def test_candles_are_read_from_the_extractors_tables_and_never_written_there(
    tmp_path: Path, new_mysql: Callable[[], str]
) -> None:
    uri = new_mysql()
    engine = create_engine(uri.replace("mysql://", "mysql+pymysql://"))
    with closing(engine.connect()) as theirs:
        make(theirs, name="klines_m1")
        fill(theirs, H0, name="klines_m1")
        before = theirs.exec_driver_sql("CHECKSUM TABLE klines_m1").fetchall()
        with (
            NatsServer(tmp_path / "nats") as nats,
            RunningService(tmp_path, nats.url, SYMBOL, mysql_uri=uri, candle_database_type="mysql") as service,
        ):
            publish(nats.url, bare(EXAMPLES["kline"].data))
            service.wait(lambda: service.rows(SYMBOL, Candle))
            _, body = service.get("/data/candles", pair=SYMBOL, period="1m", start=H0, end=H0 + 60_000)
            (bar,) = body["values"]
            assert (bar["open"], bar["low"], bar["volume"]) == ("100.1", "90.00000001", "12.34")
            _, body = service.get("/data/candles", pair=SYMBOL, period="1h", start=0)
            assert body["values"] == []  # what came as an event is in the market store, and not asked for
        assert theirs.exec_driver_sql("CHECKSUM TABLE klines_m1").fetchall() == before
        names = [row[0] for row in theirs.exec_driver_sql("SHOW TABLES LIKE 'klines%%'")]
        assert names == ["klines_m1"]
    engine.dispose()


WHERE = {  # example -> the row it must become
    "trade": (Trade, {"kind": "trade", "trade_id": 6765432101, "price": "110850.40", "quantity": "0.012"}),
    "aggTrade": (Trade, {"kind": "aggTrade", "first_id": 6765432095, "is_buyer_maker": True}),
    "ticker": (Ticker, {"kind": "24hrTicker", "close_price": "110850.40", "trades_count": 4427900}),
    "mini ticker": (Ticker, {"kind": "24hrMiniTicker", "close_price": "110850.40", "trades_count": None}),
    "mark price": (MarkPrice, {"mark_price": "110846.71500000", "last_funding_rate": "0.00010000"}),
    "kline": (
        Candle,
        {"timeframe": "1h", "open_time": 1760918400000, "close": "111020.10", "source": "kline"},
    ),
    "book ticker": (BookTicker, {"update_id": 8812345679100, "bid_price": "110850.30"}),
    "funding rate": (Funding, {"funding_rate": "0.00010000", "settled": False}),
    "force order": (Liquidation, {"side": "SELL", "price": "110210.00", "average_price": "110402.10"}),
    "depth of 20 levels": (Depth, {"last_update_id": 8812345679100}),
}


def test_every_example_message_becomes_its_row_bare_and_in_the_envelope(tmp_path: Path) -> None:
    shaped = [
        payload
        for name, example in EXAMPLES.items()
        if name not in SYMBOLLESS
        for payload in (bare(example.data), enveloped(example.data, example.stream))
    ]
    in_arrays = [b"[" + bare(event("trade", t=1)) + b"," + bare(event("trade", t=2)) + b"]"]
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL) as service:
        publish(nats.url, *shaped, *in_arrays)
        service.wait(lambda: service.events(SYMBOL) == len(shaped) + 2)
        for record, fields in WHERE.values():
            rows = [{name: getattr(row, name) for name in fields} for row in service.rows(SYMBOL, record)]
            assert fields in rows, record
        assert service.rows(SYMBOL, Quarantined) == []
        assert {1, 2} <= {row.trade_id for row in service.rows(SYMBOL, Trade, kind="trade")}
        assert service.ledger(SYMBOL).total.balanced
        status, body = service.get("/data/depth", pair=SYMBOL)
        assert (status, body["data"]["last_update_id"], len(body["data"]["bids"])) == (200, 8812345679100, 20)


MALFORMED = {  # payload -> (where it is quarantined, why)
    b"not json at all": ("_all", "not_json"),
    b'{"result":null,"id":1}': ("_all", "no_symbol"),
    bare(event("trade", s="btcusdt")): ("_all", "malformed_symbol"),
    bare(event("trade", s="SELFTEST")): ("_all", "reserved_symbol"),
    b"[]": ("_all", "no_symbol"),
    bare(event("trade"))[:-9]: (SYMBOL, "not_json"),
    bare(event("trade", p=None)): (SYMBOL, "bad_shape"),
    bare(event("trade", p="1e5")): (SYMBOL, "bad_number"),
    bare(event("trade", p=1.5)): (SYMBOL, "bad_shape"),
    bare(event("trade", T=1760918400)): (SYMBOL, "bad_time"),
    bare(event("trade", e="contractInfo")): (SYMBOL, "unknown_type"),
    enveloped(
        {"lastUpdateId": 5, "bids": [["3850.30", "0.5"]], "asks": [["3850.40", "0.3"]]},
        "btcusdt@depth20@100ms",
    ): (SYMBOL, "symbol_mismatch"),
}


def test_every_malformed_message_is_quarantined_with_its_bytes_and_its_neighbours_are_stored(
    tmp_path: Path,
) -> None:
    good = [bare(event("trade", t=number)) for number in range(1, len(MALFORMED) + 1)]
    mixed = [payload for pair in zip(MALFORMED, good, strict=True) for payload in pair]
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL) as service:
        publish(nats.url, *mixed)
        service.wait(lambda: service.events(SYMBOL) == len(mixed))
        kept = {
            row.raw: (symbol, row.reason) for symbol in ("_all", SYMBOL) for row in service.rows(symbol, Quarantined)
        }
        assert kept == MALFORMED
        assert [row.trade_id for row in service.rows(SYMBOL, Trade)] == list(range(1, len(good) + 1))
        assert {view["restarts"] for view in service.actors().values()} == {0}


def test_an_event_of_a_symbol_that_is_not_configured_is_skipped_and_counted(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, "ETHUSDT") as service:
        publish(nats.url, bare(event("trade")), bare(event("trade", s="ETHUSDT")))
        service.wait(lambda: service.events("ETHUSDT") == 2)
        assert service.ledger().by_type["trade"].skipped == 1
        assert sorted(path.name for path in (service.data_dir / "market").glob("*.sqlite3")) == [
            "ETHUSDT.sqlite3",
            "_all.sqlite3",
        ]


def test_without_jetstream_everything_still_arrives_and_readiness_says_what_is_not_promised(
    tmp_path: Path,
) -> None:
    with (
        NatsServer(tmp_path / "nats", jetstream=False) as nats,
        RunningService(tmp_path, nats.url, SYMBOL) as service,
    ):
        publish(nats.url, *(bare(event("trade", t=number)) for number in range(1, 501)))
        service.wait(lambda: service.events(SYMBOL) == 500)
        assert len(service.rows(SYMBOL, Trade)) == 500
        assert service.get("/health/readiness")[1]["delivery"] == "core"


FOREIGN = ("numpy", "pandas", "sklearn", "pyod", "sqlalchemy", "aiohttp")


def test_router_and_ingest_processes_have_mapped_no_heavy_library(tmp_path: Path) -> None:
    """Each of these has native modules, so what a process has imported shows in its memory map."""
    with NatsServer(tmp_path / "nats") as nats, RunningService(tmp_path, nats.url, SYMBOL) as service:
        publish(nats.url, bare(event("trade")))
        service.wait(lambda: service.events(SYMBOL) == 1)
        actors = service.actors()
        for name in ("router", f"ingest/{SYMBOL}"):
            mapped = Path(f"/proc/{actors[name]['pid']}/maps").read_text()
            assert not [library for library in FOREIGN if f"/{library}/" in mapped], name
        assert "/aiohttp/" in Path(f"/proc/{actors['http']['pid']}/maps").read_text()


def test_the_feed_subject_is_the_contracts() -> None:
    assert SUBJECT == "binance.futures.websocket.data"

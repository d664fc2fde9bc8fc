"""Many clients at once on raw sockets, while a writer adds rows: no error, no torn page."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from data_manager.storage.protocols import Event, Write
from data_manager.storage.sqlite import SqliteMarketStore
from tests.http.serving import BTC, MINUTE, NOW_MS, StillClock, candle, serving

CLIENTS = 32
REQUESTS = 20  # of each client, on one connection


async def client(port: int, path: str) -> list[int]:
    """The totals its pages gave, one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    totals = []
    for _ in range(REQUESTS):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = orjson.loads(await reader.readexactly(length))
        times = [row["timestamp"] for row in body["data"]]
        assert times == sorted(set(times))
        assert body["values"] == body["data"]
        totals.append(body["pagination"]["total"])
    writer.close()
    await writer.wait_closed()
    return totals


def test_pages_are_whole_and_totals_only_grow_while_rows_are_written(tmp_path: Path) -> None:
    store = SqliteMarketStore(tmp_path / "market", clock=StillClock())
    store.write(BTC, Write(events=[Event("kline", candle(NOW_MS - MINUTE))]))
    finished = threading.Event()

    def write() -> None:
        for minute in range(2, 1000):
            if finished.is_set():
                break
            store.write(BTC, Write(events=[Event("kline", candle(NOW_MS - minute * MINUTE))]))

    async def run() -> None:
        async with serving(tmp_path) as api:
            port = urlsplit(str(api.session._base_url)).port
            assert port is not None
            path = "/data/candles?pair=BTCUSDT&period=1m"
            writing = asyncio.create_task(asyncio.to_thread(write))
            results = await asyncio.gather(*(client(port, path) for _ in range(CLIENTS)))
            finished.set()
            await writing
        for totals in results:
            assert totals == sorted(totals)
        assert max(map(max, results)) > 1

    asyncio.run(run())
    store.close()

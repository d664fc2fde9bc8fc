"""The plain alternative that users write: one process, core NATS, one insert per message, asyncio.

Run as `python -m tests.bench.plain URL FOLDER`. It subscribes, decodes with the standard library and inserts
into a store like the product's: a file per symbol with its trades table, in WAL mode, `synchronous` NORMAL.
Nothing is batched, checked or counted.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from pathlib import Path

import nats
from nats.aio.msg import Msg

from data_manager.storage.records import Trade
from data_manager.storage.sqlite.tables import TABLES
from tests.bench.child import ready
from tests.bench.publisher import SYMBOLS
from tests.servers.load import SUBJECT


def open_file(path: Path) -> sqlite3.Connection:
    """A new file with the trades table; every statement is a transaction of its own."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for statement in TABLES[Trade].ddl():
        connection.execute(statement)
    return connection


async def store_all(url: str, folder: Path) -> None:
    """Store until killed."""
    files = {symbol: open_file(folder / f"{symbol}.sqlite3") for symbol in SYMBOLS}
    insert = TABLES[Trade].insert_new

    async def on_message(message: Msg) -> None:
        event = json.loads(message.data)["data"]
        number = event["t"]
        row = (
            "trade", number, event["T"], event["p"], event["q"], event["m"], number, number, event["X"],
            0, 0, time.time_ns() // 1_000_000,
        )  # fmt: skip
        files[event["s"]].execute(insert, row)

    client = await nats.connect(url)
    await client.subscribe(SUBJECT, cb=on_message)
    await client.flush()
    ready()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(store_all(sys.argv[1], Path(sys.argv[2])))

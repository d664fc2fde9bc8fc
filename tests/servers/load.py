"""A publisher in the background: trades of some symbols at a steady rate, each acknowledged by FEED."""

from __future__ import annotations

import asyncio
import json
import threading
import time

from data_manager.system.clock import SystemClock
from data_manager.system.connection import Connection
from data_manager.system.publisher import FeedPublisher
from data_manager.system.settings import Settings

SUBJECT = "binance.futures.websocket.data"
TICK_S = 0.02


def trade(symbol: str, number: int, time_ms: int | None = None, price: str = "100.50") -> bytes:
    """A trade event in the publisher's envelope."""
    at = time.time_ns() // 1_000_000 if time_ms is None else time_ms
    event = {
        "e": "trade", "E": at, "T": at, "s": symbol, "t": number,
        "p": price, "q": "0.012", "X": "MARKET", "m": number % 2 == 0,
    }  # fmt: skip
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": event}).encode()


def publish(url: str, *payloads: bytes) -> None:
    """Publish these events, each acknowledged where a stream captures them."""

    async def send() -> None:
        connection = Connection(Settings(nats_url=url), "publisher", SystemClock())
        assert await connection.open(asyncio.Event())
        publisher = FeedPublisher(connection.client, SUBJECT, SystemClock())
        await publisher.open()
        for payload in payloads:
            await publisher.publish(payload)
        assert await publisher.drain()
        await connection.close()

    asyncio.run(send())


class Load:
    """`with Load(url, ["BTCUSDT"], rate=500) as load: ...`: ids 1, 2, 3 ... for each symbol until the block ends.

    `published` says how many of each symbol FEED has taken, once the block is left.
    """

    def __init__(self, url: str, symbols: list[str], rate: float) -> None:
        self._url, self._symbols, self._rate = url, symbols, rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._error: Exception | None = None
        self.sent = 0  # so far, of each symbol

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> int:
        """Stop publishing and wait for the last acknowledgement; how many of each symbol were taken."""
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the publisher hangs"
        if self._error is not None:
            raise self._error
        return self.sent

    async def _run(self) -> None:
        try:
            await self._publish()
        except Exception as error:  # noqa: BLE001  told to whoever stops the load
            self._error = error

    async def _publish(self) -> None:
        connection = Connection(Settings(nats_url=self._url), "load", SystemClock())
        assert await connection.open(asyncio.Event())
        publisher = FeedPublisher(connection.client, SUBJECT, SystemClock())
        await publisher.open()
        began = time.monotonic()
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * self._rate / len(self._symbols))
            for number in range(self.sent + 1, due + 1):
                for symbol in self._symbols:
                    await publisher.publish(trade(symbol, number))
                self.sent = number
                if self._stop.is_set():
                    break
            await asyncio.sleep(TICK_S)
        assert await publisher.drain(30)
        await connection.close()

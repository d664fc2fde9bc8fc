"""An HTTP client that asks for one page again and again over some connections.

Run as `python -m tests.bench.pages PORT PATH CONNECTIONS SECONDS [RATE]`: as fast as it is answered, or RATE times a
second at most. Bare protocols, so that the client needs a
fraction of the server's CPU.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.bench.child import ready, report

TIMEOUT_S = 10.0  # for what is under way at the end


class Asker(asyncio.Protocol):
    """One connection: the next request when the answer is complete, and `every_s` is over, until `stop`."""

    def __init__(self, request: bytes, latencies: list[float], every_s: float) -> None:
        self._request, self._latencies, self._every_s = request, latencies, every_s
        self._answer = bytearray()
        self._length = 0  # of the whole answer, once its head is there
        self._asked = 0.0
        self.stop = False
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self) -> None:
        """Send the request."""
        self._answer.clear()
        self._length = 0
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._length and (end := self._answer.find(b"\r\n\r\n")) >= 0:
            self._length = end + 4 + content_length(bytes(self._answer[:end]))
        if not self._length or len(self._answer) < self._length:
            return
        self._latencies.append(time.perf_counter() - self._asked)
        left_s = self._asked + self._every_s - time.perf_counter()
        if left_s > 0:
            self._loop.call_later(left_s, self._next)
        else:
            self._next()

    def _next(self) -> None:
        if self.stop:
            self.done.set_result(None)
            self._transport.close()
        else:
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


def content_length(head: bytes) -> int:
    """Of a successful answer; AssertionError for any other."""
    status, *headers = head.decode("latin-1").split("\r\n")
    assert status.split()[1] == "200", status
    fields = dict(header.lower().split(":", 1) for header in headers)
    return int(fields["content-length"])


async def ask_for(port: int, path: str, connections: int, seconds: float, rate: float = 0) -> None:
    """Ask, and report how often and how long it took."""
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    latencies: list[float] = []
    every_s = connections / rate if rate else 0.0
    askers = []
    for _ in range(connections):
        _, asker = await loop.create_connection(lambda: Asker(request, latencies, every_s), "127.0.0.1", port)
        askers.append(asker)
    ready()
    began = time.perf_counter()
    for asker in askers:
        asker.ask()
    await asyncio.wait([asker.done for asker in askers], timeout=seconds)
    for asker in askers:
        asker.stop = True
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*(asker.done for asker in askers))
    took = time.perf_counter() - began
    latencies.sort()
    report(
        per_second=len(latencies) / took,
        p50=latencies[len(latencies) // 2],
        p99=latencies[int(len(latencies) * 0.99)],
    )


if __name__ == "__main__":
    _, port, path, connections, *numbers = sys.argv
    asyncio.run(ask_for(int(port), path, int(connections), *map(float, numbers)))

"""A TCP proxy in front of a server, with the faults of a network: slow, thin, cut, and half open.

`with Proxy(server.port) as proxy: ... proxy.port`; all connections are gone after the block. What is set holds for
the connections that there are and for those that come.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

PIECE = 64 * 1024  # bytes that are forwarded at a time
ON_THE_WAY = 256  # pieces of one direction that are delayed at the same time; beyond it nothing more is read
CUT_EVERY_S = 1.0  # how often `cut_share` of all connections are cut
END_S = 5.0  # for all that is forwarded to end, when the proxy does
HOST = "127.0.0.1"


class Link:
    """One connection, both ways."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.ends = (client, server)
        self.silent = False  # half open: what either end sends goes nowhere, and neither is told
        self.ways: list[asyncio.Task[None]] = []

    def cut(self) -> None:
        """Reset both ends at once."""
        for end in self.ends:
            reset(end)


def reset(end: asyncio.StreamWriter) -> None:
    """End a connection with RST, unless it has ended; what was written and not sent yet is dropped."""
    connection = end.get_extra_info("socket")
    if end.transport.is_closing() or connection.fileno() < 0:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.transport.abort()


class Proxy:
    """Forwards to a port of this host; runs on a loop of its own, in a thread."""

    def __init__(self, port: int, seed: int = 1) -> None:
        """`seed` decides which connections are cut."""
        self.delay_s = 0.0  # of each piece, in each direction; it costs no throughput
        self.bytes_per_s: float | None = None  # of each direction of a connection
        self.cut_share = 0.0  # of the connections, once in CUT_EVERY_S
        self.port = 0
        self.cuts = 0  # so far
        self.forwarded = 0  # bytes so far, both ways
        self._to = port
        self._rng = random.Random(seed)
        self._links: set[Link] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), name="proxy")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the proxy hangs"
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many there are now, the half-open ones included."""
        return len(self._links)

    def fall_silent(self) -> None:
        """Leave every connection that there is half open; new ones work."""
        self._each(lambda link: setattr(link, "silent", True))

    def cut(self) -> None:
        """Reset every connection that there is; new ones work."""
        self._each(self._cut)

    def _each(self, work: Callable[[Link], object]) -> None:
        async def do() -> None:
            for link in list(self._links):
                work(link)

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(10)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, HOST, 0, limit=PIECE)
        self.port = server.sockets[0].getsockname()[1]
        cutting = asyncio.create_task(self._cut_some())
        self._listening.set()
        await self._stop.wait()
        server.close()
        cutting.cancel()
        for link in list(self._links):
            for way in link.ways:
                way.cancel()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=END_S)

    async def _connected(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            from_server, server = await asyncio.open_connection(HOST, self._to, limit=PIECE)
        except OSError:  # the server is away: the client hears it a moment later than it would without a proxy
            reset(client)
            return
        link = Link(client, server)
        self._links.add(link)
        try:
            await self._both_ways(link, reader, from_server)
        finally:
            self._links.discard(link)
            link.cut()

    async def _both_ways(
        self, link: Link, from_client: asyncio.StreamReader, from_server: asyncio.StreamReader
    ) -> None:
        """Until one end has ended, whatever was on its way from it included."""
        client, server = link.ends
        link.ways = [
            asyncio.create_task(self._forward(from_client, server, link)),
            asyncio.create_task(self._forward(from_server, client, link)),
        ]
        await asyncio.wait(link.ways, return_when=asyncio.FIRST_COMPLETED)
        for way in link.ways:
            way.cancel()
        await asyncio.gather(*link.ways, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        """One direction, until its reader's end, or for ever once the link is silent."""
        way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(ON_THE_WAY)
        arriving = asyncio.create_task(self._arrive(way, writer, link))
        try:
            while piece := await reader.read(PIECE):
                await way.put((self._loop.time() + self.delay_s, piece))
            await way.put((self._loop.time() + self.delay_s, b""))
            await arriving
        except OSError:  # reset by an end, which is what it is for
            if link.silent:
                await asyncio.Event().wait()
        finally:
            arriving.cancel()

    async def _arrive(self, way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, link: Link) -> None:
        while True:
            due, piece = await way.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if link.silent:
                continue
            if not piece:
                return
            writer.write(piece)
            await writer.drain()
            self.forwarded += len(piece)
            if self.bytes_per_s is not None:
                await asyncio.sleep(len(piece) / self.bytes_per_s)

    async def _cut_some(self) -> None:
        while True:
            await asyncio.sleep(CUT_EVERY_S)
            for link in list(self._links):
                if self._rng.random() < self.cut_share:
                    self._cut(link)

    def _cut(self, link: Link) -> None:
        self.cuts += 1
        link.cut()

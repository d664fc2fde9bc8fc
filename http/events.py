"""`/system/events`: what happens, as server-sent events: a snapshot first, then each part as it changes.

One task reads tree and catalog for all clients together, and only while there are any. A client that takes its
events more slowly than they come loses those that wait for it, and is sent a new snapshot instead.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import orjson
from aiohttp import web

from data_manager import __version__
from data_manager.http.answers import stamp_or_none
from data_manager.http.condition import delivery
from data_manager.http.errors import unavailable
from data_manager.http.health import TREE_STALE_S
from data_manager.http.live import (
    Difference,
    Findings,
    Part,
    Rates,
    actors_of,
    difference,
    gaps_of,
    incidents_of,
    jobs_of,
    quarantined,
    replicas_of,
)
from data_manager.http.middleware import TRACE_CHARS
from data_manager.http.operations import Answer, Operation, routes_of
from data_manager.http.ports import Services
from data_manager.storage.protocols import Catalog, GapStatus, JobStatus
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreError
from data_manager.system.fleet_messages import FleetNews
from data_manager.system.logs import log
from data_manager.system.messages import Tree

MAX_CLIENTS = 50
QUEUE_MAX = 64  # events that may wait for one client
READ_S = 1.0  # between two looks at the tree
CATALOG_EVERY = 2  # looks at the tree for one at the catalog
COMMENT_S = 15.0  # between two signs of life while nothing changes
WRITE_S = 20.0  # a client that takes nothing for so long is gone
GAPS_MAX = 500
JOBS_MAX = 100  # of those that have not ended
ENDED_JOBS_MAX = 20

OPEN_GAPS = (GapStatus.OPEN.value, GapStatus.BACKFILLING.value)
OPEN_JOBS = (JobStatus.RUNNING.value, JobStatus.PENDING.value)
ENDED_JOBS = (JobStatus.COMPLETED.value, JobStatus.FAILED.value)
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that collects the answer would never pass on anything
}
COMMENT = b": alive\n\n"


class Client:
    """One follower: the events that wait for it."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport
        self._events: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE_MAX)  # None: a snapshot is due
        self._events.put_nowait(None)
        self._due = True
        self.ended = False

    def offer(self, event: bytes) -> None:
        """Have it sent; where too many wait already, a snapshot takes the place of all of them."""
        if self._due:
            return  # the snapshot will tell it
        if self._events.full():
            self._start_over()
        else:
            self._events.put_nowait(event)

    def end(self) -> None:
        """Let it go: a handler that waits for an event returns, one that waits for the client is cut off."""
        self.ended = True
        if self._events.empty():
            self._events.put_nowait(None)
        elif self._transport is not None:
            self._transport.abort()

    @property
    def gone(self) -> bool:
        """Whether its connection is closed; a handler would only learn of it when it writes."""
        return self._transport is None or self._transport.is_closing()

    async def next(self, snapshot: Callable[[], bytes]) -> bytes:
        """The event to send now; a comment when there has been none for long."""
        try:
            async with asyncio.timeout(COMMENT_S):
                event = await self._events.get()
        except TimeoutError:
            return COMMENT
        if event is not None:
            return event
        self._due = False
        return snapshot()

    def _start_over(self) -> None:
        while not self._events.empty():
            self._events.get_nowait()
        self._due = True
        self._events.put_nowait(None)


class Live:
    """The state that clients follow, and the clients."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clients: set[Client] = set()
        self._wanted = asyncio.Event()  # somebody follows
        self._known = asyncio.Event()  # the state is of now
        self._closed = False
        self._parts: dict[str, Part] = {}
        self._rates = Rates()
        self._tree: Tree | None = None
        self._findings: Findings | None = None
        self._catalog_answers = True

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Tell what happens as it happens: first a snapshot, then each part as it changes.

        Events have a name and one line of JSON: `snapshot` holds every part, any other name is that of a part, with
        what is new or different now (`changed`) and the keys of what is gone (`removed`). Lines that begin with a
        colon are signs of life. Who takes events more slowly than they come is sent a new snapshot.
        """
        if self._closed:
            raise unavailable("Events are not told now; GET /system/tree tells of one moment.")
        if len(self._clients) >= MAX_CLIENTS:
            raise unavailable(f"{MAX_CLIENTS} clients follow the events already; GET /system/tree tells of one moment.")
        response = web.StreamResponse(headers=HEADERS)
        with self._following(request) as client, suppress(ConnectionError, TimeoutError):
            await self._known.wait()
            await response.prepare(request)
            while not client.ended:
                event = await client.next(self._snapshot)
                if not client.ended:
                    async with asyncio.timeout(WRITE_S):
                        await response.write(event)
        return response

    async def read(self) -> None:
        """Look again and again, while anybody follows, and tell what has changed."""
        looks = 0
        while True:
            if not self._clients:
                self._wanted.clear()
                self._known.clear()
                await self._wanted.wait()
                self._rates, self._tree, looks = Rates(), None, 0
            if looks % CATALOG_EVERY == 0:
                await self._look_at_catalog()
            self._update()
            self._known.set()
            for client in self._clients:
                if client.gone:
                    client.end()
            looks += 1
            await asyncio.sleep(READ_S)

    def close(self) -> None:
        """Let all clients go and take no more."""
        self._closed = True
        self._known.set()
        for client in self._clients:
            client.end()

    @contextmanager
    def _following(self, request: web.Request) -> Iterator[Client]:
        client = Client(request.transport)
        self._clients.add(client)
        self._wanted.set()
        try:
            yield client
        finally:
            self._clients.discard(client)

    async def _look_at_catalog(self) -> None:
        try:
            self._findings = await self._services.catalog.call(find)
            self._catalog_answers = True
        except StoreError:
            self._catalog_answers = False  # what was found before is shown on, with the word that it is old

    def _update(self) -> None:
        parts = dict(self._parts)
        tree, findings = self._services.system.tree(), self._findings
        fleet = self._services.system.fleet()
        parts["fleet"] = replicas_of(fleet)
        if tree is not None and tree is not self._tree:
            self._tree = tree
            parts |= {"tree": actors_of(tree, fleet), "incidents": incidents_of(tree), "rates": self._rates.add(tree)}
        if findings is not None:
            now = now_ms(self._services.clock)
            parts |= {"gaps": gaps_of(findings.gaps), "jobs": jobs_of(findings.jobs, now)}
        parts["service"] = {"service": self._service(tree, fleet, findings)}
        for name, part in parts.items():
            changes = difference(self._parts.get(name, {}), part)
            if changes is not None:
                self._tell(name, changes)
        self._parts = parts

    def _service(self, tree: Tree | None, fleet: FleetNews | None, findings: Findings | None) -> dict[str, object]:
        return {
            "version": __version__,
            "started_at": stamp_or_none(None if tree is None else tree.started_ms),
            "supervisor_answers": tree is not None and self._services.system.tree_age_s() < TREE_STALE_S,
            "catalog_answers": self._catalog_answers,
            "draining": tree is not None and tree.draining,
            "delivery": delivery(tree, fleet),
            "quarantined": quarantined(tree),
            "gaps_open": None if findings is None else findings.gaps_total,
            "jobs_open": None if findings is None else findings.jobs_total,
        }

    def _tell(self, name: str, changes: Difference) -> None:
        if self._clients:
            event = encoded(name, changes._asdict())
            for client in self._clients:
                client.offer(event)

    def _snapshot(self) -> bytes:
        return encoded("snapshot", {name: list(part.values()) for name, part in self._parts.items()})


OPERATIONS = (
    Operation(
        "GET",
        "/system/events",
        Live.serve,
        "system",
        {200: Answer(None, "Server-sent events, without an end.", others=(HEADERS["Content-Type"],))},
        refuses=(503,),
    ),
)


def find(catalog: Catalog) -> Findings:
    """What is open in the catalog, and the jobs that ended last."""
    gaps, gaps_total = catalog.gaps(statuses=OPEN_GAPS, limit=GAPS_MAX, descending=True)
    running, jobs_total = catalog.jobs(statuses=OPEN_JOBS, limit=JOBS_MAX, descending=True)
    ended, _ = catalog.jobs(statuses=ENDED_JOBS, limit=ENDED_JOBS_MAX, descending=True)
    return Findings(gaps, gaps_total, [*running, *ended], jobs_total)


def encoded(name: str, data: object) -> bytes:
    """One event; its data is one line of JSON."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


def add_to(app: web.Application, services: Services) -> None:
    """The route, with the task that reads for it. Clients are let go first of all when the application stops."""
    live = Live(services)
    reading: list[asyncio.Task[None]] = []

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            trace = "".join(traceback.format_exception(error))[-TRACE_CHARS:]
            log("events_failed", logging.ERROR, trace=trace)
            live.close()  # rather than tell of what is no longer so

    async def start(_: web.Application) -> None:
        task = asyncio.create_task(live.read())
        task.add_done_callback(ended)
        reading.append(task)

    async def close(_: web.Application) -> None:
        live.close()  # aiohttp would wait for them
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)

    app.add_routes(routes_of(OPERATIONS, live))
    app.on_startup.append(start)
    app.on_shutdown.append(close)

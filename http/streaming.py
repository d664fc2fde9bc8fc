"""Lists of stored rows as streams: NDJSON or CSV, by the request's Accept, a block of rows at a time.

A block is one call to the store, so that a client which reads slowly, or goes away, holds nothing there. What goes
wrong once the answer has begun can only be told by its end: the connection is cut off before the last chunk.
"""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import lru_cache, partial
from typing import Generic, NamedTuple, TypeVar

import msgspec
import orjson
from aiohttp import web

from data_manager.http.answers import Json
from data_manager.http.clients import Clients
from data_manager.http.errors import RETRY_AFTER_S, Refusal, store_errors, unavailable
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import Record, Symbol
from data_manager.storage.walking import following
from data_manager.system.errors import StoreError
from data_manager.system.logs import log

R = TypeVar("R", bound=Record)

BLOCK = 1000  # rows
ROWS_MAX = 1_000_000  # of one stream
STREAMS_A_CLIENT = 2
STREAMS_MAX = 8  # of all clients
WRITE_S = 30.0  # a client that takes nothing for so long is gone


class Form(NamedTuple):
    """A way to write rows one after the other."""

    content_type: str
    heading: Callable[[Sequence[str]], bytes]  # of the columns
    block: Callable[[Sequence[Json]], bytes]


class Source(NamedTuple, Generic[R]):
    """What is streamed: the rows that `query` finds, at most `rows` of them, each as `value` shows it."""

    symbol: Symbol
    record: type[R]
    query: Query
    rows: int
    columns: Sequence[str]
    value: Callable[[R], Json]


def ndjson(values: Sequence[Json]) -> bytes:
    """A JSON object a line."""
    return b"".join(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values)


def csv_lines(rows: Sequence[Sequence[object]]) -> bytes:
    """Lines of CSV as RFC 4180 quotes them; what is not known is empty, truths are those of JSON."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def cell(value: object) -> object:
    """One value as CSV has it."""
    return str(value).lower() if isinstance(value, bool) else value


NDJSON = Form("application/x-ndjson", lambda columns: b"", ndjson)
CSV = Form(
    "text/csv; charset=utf-8",
    lambda columns: csv_lines([columns]),
    lambda values: csv_lines([tuple(value.values()) for value in values]),
)
FORMS: dict[str, Form | None] = {
    "application/x-ndjson": NDJSON,
    "text/csv": CSV,
    "application/json": None,
    "application/*": None,
    "*/*": None,
}


@lru_cache(maxsize=256)  # few clients ask in other words than all others
def form_of(accept: str) -> Form | None:
    """The form that an Accept header prefers; None is the JSON page, which is also for all that is not known."""
    best, chosen = 0.0, None
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = quality(parameters)
        if name in FORMS and weight > best:
            best, chosen = weight, FORMS[name]
    return chosen


def quality(parameters: Sequence[str]) -> float:
    """The weight `q` of a media range: 1 unless it is given, 0 for what is none."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


class Streams:
    """Sends streams, a bounded number at a time."""

    def __init__(self, survey: StoreThread[MarketStore], clients: Clients) -> None:
        self._survey = survey
        self._clients = clients
        self._open: Counter[str] = Counter()

    async def send(self, request: web.Request, form: Form, source: Source[R]) -> web.StreamResponse:
        """Answer with all of it; raises a 429 or 503 Refusal as long as nothing has been sent."""
        with self._place(self._clients.name(request)):
            async with aclosing(self._blocks(source)) as blocks:
                with store_errors("market store"):
                    first: list[Json] = await anext(blocks, [])
                response = web.StreamResponse(headers={"Content-Type": form.content_type, "Vary": "Accept"})
                await response.prepare(request)
                if request.method == "HEAD":
                    return response
                try:
                    await write(response, form.heading(source.columns) + form.block(first))
                    async for block in blocks:
                        await write(response, form.block(block))
                except (StoreError, TimeoutError) as error:
                    log("stream_cut_off", logging.WARNING, path=request.path, cause=str(error) or "nothing is taken")
                    cut_off(request)
                except ConnectionError:  # the client has gone away
                    cut_off(request)
        return response

    async def _blocks(self, source: Source[R]) -> AsyncGenerator[list[Json], None]:
        query, left = source.query, source.rows
        while left > 0:
            query = msgspec.structs.replace(query, limit=min(BLOCK, left))
            found = await self._survey.call(partial(read, source, query))
            if found:
                yield [source.value(row) for row in found]
            if len(found) < query.limit:
                return
            left -= len(found)
            query = following(query, found)

    @contextmanager
    def _place(self, client: str) -> Iterator[None]:
        if self._open[client] >= STREAMS_A_CLIENT:
            sentence = f"{STREAMS_A_CLIENT} streams are on their way to you already; read one to its end first."
            raise Refusal(429, sentence, headers={"Retry-After": str(RETRY_AFTER_S)})
        if self._open.total() >= STREAMS_MAX:
            raise unavailable(f"{STREAMS_MAX} streams are on their way already; try again when one has ended.")
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]


def read(source: Source[R], query: Query, store: MarketStore) -> list[R]:
    """One block."""
    return store.rows(source.symbol, source.record, query)


async def write(response: web.StreamResponse, content: bytes) -> None:
    """Send it; raises TimeoutError where the client does not take it, ConnectionError where it is gone."""
    if content:
        async with asyncio.timeout(WRITE_S):
            await response.write(content)


def cut_off(request: web.Request) -> None:
    """End the connection as it is, so that nobody takes what was sent for all there is."""
    if request.transport is not None:
        request.transport.abort()

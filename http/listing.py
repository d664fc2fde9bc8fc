"""Answering with a list of stored rows of one symbol, whatever their type: a page with its totals, or a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec
import orjson
from aiohttp import web

from data_manager.http.answers import Json, answer, from_us, in_dialect, stamp, stamp_datetime
from data_manager.http.clients import Clients
from data_manager.http.entity_tags import KEPT, is_known, weak_tag
from data_manager.http.errors import store_errors
from data_manager.http.paging import Page, Span, links, page_of, pagination, query_for, span
from data_manager.http.params import LIMIT_MAX, RangeParams, parse
from data_manager.http.ports import Services
from data_manager.http.streaming import ROWS_MAX, Source, Streams, form_of
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import Record, Symbol
from data_manager.storage.walking import time_of

R = TypeVar("R", bound=Record)
Equal = tuple[tuple[str, str | int | bool], ...]

P = TypeVar("P", bound=RangeParams)

MARKET_STORE = "market store"
TO_THE_END = 2**62  # a count without a cap

stored_ms: Callable[[Record], int] = attrgetter("stored_ms")


@dataclass(frozen=True)
class Listing(Generic[R]):
    """What one list is made of: `named` are the parameters that name it, `filters` those that thin it out."""

    record: type[R]
    collection: str
    value: Callable[[R], Json]
    columns: tuple[str, ...]  # the keys of each value
    named: dict[str, str]
    equal: Equal = ()
    filters: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)  # added to the metadata


class Lists:
    """Answers lists; reads at most 1,001 rows at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._market = services.market
        self._streams = Streams(services.survey, Clients(services.settings.api_trusted_proxies))

    def parse(self, model: type[P], request: web.Request) -> P:
        """What is asked for; raises a 422 Refusal. Only a stream may be longer than a page."""
        streamed = form_of(request.headers.get("Accept", "")) is not None
        return parse(model, request, limit_max=ROWS_MAX if streamed else LIMIT_MAX)

    def span(self, asked: RangeParams, back: timedelta) -> Span:
        """The range that is asked for, by default the last `back`; raises a 422 Refusal when it is empty."""
        return span(asked, from_us(self._services.clock.now_us()), back)

    async def answer(
        self, request: web.Request, asked: RangeParams, within: Span, listing: Listing[R]
    ) -> web.StreamResponse:
        """The rows in the form that the client prefers."""
        form = form_of(request.headers.get("Accept", ""))
        if form is None:
            return await self._page(request, asked, within, listing)
        with store_errors(MARKET_STORE):
            source = await self._services.survey.call(partial(source_of, asked, within, listing))
        return await self._streams.send(request, form, source)

    async def _page(self, request: web.Request, asked: RangeParams, within: Span, listing: Listing[R]) -> web.Response:
        """In both dialects, with its links; 304 to a client that has these very rows."""
        with store_errors(MARKET_STORE):
            page = await self._market.call(partial(read_page, asked, within, listing))
        rows, place = orjson.dumps([listing.value(row) for row in page.rows]), pagination(asked, page)
        headers = {"ETag": weak_tag(rows, orjson.dumps(place)), **KEPT}
        if is_known(request, headers["ETag"]):
            return web.Response(status=304, headers=headers)
        times = {"start": stamp_datetime(within.start), "end": stamp_datetime(within.end)}
        body = {
            **listing.named,
            **in_dialect(rows, asked.dialect or self._services.settings.api_dialect),
            "pagination": place,
            "sort": {"by": asked.sort_by, "order": asked.sort_order or "asc"},
            "filters_applied": {**listing.named, **listing.filters, **times},
            "metadata": await self._metadata(asked.pair, listing, page.rows),
            "parameters": {**listing.named, **times, "limit": asked.limit},
        }
        kept = {**listing.named, **listing.filters}
        if asked.dialect is not None:
            kept["dialect"] = asked.dialect
        return answer(request, body, headers=headers | link_header(request.path, kept, links(asked, within, page)))

    async def why_empty(self, pair: str) -> str:
        """The sentence that goes with an empty answer."""
        with store_errors(MARKET_STORE):
            stored = Symbol(pair) in await self._market.call(lambda store: store.symbols())
        if stored:
            return f"Nothing is stored for {pair} that matches."
        if pair in self._services.symbols.names:
            return f"Nothing is stored for {pair} yet."
        return f"{pair} is not collected here."

    async def _metadata(self, pair: str, listing: Listing[R], rows: Sequence[R]) -> dict[str, object]:
        metadata: dict[str, object] = {
            "data_completeness": None,  # for the audit to tell: it knows what the exchange itself never had
            "last_updated": stamp(max(map(stored_ms, rows))) if rows else None,
            "source": self._services.market_source,
            "collection": listing.collection,
            "records_returned": len(rows),
            **listing.shown,
        }
        if not rows:
            metadata["message"] = await self.why_empty(pair)
        return metadata


def read_page(asked: RangeParams, within: Span, listing: Listing[R], market: MarketStore) -> Page[R]:
    """The page, with all that its totals and links need, in one go."""
    pair, record, query = Symbol(asked.pair), listing.record, query_for(asked, within, listing.equal)

    def older() -> int | None:
        before = Query(end_ms=within.start_ms, equal=listing.equal, limit=1, descending=True)
        return next(map(time_of, market.rows(pair, record, before)), None)

    def passed(edge_ms: int) -> int:
        bound = {"start_ms": edge_ms + 1} if query.descending else {"end_ms": edge_ms}
        return market.count(pair, record, msgspec.structs.replace(query, **bound), TO_THE_END)

    found = market.rows(pair, record, query)
    return page_of(asked, found, lambda cap: market.count(pair, record, query, cap), older, passed)


def source_of(asked: RangeParams, within: Span, listing: Listing[R], market: MarketStore) -> Source[R]:
    """What a stream holds: the same rows in the same order as a page of that size."""
    pair, rows = Symbol(asked.pair), asked.limit
    query = msgspec.structs.replace(query_for(asked, within, listing.equal), descending=asked.sort_order == "desc")
    if (
        asked.newest
    ):  # oldest first as in a page: so all of them are counted, to begin with the first that belongs to it
        before = max(0, market.count(pair, listing.record, query, TO_THE_END) - asked.skip)
        rows = min(rows, before)
        query = msgspec.structs.replace(query, offset=before - rows)
    return Source(pair, listing.record, query, rows, listing.columns, listing.value)


def link_header(path: str, kept: dict[str, str], relations: dict[str, dict[str, str]]) -> dict[str, str]:
    """The `Link` header (RFC 8288), relative to the host; empty when there is no neighbour."""
    parts = []
    for name, fields in relations.items():
        query = "&".join(f"{key}={value}" for key, value in (kept | fields).items())
        parts.append(f'<{path}?{quote(query, safe="=&:")}>; rel="{name}"')  # values hold no `=` and no `&`
    return {"Link": ", ".join(parts)} if parts else {}

"""`/data/*`: candles, trades, the book and funding rates, as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Generic, TypeVar
from urllib.parse import quote

from aiohttp import web

from data_manager.http.answers import answer, bar_stamp, both_dialects, from_us, stamp, stamp_datetime
from data_manager.http.errors import store_errors
from data_manager.http.paging import Page, Span, links, page_of, pagination, query_for, span, time_of
from data_manager.http.params import CandleParams, FundingParams, PairParams, RangeParams, TradeParams, parse
from data_manager.http.ports import Services
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import Candle, Depth, Funding, Levels, Record, Symbol, Trade

R = TypeVar("R", bound=Record)
Value = dict[str, object]
Equal = tuple[tuple[str, str | int | bool], ...]

CANDLES_BACK = timedelta(hours=24)
TRADES_BACK = timedelta(hours=1)
FUNDING_BACK = timedelta(days=7)

MARKET_STORE = "market store"

stored_ms: Callable[[Record], int] = attrgetter("stored_ms")


@dataclass(frozen=True)
class Listing(Generic[R]):
    """What one list is made of: `named` are the parameters that name it, `filters` those that thin it out."""

    record: type[R]
    collection: str
    value: Callable[[R], Value]
    named: dict[str, str]
    equal: Equal = ()
    filters: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)  # added to the metadata


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    data = DataRoutes(services)
    return [
        web.get("/data/candles", data.candles),
        web.get("/data/trades", data.trades),
        web.get("/data/depth", data.depth),
        web.get("/data/funding", data.funding),
    ]


class DataRoutes:
    """Handlers; each reads at most 1,001 rows at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._market = services.market

    async def candles(self, request: web.Request) -> web.Response:
        """Closed bars under their open times."""
        asked = parse(CandleParams, request)
        listing = Listing(
            Candle,
            f"candles_{asked.pair}_{asked.period}",
            candle_value,
            named={"pair": asked.pair, "period": asked.period},
            equal=(("timeframe", asked.period),),
        )
        return await self._answer(request, asked, self._span(asked, CANDLES_BACK), listing)

    async def trades(self, request: web.Request) -> web.Response:
        """Trades of one kind."""
        asked = parse(TradeParams, request)
        within = self._span(asked, TRADES_BACK)
        kind = asked.kind or await self._kind(Symbol(asked.pair), within)
        listing = Listing(
            Trade,
            f"trades_{asked.pair}",
            trade_value,
            named={"pair": asked.pair},
            equal=(("kind", kind),),
            filters={"kind": kind},
            shown={"kind": kind},
        )
        return await self._answer(request, asked, within, listing)

    async def funding(self, request: web.Request) -> web.Response:
        """Funding rates: settled ones unless asked otherwise."""
        asked = parse(FundingParams, request)
        listing = Listing(
            Funding,
            f"funding_rates_{asked.pair}",
            funding_value,
            named={"pair": asked.pair},
            equal=() if asked.settled == "any" else (("settled", asked.settled == "true"),),
            filters={"settled": asked.settled},
        )
        return await self._answer(request, asked, self._span(asked, FUNDING_BACK), listing)

    async def depth(self, request: web.Request) -> web.Response:
        """The newest book ever received."""
        asked = parse(PairParams, request)
        with store_errors(MARKET_STORE):
            book = await self._market.call(lambda store: store.latest_book(Symbol(asked.pair)))
        metadata: Value = {
            "timestamp": None if book is None else stamp(book.time_ms),
            "source": self._services.market_source,
        }
        if book is None:
            metadata["message"] = await self._why_empty(asked.pair)
        else:
            metadata["collection"] = f"depth_{asked.pair}"
        body = {
            "pair": asked.pair,
            "data": book_value(book),
            "metadata": metadata,
            "parameters": {"pair": asked.pair},
        }
        return answer(request, body)

    def _span(self, asked: RangeParams, back: timedelta) -> Span:
        return span(asked, from_us(self._services.clock.now_us()), back)

    async def _kind(self, pair: Symbol, within: Span) -> str:
        raw = Query(within.start_ms, within.end_ms, (("kind", "trade"),), limit=1)
        with store_errors(MARKET_STORE):
            return "trade" if await self._market.call(lambda store: store.rows(pair, Trade, raw)) else "aggTrade"

    async def _read(self, asked: RangeParams, within: Span, listing: Listing[R]) -> Page[R]:
        with store_errors(MARKET_STORE):
            return await self._market.call(partial(read_page, asked, within, listing))

    async def _answer(
        self, request: web.Request, asked: RangeParams, within: Span, listing: Listing[R]
    ) -> web.Response:
        page = await self._read(asked, within, listing)
        times = {"start": stamp_datetime(within.start), "end": stamp_datetime(within.end)}
        values = [listing.value(row) for row in page.rows]
        body = {
            **listing.named,
            **both_dialects(values, asked.dialect or self._services.settings.api_dialect),
            "pagination": pagination(asked, page),
            "sort": {"by": asked.sort_by, "order": asked.sort_order or "asc"},
            "filters_applied": {**listing.named, **listing.filters, **times},
            "metadata": await self._metadata(asked.pair, listing, page.rows),
            "parameters": {**listing.named, **times, "limit": asked.limit},
        }
        kept = {**listing.named, **listing.filters}
        if asked.dialect is not None:
            kept["dialect"] = asked.dialect
        return answer(request, body, headers=link_header(request.path, kept, links(asked, within, page)))

    async def _metadata(self, pair: str, listing: Listing[R], rows: Sequence[R]) -> Value:
        metadata: Value = {
            "data_completeness": None,  # for the audit to tell: it knows what the exchange itself never had
            "last_updated": stamp(max(map(stored_ms, rows))) if rows else None,
            "source": self._services.market_source,
            "collection": listing.collection,
            "records_returned": len(rows),
            **listing.shown,
        }
        if not rows:
            metadata["message"] = await self._why_empty(pair)
        return metadata

    async def _why_empty(self, pair: str) -> str:
        with store_errors(MARKET_STORE):
            stored = Symbol(pair) in await self._market.call(lambda store: store.symbols())
        if stored:
            return f"Nothing is stored for {pair} that matches."
        if pair in self._services.settings.supported_pairs:
            return f"Nothing is stored for {pair} yet."
        return f"{pair} is not collected here."


def read_page(asked: RangeParams, within: Span, listing: Listing[R], market: MarketStore) -> Page[R]:
    """The page, with all that its totals and links need, in one go."""
    pair, record, query = Symbol(asked.pair), listing.record, query_for(asked, within, listing.equal)

    def older() -> int | None:
        before = Query(end_ms=within.start_ms, equal=listing.equal, limit=1, descending=True)
        return next(map(time_of, market.rows(pair, record, before)), None)

    found = market.rows(pair, record, query)
    return page_of(asked, found, lambda cap: market.count(pair, record, query, cap), older)


def link_header(path: str, kept: dict[str, str], relations: dict[str, dict[str, str]]) -> dict[str, str]:
    """The `Link` header (RFC 8288), relative to the host; empty when there is no neighbour."""
    parts = []
    for name, fields in relations.items():
        query = "&".join(f"{key}={value}" for key, value in (kept | fields).items())
        parts.append(f'<{path}?{quote(query, safe="=&:")}>; rel="{name}"')  # values hold no `=` and no `&`
    return {"Link": ", ".join(parts)} if parts else {}


def candle_value(row: Candle) -> Value:
    """One bar; `complete` is false where trades it should cover are missing."""
    return {
        "timestamp": bar_stamp(row.open_time),
        "open": row.open,
        "high": row.high,
        "low": row.low,
        "close": row.close,
        "volume": row.volume,
        "quote_volume": row.quote_volume,
        "trades_count": row.trades_count,
        "complete": row.complete,
        "source": row.source,
    }


def trade_value(row: Trade) -> Value:
    """One trade, or one aggregate."""
    return {
        "timestamp": stamp(row.time_ms),
        "trade_id": row.trade_id,
        "price": row.price,
        "quantity": row.quantity,
        "side": row.side,
    }


def funding_value(row: Funding) -> Value:
    """One funding rate."""
    return {
        "timestamp": stamp(row.funding_time),
        "funding_rate": row.funding_rate,
        "mark_price": row.mark_price,
        "settled": row.settled,
    }


def book_value(book: Depth | None) -> Value:
    """The book's levels, best first; empty lists and id 0 when there is none."""
    if book is None:
        return {"bids": [], "asks": [], "last_update_id": 0}
    return {"bids": levels(book.bids), "asks": levels(book.asks), "last_update_id": book.last_update_id}


def levels(side: Levels) -> list[dict[str, str]]:
    """One side of a book."""
    return [{"price": price, "quantity": quantity} for price, quantity in side]

"""`/data/*`: what is stored of a symbol, type by type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, NamedTuple, NotRequired, TypeVar

from aiohttp import web
from typing_extensions import TypedDict

from data_manager.http.answer_types import Ranged, RangeEcho, RangeMetadata, RangePage, T, Time
from data_manager.http.answers import Json, answer, stamp
from data_manager.http.errors import store_errors
from data_manager.http.listing import MARKET_STORE, Listing, Lists
from data_manager.http.operations import Answer, Handler, Header, Operation, routes_of
from data_manager.http.paging import Span
from data_manager.http.params import (
    CandleParams,
    FundingParams,
    PairParams,
    Params,
    RangeParams,
    TickerParams,
    TradeParams,
    parse,
)
from data_manager.http.ports import Services
from data_manager.http.stored_values import (
    BookTickerValue,
    BookValue,
    CandleValue,
    FundingValue,
    LiquidationValue,
    MarkPriceValue,
    TickerValue,
    TradeValue,
    book_ticker_value,
    book_value,
    candle_value,
    columns_of,
    funding_value,
    liquidation_value,
    mark_price_value,
    ticker_value,
    trade_value,
)
from data_manager.http.streaming import CSV, NDJSON
from data_manager.storage.protocols import Query
from data_manager.storage.records import (
    BookTicker,
    Candle,
    Funding,
    Liquidation,
    MarkPrice,
    Record,
    Symbol,
    Ticker,
    Trade,
)

R = TypeVar("R", bound=Record)

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(hours=24), timedelta(days=7)


class Plain(NamedTuple, Generic[R]):
    """A type of which nothing but a range can be asked; by default the last `back`."""

    record: type[R]
    value: Callable[[R], Json]
    columns: tuple[str, ...]
    back: timedelta


MARK_PRICES = Plain(MarkPrice, mark_price_value, columns_of(MarkPriceValue), HOUR)
BOOK_TICKERS = Plain(BookTicker, book_ticker_value, columns_of(BookTickerValue), HOUR)
LIQUIDATIONS = Plain(Liquidation, liquidation_value, columns_of(LiquidationValue), DAY)  # which are rare


class CandleEcho(RangeEcho):
    """The range with its timeframe."""

    period: str


class CandlePage(Ranged[T], Generic[T]):
    """A page of bars."""

    period: str
    metadata: RangeMetadata
    parameters: CandleEcho


class TradeMetadata(RangeMetadata):
    """With the kind that the trades are of."""

    kind: str


class TradePage(Ranged[T], Generic[T]):
    """A page of trades."""

    metadata: TradeMetadata
    parameters: RangeEcho


class BookMetadata(TypedDict):
    """When the book was received; `message` says why there is none."""

    timestamp: Time | None
    source: str
    collection: NotRequired[str]
    message: NotRequired[str]


class BookEcho(TypedDict):
    """What was asked for."""

    pair: str


class BookAnswer(BookEcho):
    """The newest book."""

    data: BookValue
    metadata: BookMetadata
    parameters: BookEcho


class DataRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._market = services.market
        self._source = services.market_source
        self._lists = Lists(services)

    async def candles(self, request: web.Request) -> web.StreamResponse:
        """Closed bars under their open times."""
        asked = self._lists.parse(CandleParams, request)
        listing = Listing(
            Candle,
            f"candles_{asked.pair}_{asked.period}",
            candle_value,
            columns_of(CandleValue),
            named={"pair": asked.pair, "period": asked.period},
            equal=(("timeframe", asked.period),),
        )
        return await self._lists.answer(request, asked, self._lists.span(asked, DAY), listing)

    async def trades(self, request: web.Request) -> web.StreamResponse:
        """Trades of one kind."""
        asked = self._lists.parse(TradeParams, request)
        within = self._lists.span(asked, HOUR)
        kind = asked.kind or await self._kind(Symbol(asked.pair), within)
        listing = Listing(
            Trade,
            f"trades_{asked.pair}",
            trade_value,
            columns_of(TradeValue),
            named={"pair": asked.pair},
            equal=(("kind", kind),),
            filters={"kind": kind},
            shown={"kind": kind},
        )
        return await self._lists.answer(request, asked, within, listing)

    async def funding(self, request: web.Request) -> web.StreamResponse:
        """Funding rates: settled ones unless asked otherwise."""
        asked = self._lists.parse(FundingParams, request)
        listing = Listing(
            Funding,
            f"funding_rates_{asked.pair}",
            funding_value,
            columns_of(FundingValue),
            named={"pair": asked.pair},
            equal=() if asked.settled == "any" else (("settled", asked.settled == "true"),),
            filters={"settled": asked.settled},
        )
        return await self._lists.answer(request, asked, self._lists.span(asked, WEEK), listing)

    async def tickers(self, request: web.Request) -> web.StreamResponse:
        """Rolling tickers, of both kinds unless asked otherwise."""
        asked = self._lists.parse(TickerParams, request)
        listing = Listing(
            Ticker,
            f"tickers_{asked.pair}",
            ticker_value,
            columns_of(TickerValue),
            named={"pair": asked.pair},
            equal=() if asked.kind == "any" else (("kind", asked.kind),),
            filters={"kind": asked.kind},
        )
        return await self._lists.answer(request, asked, self._lists.span(asked, HOUR), listing)

    async def mark_prices(self, request: web.Request) -> web.StreamResponse:
        """Mark prices, with the funding rates that will apply."""
        return await self._plain(MARK_PRICES, request)

    async def book_tickers(self, request: web.Request) -> web.StreamResponse:
        """Best bids and asks."""
        return await self._plain(BOOK_TICKERS, request)

    async def liquidations(self, request: web.Request) -> web.StreamResponse:
        """Forced orders."""
        return await self._plain(LIQUIDATIONS, request)

    async def depth(self, request: web.Request) -> web.Response:
        """The newest book ever received."""
        asked = parse(PairParams, request)
        with store_errors(MARKET_STORE):
            book = await self._market.call(lambda store: store.latest_book(Symbol(asked.pair)))
        metadata: dict[str, object] = {
            "timestamp": None if book is None else stamp(book.time_ms),
            "source": self._source,
        }
        if book is None:
            metadata["message"] = await self._lists.why_empty(asked.pair)
        else:
            metadata["collection"] = f"depth_{asked.pair}"
        body = {
            "pair": asked.pair,
            "data": book_value(book),
            "metadata": metadata,
            "parameters": {"pair": asked.pair},
        }
        return answer(request, body)

    async def _plain(self, kind: Plain[R], request: web.Request) -> web.StreamResponse:
        asked = self._lists.parse(RangeParams, request)
        collection = f"{kind.record.dataset}_{asked.pair}"
        listing = Listing(kind.record, collection, kind.value, kind.columns, named={"pair": asked.pair})
        return await self._lists.answer(request, asked, self._lists.span(asked, kind.back), listing)

    async def _kind(self, pair: Symbol, within: Span) -> str:
        raw = Query(within.start_ms, within.end_ms, (("kind", "trade"),), limit=1)
        with store_errors(MARKET_STORE):
            return "trade" if await self._market.call(lambda store: store.rows(pair, Trade, raw)) else "aggTrade"


def listed(path: str, handler: Handler, page: Any, query: type[Params]) -> Operation:
    """The operation of a list that can be had as a page or as a stream."""
    answer = Answer(
        page,
        "A page; or with `Accept: application/x-ndjson` or `text/csv` a stream of the rows alone, up to 1,000,000.",
        others=(NDJSON.content_type, CSV.content_type),
        headers=(Header.LINK, Header.ETAG, Header.VARY),
    )
    unchanged = Answer(None, "The client has these very rows (`If-None-Match`).", headers=(Header.ETAG,))
    return Operation("GET", path, handler, "data", {200: answer, 304: unchanged}, query=query, refuses=(503,))


OPERATIONS = (
    listed("/data/candles", DataRoutes.candles, CandlePage[CandleValue], CandleParams),
    listed("/data/trades", DataRoutes.trades, TradePage[TradeValue], TradeParams),
    Operation(
        "GET", "/data/depth", DataRoutes.depth, "data", {200: Answer(BookAnswer)}, query=PairParams, refuses=(503,)
    ),
    listed("/data/funding", DataRoutes.funding, RangePage[FundingValue], FundingParams),
    listed("/data/tickers", DataRoutes.tickers, RangePage[TickerValue], TickerParams),
    listed("/data/mark-prices", DataRoutes.mark_prices, RangePage[MarkPriceValue], RangeParams),
    listed("/data/book", DataRoutes.book_tickers, RangePage[BookTickerValue], RangeParams),
    listed("/data/liquidations", DataRoutes.liquidations, RangePage[LiquidationValue], RangeParams),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, DataRoutes(services))

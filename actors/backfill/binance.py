"""The exchange's REST side: Binance USD-M futures, public market data only, and nothing else.

No key is sent and no other market or host is ever asked: another market's rows are not what is missing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import answers
from data_manager.actors.backfill.answers import ExchangeInfo
from data_manager.actors.backfill.budget import BANNED, TOO_MANY, Budget, Sleep
from data_manager.actors.backfill.conf import ExchangeConf
from data_manager.actors.backfill.weights import Route
from data_manager.storage.records import Candle, Depth, Funding, Symbol, Trade
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import (
    DataError,
    ExchangeError,
    ExchangeUnavailable,
    RequestRefused,
    UnexpectedAnswer,
    UnknownSymbol,
)

T = TypeVar("T")

TIMEOUT_S = 30.0  # of one request, with its body
TRIES = 4
PAUSE_S = 0.5  # before the second try; doubled for the next
PAUSE_CAP_S = 8.0
MAX_CONNECTIONS = 5
MAX_BODY_BYTES = 16 * 2**20  # the largest, exchangeInfo, has about 2 MiB
CLOCK_MAX_AGE_S = 600.0  # the two clocks drift apart by some ms in this time
SHOWN_BYTES = 120  # of a body that nobody expected

USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
FIREWALL = 403  # the exchange's firewall; who goes on is banned for longer
TIMED_OUT = 408
UNKNOWN_SYMBOL_CODE = -1121
TOO_MANY_CODE = -1003


class Binance:
    """A client for `async with`; every request is taken from the budget first, and many may wait at a time.

    Each call raises ExchangeClosed while the exchange forbids requests, ExchangeUnavailable when TRIES tries
    brought no whole answer, UnknownSymbol, RequestRefused, or UnexpectedAnswer.
    """

    def __init__(
        self,
        base_url: str,
        conf: ExchangeConf,
        budget: Budget,
        clock: Clock,
        rng: random.Random,
        *,
        timeout_s: float = TIMEOUT_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.base_url = base_url  # a simulated exchange that is restarted has another
        self._routes = conf.routes
        self._budget = budget
        self._clock = clock
        self._rng = rng
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._exponential = wait_exponential(multiplier=PAUSE_S, max=PAUSE_CAP_S)
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(ExchangeUnavailable),
            stop=stop_after_attempt(TRIES),
            wait=self._pause,
            sleep=sleep,
            reraise=True,
        )
        self._measuring = asyncio.Lock()
        self._measured: tuple[int, float] | None = None  # the exchange's time, and ours (monotonic) when it came
        self.clock_skew_ms: int | None = None  # how far the exchange's clock is ahead of ours; None: not yet measured

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=self._timeout,
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def server_ms(self) -> int:
        """A time that the exchange's clock has certainly reached, in ms; late by half a round trip and some drift."""
        async with self._measuring:
            if self._measured is None or self._clock.monotonic() - self._measured[1] > CLOCK_MAX_AGE_S:
                self._measured = await self._measure()
            server_ms, came = self._measured
        return server_ms + int((self._clock.monotonic() - came) * 1000)

    async def klines(self, symbol: Symbol, timeframe: str, within: Range, limit: int) -> list[Candle]:
        """The closed bars that open in `within`, oldest first, at most `limit`."""
        as_of = await self.server_ms()  # before the request: what closed while it was answered may have been open in it
        params = _params(symbol, within, limit) | {"interval": timeframe}
        return await self._get(
            self._routes.klines,
            limit,
            params,
            lambda body: answers.klines(body, timeframe, within, as_of, now_ms(self._clock)),
        )

    async def agg_trades(self, symbol: Symbol, from_id: int, limit: int) -> list[Trade]:
        """The aggregate trades with that id and the next ones, at most `limit`."""
        params = {"symbol": symbol, "fromId": str(from_id), "limit": str(limit)}
        return await self._agg_trades(params, limit)

    async def agg_trades_between(self, symbol: Symbol, within: Range, limit: int) -> list[Trade]:
        """The first aggregate trades of `within`, at most an hour long, and at most `limit` of them."""
        return await self._agg_trades(_params(symbol, within, limit), limit)

    async def funding_rates(self, symbol: Symbol, within: Range, limit: int) -> list[Funding]:
        """The first settled funding rates of `within`, at most `limit`."""
        return await self._get(
            self._routes.funding_rates,
            limit,
            _params(symbol, within, limit),
            lambda body: answers.funding_rates(body, symbol, within, now_ms(self._clock)),
        )

    async def depth(self, symbol: Symbol, limit: int) -> Depth:
        """The best `limit` levels of each side of the book."""
        params = {"symbol": symbol, "limit": str(limit)}
        return await self._get(self._routes.depth, limit, params, lambda body: answers.depth(body, now_ms(self._clock)))

    async def exchange_info(self) -> ExchangeInfo:
        """What the exchange trades."""
        return await self._get(self._routes.exchange_info, 0, {}, answers.exchange_info)

    async def _measure(self) -> tuple[int, float]:
        route = self._routes.time

        async def once() -> tuple[int, float]:
            await self._budget.take(route)
            sent = self._clock.monotonic()
            body = await self._send(route, {})
            came = self._clock.monotonic()
            server_ms = _decoded(route, body, answers.server_time)
            self.clock_skew_ms = server_ms + round((came - sent) * 500) - now_ms(self._clock)
            return server_ms, came

        return await self._retrying(once)

    async def _agg_trades(self, params: Mapping[str, str], limit: int) -> list[Trade]:
        return await self._get(
            self._routes.agg_trades, limit, params, lambda body: answers.agg_trades(body, now_ms(self._clock))
        )

    async def _get(self, route: Route, rows: int, params: Mapping[str, str], decode: Callable[[bytes], T]) -> T:
        async def once() -> T:
            await self._budget.take(route, rows)
            return _decoded(route, await self._send(route, params), decode)

        return await self._retrying(once)

    async def _send(self, route: Route, params: Mapping[str, str]) -> bytes:
        try:
            # A redirect would lead to another host.
            async with self._session.get(self.base_url + route.path, params=params, allow_redirects=False) as response:
                self._learn(response.headers)
                body = await _bounded(response, route)
        except (aiohttp.ClientError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise ExchangeUnavailable(
                f"No whole answer came from {self.base_url}{route.path}: {what}; it is asked again."
            ) from error
        if response.status != 200:
            raise self._failure(route, response, body)
        return body

    def _learn(self, headers: Mapping[str, str]) -> None:
        used = headers.get(USED_WEIGHT, "")
        if used.isdecimal():
            self._budget.told(int(used))

    def _failure(self, route: Route, response: aiohttp.ClientResponse, body: bytes) -> ExchangeError:
        status = response.status
        try:
            told = answers.failure(body)
        except (msgspec.DecodeError, UnicodeDecodeError):  # a gateway's page
            told = None
        if status in (TOO_MANY, BANNED, FIREWALL) or (told and told.code == TOO_MANY_CODE):
            after = response.headers.get("Retry-After", "")
            return self._budget.close(status, int(after) if after.isdecimal() else None)
        if status >= 500 or status == TIMED_OUT:
            return ExchangeUnavailable(f"{route.path} was answered {status}: {_shown(body)}; it is asked again.")
        if told is None:
            return UnexpectedAnswer(
                f"{route.path} was answered {status}, which is not how the exchange answers: {_shown(body)}; "
                "check BINANCE_FAPI_BASE_URL and what lies between."
            )
        sentence = f"The exchange refused {response.url.relative()} with {status}, code {told.code}: {told.msg}"
        refused = UnknownSymbol if told.code == UNKNOWN_SYMBOL_CODE else RequestRefused
        return refused(told.code, sentence)

    def _pause(self, state: RetryCallState) -> float:
        return self._exponential(state) * self._rng.uniform(0.5, 1)


def _params(symbol: Symbol, within: Range, limit: int) -> dict[str, str]:
    """The exchange takes both ends in, so the end is one less."""
    return {
        "symbol": symbol,
        "startTime": str(within.start_ms),
        "endTime": str(within.end_ms - 1),
        "limit": str(limit),
    }


async def _bounded(response: aiohttp.ClientResponse, route: Route) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise UnexpectedAnswer(
                f"The answer to {route.path} is longer than {MAX_BODY_BYTES} bytes: {_shown(body)}; "
                "check BINANCE_FAPI_BASE_URL and what lies between."
            )
    return bytes(body)


def _decoded(route: Route, body: bytes, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError, DataError) as error:
        raise UnexpectedAnswer(
            f"The answer to {route.path} is not as it is known here: {error} It begins {_shown(body)}; "
            "look for a newer version of this service."
        ) from error
    except msgspec.DecodeError as error:
        raise ExchangeUnavailable(
            f"The answer to {route.path} is no whole JSON: {error}, {_shown(body)}; it is asked again."
        ) from error


def _shown(body: bytes | bytearray) -> str:
    """Its beginning, as text that is safe in a log."""
    return repr(bytes(body[:SHOWN_BYTES]))

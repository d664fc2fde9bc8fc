"""What the simulated exchange has, as the rows that a store should hold: asked of its market, beside HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import answers
from data_manager.actors.exchange.answers import Answers
from data_manager.actors.exchange.faults import Faults
from data_manager.actors.exchange.queries import Query
from data_manager.storage.records import TIMEFRAMES, Candle, Funding, Trade
from tests.actors.backfill.working import BTC, ETH, MARKET, NOW

_OURS = ("feed_seq", "market_seq", "stored_ms")
PAGE = 1000


async def bars(timeframe: str, start_ms: int, end_ms: int) -> list[Candle]:
    """Those that open in the range."""
    length, found = TIMEFRAMES[timeframe], list[Candle]()
    for start in range(start_ms, end_ms, PAGE * length):
        within = Range(start, min(start + PAGE * length, end_ms))
        given = await _exchange().klines(_asked(within, interval=timeframe), NOW)
        found += answers.klines(orjson.dumps(given), timeframe, within, NOW, 0)
    return found


async def trades(start_ms: int, end_ms: int) -> list[Trade]:
    """Its aggTrades of the range."""
    found: list[Trade] = []
    hour = 3_600_000
    for start in range(start_ms, end_ms, hour // 6):
        within = Range(start, min(start + hour // 6, end_ms))
        given = await _exchange().agg_trades(_asked(within), NOW)
        page = answers.agg_trades(orjson.dumps(given), 0)
        assert len(page) < PAGE
        found += page
    return found


async def funding(start_ms: int, end_ms: int) -> list[Funding]:
    """The settled rates of the range."""
    within = Range(start_ms, end_ms)
    given = await _exchange().funding_rates(_asked(within), NOW)
    return answers.funding_rates(orjson.dumps(given), BTC, within, 0)


def said(rows: list[Any]) -> list[Mapping[str, object]]:
    """What rows say, without where they came from."""
    return [{name: getattr(row, name) for name in row.__struct_fields__ if name not in _OURS} for row in rows]


def numbers(rows: list[Candle]) -> list[tuple[object, ...]]:
    """A bar's numbers, exactly as text, without who made it."""
    names = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trades_count")
    more = ("taker_buy_volume", "taker_buy_quote_volume")
    return [tuple(getattr(row, name) for name in (*names, *more)) for row in rows]


def _exchange() -> Answers:
    return Answers(MARKET, [BTC, ETH], Faults())


def _asked(within: Range, **more: str) -> Query:
    start, end = within
    given = {"symbol": BTC, "startTime": str(start), "endTime": str(end - 1), "limit": str(PAGE), **more}
    return Query(given, [BTC, ETH])

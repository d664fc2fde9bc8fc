"""What a small exchange has of one symbol, served as the real one would: by time or id, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web

from tests.actors.backfill.exchange_server import CONF, ExchangeServer
from tests.actors.backfill.rows import agg_trade, funding_rate, kline


class Market(NamedTuple):
    """Open times of bars of 1m, aggTrades as (id, time) and funding times; nothing later than now is told."""

    opens: Sequence[int] = ()
    trades: Sequence[tuple[int, int]] = ()
    funding: Sequence[int] = ()

    def serve(self, server: ExchangeServer) -> None:
        """Answer with these rows from now on."""

        def wanted(request: web.Request, time_ms: int) -> bool:
            start, end = (
                int(request.query.get(name, missing)) for name, missing in (("startTime", 0), ("endTime", 9e15))
            )
            return start <= time_ms <= min(end, server.clock.now_ms() + server.ahead_ms)

        def page(request: web.Request, rows: list[object]) -> web.Response:
            return web.json_response(rows[: int(request.query["limit"])])

        def klines(request: web.Request) -> web.Response:
            return page(request, [kline(at) for at in self.opens if wanted(request, at)])

        def agg_trades(request: web.Request) -> web.Response:
            first = int(request.query.get("fromId", 0))
            return page(request, [agg_trade(a, at) for a, at in self.trades if a >= first and wanted(request, at)])

        def funding(request: web.Request) -> web.Response:
            return page(request, [funding_rate(at) for at in self.funding if wanted(request, at)])

        server.answers |= {
            CONF.routes.klines.path: klines,
            CONF.routes.agg_trades.path: agg_trades,
            CONF.routes.funding_rates.path: funding,
        }

"""`/analysis/*`: what analytics has computed, as it is stored; nothing is computed here.

What has not been computed yet is 200 with nothing in it, and a message; a number that could not be computed is null,
and `metadata.reasons` says why.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from data_manager.http.analysis_params import (
    CORRELATION_WINDOW,
    TREND_WINDOW,
    VOLATILITY_WINDOW,
    VOLUME_WINDOW,
    CorrelationParams,
    OverviewParams,
    PeriodParams,
    RegimeParams,
    SeriesParams,
    SpreadParams,
    TrendParams,
    VolatilityParams,
    VolumeParams,
    split,
)
from data_manager.http.answers import answer, both_dialects, stamp
from data_manager.http.computed_types import Matrix, Overview, SeriesAnswer, SingleAnswer, entry_of, model_of
from data_manager.http.computed_values import (
    NOTHING_KNOWN,
    Computed,
    Value,
    annualized,
    entry,
    overview_of,
    ranked,
    read,
    trust,
    value,
)
from data_manager.http.errors import invalid_value, store_errors
from data_manager.http.operations import Answer, Handler, Operation, routes_of
from data_manager.http.paging import numbered
from data_manager.http.params import Params, parse
from data_manager.http.ports import Services
from data_manager.storage.computed import METRICS
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import ALL_SYMBOLS, Analytics, Series, Symbol
from data_manager.system.clock import now_ms

NEWEST = 10  # documents of a series that are shown
OVERVIEW_PERIOD = "1h"


class AnalysisRoutes:
    """Handlers; each makes one call to the store."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._market = services.market

    async def volatility(self, request: web.Request) -> web.Response:
        """The newest volatilities, with the estimator that was asked for annualised."""
        asked = parse(VolatilityParams, request)
        found, total = await self._newest(asked, "volatility")
        shown = fitting(found, asked.window, VOLATILITY_WINDOW)
        values = [{**entry(each), "annualized": annualized(each, asked.method)} for each in shown]
        return self._series(request, asked, "volatility", asked.method, shown, values, total)

    async def volume(self, request: web.Request) -> web.Response:
        """The newest volumes."""
        asked = parse(VolumeParams, request)
        found, total = await self._newest(asked, "volume")
        shown = fitting(found, asked.window, VOLUME_WINDOW)
        return self._series(request, asked, "volume", "aggregation", shown, list(map(entry, shown)), total)

    async def trend(self, request: web.Request) -> web.Response:
        """The newest trends."""
        asked = parse(TrendParams, request)
        found, total = await self._newest(asked, "trend")
        shown = fitting(found, asked.window, TREND_WINDOW)
        return self._series(request, asked, "trend", "moving_averages", shown, list(map(entry, shown)), total)

    async def spread(self, request: web.Request) -> web.Response:
        """The newest spread."""
        return await self._single(request, parse(SpreadParams, request), "spread")

    async def deviation(self, request: web.Request) -> web.Response:
        """The newest deviation."""
        return await self._single(request, parse(PeriodParams, request), "deviation")

    async def seasonality(self, request: web.Request) -> web.Response:
        """The newest seasonality."""
        return await self._single(request, parse(PeriodParams, request), "seasonality")

    async def regime(self, request: web.Request) -> web.Response:
        """The newest regime."""
        return await self._single(request, parse(RegimeParams, request), "regime")

    async def correlation(self, request: web.Request) -> web.Response:
        """The whole of the newest matrix, and what is known of each of the pairs by itself."""
        asked = parse(CorrelationParams, request)
        pairs = split(asked.pairs)

        def look(store: MarketStore) -> tuple[list[Computed], dict[str, Computed]]:
            matrices = newest(store, Series(ALL_SYMBOLS, Analytics, category="correlation_matrix"), asked.period, 1)
            singles = {
                pair: newest(store, Series(Symbol(pair), Analytics, category="correlation"), asked.period, 1)
                for pair in pairs
            }
            return matrices, {pair: found[0] for pair, found in singles.items() if found}

        with store_errors("market store"):
            found, singles = await self._market.call(look)
        shown = next(iter(fitting(found, asked.window, CORRELATION_WINDOW)), None)
        fields = value(shown) if shown else dict.fromkeys(metric.name for metric in METRICS["correlation_matrix"])
        body = {
            "pairs": pairs,
            "period": asked.period,
            "metric": "correlation",
            "method": "pearson",
            "window": shown.window if shown else asked.window,
            "correlation_matrix": fields["matrix"] or {},
            **{name: each for name, each in fields.items() if name != "matrix"},
            "by_pair": {pair: entry(each) for pair, each in singles.items()},
            "metadata": self._metadata(shown, "correlation", "analytics_correlation_matrix"),
        }
        return answer(request, body)

    async def market_overview(self, request: web.Request) -> web.Response:
        """What is known of each of the pairs at a glance."""
        asked = parse(OverviewParams, request)
        series = Series(ALL_SYMBOLS, Analytics, category="market_overview")
        with store_errors("market store"):
            found = await self._market.call(lambda store: newest(store, series, OVERVIEW_PERIOD, 1))
        shown = next(iter(found), None)
        known, pairs = overview_of(shown), split(asked.pairs)
        overview = {pair: known.get(pair, NOTHING_KNOWN) for pair in pairs}
        if asked.sort_by is not None:
            overview = ranked(overview, asked.sort_by, descending=asked.sort_order == "desc")
        page = list(overview)[asked.offset : asked.offset + asked.limit]
        body = {
            "overview": {pair: overview[pair] for pair in page},
            "timestamp": stamp(now_ms(self._services.clock)),
            "pairs_requested": len(pairs),
            "pairs_available": sum(pair in known for pair in pairs),
            "pagination": numbered(asked.limit, asked.offset, len(pairs)),
            "sort": {"by": asked.sort_by, "order": asked.sort_order if asked.sort_by else None},
            "metadata": self._metadata(shown, "market-overview", series.dataset_id),
        }
        return answer(request, body)

    async def _newest(self, asked: SeriesParams, category: str) -> tuple[list[Computed], int]:
        """The newest documents, the newest first, and how many there are."""
        series = Series(Symbol(asked.pair), Analytics, category=category)

        def look(store: MarketStore) -> tuple[list[Computed], int]:
            every = Query(equal=(*series.equal, ("timeframe", asked.period)))
            return newest(store, series, asked.period, NEWEST), store.count(series.symbol, Analytics, every)

        with store_errors("market store"):
            return await self._market.call(look)

    def _series(
        self,
        request: web.Request,
        asked: VolatilityParams | VolumeParams | TrendParams,
        metric: str,
        method: str,
        shown: list[Computed],
        values: list[Value],
        total: int,
    ) -> web.Response:
        window = asked.window if metric == "trend" or not shown else shown[0].window
        body = {
            "pair": asked.pair,
            "period": asked.period,
            "metric": metric,
            "method": method,
            "window": window,
            **both_dialects(values, asked.dialect or self._services.settings.api_dialect),
            "pagination": numbered(NEWEST, 0, total),
            "sort": {"by": "timestamp", "order": "desc"},
            "filters_applied": {"pair": asked.pair, "period": asked.period, "window": window},
            "metadata": {
                **self._metadata(next(iter(shown), None), metric, f"analytics_{asked.pair}_{metric}"),
                "records_returned": len(values),
            },
        }
        return answer(request, body)

    async def _single(
        self, request: web.Request, asked: SpreadParams | PeriodParams | RegimeParams, metric: str
    ) -> web.Response:
        series = Series(Symbol(asked.pair), Analytics, category=metric)
        with store_errors("market store"):
            found = await self._market.call(partial(newest, series=series, timeframe=asked.period, limit=1))
        shown = next(iter(found), None)
        body = {
            "pair": asked.pair,
            "period": asked.period,
            "metric": metric,
            "data": None if shown is None else value(shown),
            "metadata": self._metadata(shown, metric, series.dataset_id),
        }
        return answer(request, body)

    def _metadata(self, shown: Computed | None, metric: str, collection: str) -> Value:
        """Of the newest document that is shown."""
        about: Value = {
            "data_completeness": None if shown is None else shown.metadata.get("completeness"),
            "last_updated": None if shown is None else stamp(shown.row.computed_ms),
            "timestamp": None if shown is None else stamp(shown.row.time_ms),
            "source": self._services.market_source,
            "collection": collection,
        }
        if shown is None:
            return {**about, "message": f"No {metric} data available"}
        return {**about, "state": shown.row.state, **trust(shown)}


def operation(path: str, handler: Handler, query: type[Params], body: Any) -> Operation:
    """One of the family's, which are all alike."""
    return Operation("GET", path, handler, "analysis", {200: Answer(body)}, query=query, refuses=(503,))


SERIES: Any = SeriesAnswer  # types made of other types at run time, which no checker follows
SINGLE: Any = SingleAnswer
MATRIX: Any = Matrix

OPERATIONS = (
    operation("/analysis/volatility", AnalysisRoutes.volatility, VolatilityParams, SERIES[entry_of("volatility")]),
    operation("/analysis/volume", AnalysisRoutes.volume, VolumeParams, SERIES[entry_of("volume")]),
    operation("/analysis/spread", AnalysisRoutes.spread, SpreadParams, SINGLE[model_of("spread")]),
    operation("/analysis/trend", AnalysisRoutes.trend, TrendParams, SERIES[entry_of("trend")]),
    operation("/analysis/correlation", AnalysisRoutes.correlation, CorrelationParams, MATRIX[entry_of("correlation")]),
    operation("/analysis/deviation", AnalysisRoutes.deviation, PeriodParams, SINGLE[model_of("deviation")]),
    operation("/analysis/seasonality", AnalysisRoutes.seasonality, PeriodParams, SINGLE[model_of("seasonality")]),
    operation("/analysis/regime", AnalysisRoutes.regime, RegimeParams, SINGLE[model_of("regime")]),
    operation("/analysis/market-overview", AnalysisRoutes.market_overview, OverviewParams, Overview),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, AnalysisRoutes(services))


def newest(store: MarketStore, series: Series, timeframe: str, limit: int) -> list[Computed]:
    """The newest documents of a series and timeframe, the newest first."""
    query = Query(equal=(*series.equal, ("timeframe", timeframe)), limit=limit, descending=True)
    return list(map(read, store.rows(series.symbol, Analytics, query)))


def fitting(found: list[Computed], window: str, default: str) -> list[Computed]:
    """Those that look back on the window; all of them for the default, whatever the timeframe's own window is.

    Raises a 422 Refusal for a window that none of them has.
    """
    shown = found if window == default else [each for each in found if each.window == window]
    if found and not shown:
        offered = ", ".join(dict.fromkeys((default, *(each.window for each in found))))
        raise invalid_value(("query", "window"), f"nothing is computed for that window; use one of {offered}", window)
    return shown

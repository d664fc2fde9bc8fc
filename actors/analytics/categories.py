"""All that one cycle computes: eight categories of every symbol and timeframe, and the market as a whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from data_manager.actors.analytics import correlation as correlations
from data_manager.actors.analytics.bars import Window, span_ms
from data_manager.actors.analytics.conf import AnalyticsConf
from data_manager.actors.analytics.correlation import Market
from data_manager.actors.analytics.deviation import deviation
from data_manager.actors.analytics.documents import document
from data_manager.actors.analytics.material import BOOKS_IN, Material, end_ms
from data_manager.actors.analytics.overview import market_overview
from data_manager.actors.analytics.regime import regime
from data_manager.actors.analytics.results import Result
from data_manager.actors.analytics.seasonality import seasonality
from data_manager.actors.analytics.spread import averaged, spread
from data_manager.actors.analytics.trend import trend
from data_manager.actors.analytics.volatility import volatility
from data_manager.actors.analytics.volume import volume
from data_manager.storage.records import Analytics

OVERVIEW_OF = "1h"

Results = dict[str, Result]  # by category


def market_of(materials: Mapping[str, Material], timeframe: str, conf: AnalyticsConf) -> Market:
    """The symbols side by side in one timeframe; one at least, all as of the same time."""
    at_ms = next(iter(materials.values())).at_ms
    window = Window.ending(end_ms(timeframe, at_ms), conf.timeframes[timeframe].correlation)
    bars = {symbol: each.bars[timeframe] for symbol, each in materials.items()}
    return correlations.market(bars, window, conf.benchmark, conf.correlation)


def results_of(
    symbol: str, materials: Mapping[str, Material], timeframe: str, market: Market, conf: AnalyticsConf
) -> Results:
    """The eight categories of one symbol and timeframe."""
    ours, windows = materials[symbol], conf.timeframes[timeframe]
    benchmark = materials.get(conf.benchmark, next(iter(materials.values())))
    bars, end = ours.bars[timeframe], end_ms(timeframe, ours.at_ms)
    return {
        "volatility": volatility(bars, Window.ending(end, windows.volatility), conf.volatility, ours.inside[timeframe]),
        "volume": volume(bars, Window.ending(end, windows.volume), conf.volume),
        "spread": _spread(ours, timeframe, conf),
        "trend": trend(bars, Window.ending(end, windows.trend), conf.trend, benchmark.bars[timeframe]),
        "deviation": deviation(bars, Window.ending(end, windows.deviation), conf.deviation),
        "seasonality": seasonality(bars, Window.ending(end, windows.seasonality), conf.seasonality),
        "correlation": correlations.correlation(bars, symbol, market),
        "regime": regime(bars, Window.ending(end, windows.regime), windows.volume, conf.regime),
    }


def documents_of(ours: Material, timeframe: str, results: Results, computed_ms: int) -> list[Analytics]:
    """The documents of one symbol and timeframe."""
    closed_ms = ours.closed_ms(timeframe)
    of_bars = [
        document(category, timeframe, closed_ms, computed_ms, result)
        for category, result in results.items()
        if category != "spread"
    ]
    summed = ours.books if timeframe == BOOKS_IN else None
    return [*of_bars, document("spread", timeframe, ours.at_ms, computed_ms, results["spread"], summed)]


def of_the_market(
    materials: Mapping[str, Material],
    markets: Mapping[str, Market],
    results: Mapping[str, Mapping[str, Results]],
    conf: AnalyticsConf,
    computed_ms: int,
) -> list[Analytics]:
    """The documents about all symbols: a matrix in each timeframe, and the overview; `results` by symbol and timeframe.

    A symbol that could not be computed has no results.
    """
    found = []
    for timeframe, market in markets.items():
        bars = {symbol: each.bars[timeframe] for symbol, each in materials.items()}
        matrix = correlations.correlation_matrix(bars, market)
        found.append(document("correlation_matrix", timeframe, _closed_ms(materials, timeframe), computed_ms, matrix))
    window = Window.ending(
        end_ms(OVERVIEW_OF, next(iter(materials.values())).at_ms), conf.timeframes[OVERVIEW_OF].volatility
    )
    overview = market_overview({symbol: of[OVERVIEW_OF] for symbol, of in results.items()}, window)
    closed_ms = _closed_ms(materials, OVERVIEW_OF)
    return [*found, document("market_overview", OVERVIEW_OF, closed_ms, computed_ms, overview)]


def _closed_ms(materials: Mapping[str, Material], timeframe: str) -> int:
    return max(each.closed_ms(timeframe) for each in materials.values())


def _spread(ours: Material, timeframe: str, conf: AnalyticsConf) -> Result:
    """The newest book, or the average of a day's; the liquidity of either is that of the hours of a day."""
    bars, label = ours.bars[BOOKS_IN], conf.timeframes[timeframe].spread
    closed = Window.ending(end_ms(BOOKS_IN, ours.at_ms), label)
    if timeframe == BOOKS_IN:
        # from a whole hour on, so that it has room for all of them, to now, by which a book's age is told
        return spread(ours.newest_book, bars, closed._replace(end_ms=ours.at_ms), conf.spread)
    return averaged(ours.day, bars, Window(label, ours.at_ms - span_ms(label), ours.at_ms), conf.spread)

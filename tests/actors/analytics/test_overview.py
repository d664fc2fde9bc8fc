"""The market at a glance: what is known of each symbol, and which symbols nothing is known of."""

from __future__ import annotations

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.overview import MarketOverview, market_overview
from data_manager.actors.analytics.regime import regime
from data_manager.actors.analytics.results import Result
from data_manager.actors.analytics.trend import trend
from data_manager.actors.analytics.volatility import volatility
from data_manager.actors.analytics.volume import volume
from tests.actors.analytics.series import all_of, last, walk

CONF = analytics_conf()
BARS = walk(1_000)
WINDOW = all_of(BARS)


def results(bars: Bars, window: Window) -> dict[str, Result]:
    return {
        "volatility": volatility(bars, window, CONF.volatility),
        "volume": volume(bars, window, CONF.volume),
        "trend": trend(bars, window, CONF.trend),
        "regime": regime(bars, window, "24h", CONF.regime),
    }


def test_it_shows_what_the_categories_say() -> None:
    of = results(BARS, WINDOW)
    shown = market_overview({"BTCUSDT": of}, WINDOW)
    assert shown.overview == {
        "BTCUSDT": {
            "volatility": {"annualized": of["volatility"].annualized_volatility},  # type: ignore[attr-defined]
            "volume": {"spike_ratio": of["volume"].volume_spike_ratio},  # type: ignore[attr-defined]
            "trend": {
                "direction": of["trend"].crossover_signal,  # type: ignore[attr-defined]
                "roc": of["trend"].rate_of_change,  # type: ignore[attr-defined]
            },
            "regime": {
                "classification": of["regime"].regime,  # type: ignore[attr-defined]
                "confidence": of["regime"].confidence,  # type: ignore[attr-defined]
            },
        }
    }
    assert shown.state == "complete"
    about = shown.envelope
    assert (about.n, about.expected, about.completeness) == (1, 1, 100)
    assert about.newest_ms == WINDOW.end_ms


def test_what_one_symbol_lacks_is_null_with_the_categorys_reason() -> None:
    short = last(BARS, 30)
    shown = market_overview({"BTCUSDT": results(BARS, short)}, short)
    assert shown.overview is not None
    assert shown.overview["BTCUSDT"]["trend"] == {"direction": None, "roc": None}
    assert shown.reasons["overview[BTCUSDT][trend][roc]"] == "30 bars are there, and it takes 50"
    assert shown.state == "partial"


def test_a_symbol_of_which_nothing_is_known_is_left_out_with_a_reason() -> None:
    nothing = results(BARS.slice(0, 0), WINDOW)
    shown = market_overview({"BTCUSDT": results(BARS, WINDOW), "ETHUSDT": nothing}, WINDOW)
    assert shown.overview is not None
    assert list(shown.overview) == ["BTCUSDT"]
    assert shown.reasons == {"overview[ETHUSDT]": "nothing is known of it"}
    assert (shown.envelope.n, shown.envelope.completeness) == (1, 50)


def test_without_any_symbol_that_is_known_it_is_empty() -> None:
    expected = {"overview": "nothing is known of any symbol"}
    for given in ({}, {"BTCUSDT": results(BARS.slice(0, 0), WINDOW)}):
        shown: MarketOverview = market_overview(given, WINDOW)
        assert (shown.overview, shown.reasons, shown.state) == (None, expected, "empty")
        assert shown.envelope.newest_ms is None

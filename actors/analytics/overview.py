"""The market at a glance: a few numbers of each symbol, side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from data_manager.actors.analytics.bars import Window
from data_manager.actors.analytics.results import Envelope, Result, Unknown, built, entry

METHOD = "overview"
FIELDS = {  # of the overview, by category: what each is called there, and the category's own name of it
    "volatility": {"annualized": "annualized_volatility"},
    "volume": {"spike_ratio": "volume_spike_ratio"},
    "trend": {"direction": "crossover_signal", "roc": "rate_of_change"},
    "regime": {"classification": "regime", "confidence": "confidence"},
}

Shown = dict[str, dict[str, str | float | None]]


class MarketOverview(Result, frozen=True, kw_only=True):
    """By symbol what FIELDS names; a symbol of which none of it is known is not there, and has its reason."""

    overview: dict[str, Shown] | None


def market_overview(results: Mapping[str, Mapping[str, Result]], window: Window) -> MarketOverview:
    """Of each symbol's results in one timeframe, by category. The envelope counts symbols instead of bars."""
    shown = {symbol: _shown(categories) for symbol, categories in results.items()}
    known = {symbol: parts for symbol, parts in shown.items() if any(map(_is_known, parts.values()))}
    about = Envelope(
        method=METHOD,
        window=window.label,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        newest_ms=_newest_ms(categories["trend"] for categories in results.values()),
        n=len(known),
        expected=len(results),
        completeness=100 * len(known) / len(results) if results else 0.0,
        gaps=0,
        warm_up=0,
        parameters={"symbols": list(results)},
    )
    if not known:
        return built(MarketOverview, about, {"overview": Unknown("nothing is known of any symbol")})
    overview = built(MarketOverview, about, {"overview": known})
    missing = {entry("overview", symbol): "nothing is known of it" for symbol in results if symbol not in known}
    return msgspec.structs.replace(overview, reasons={**overview.reasons, **missing})


def _shown(categories: Mapping[str, Result]) -> dict[str, dict[str, object]]:
    return {
        category: {name: _value(categories[category], field) for name, field in names.items()}
        for category, names in FIELDS.items()
    }


def _value(result: Result, field: str) -> object:
    value = getattr(result, field)
    return Unknown(result.reasons[field]) if value is None else value


def _is_known(part: Mapping[str, object]) -> bool:
    return any(not isinstance(value, Unknown) for value in part.values())


def _newest_ms(results: Iterable[Result]) -> int | None:
    return max((each.envelope.newest_ms for each in results if each.envelope.newest_ms is not None), default=None)

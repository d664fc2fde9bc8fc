"""What nobody can bring back: silences of types without history, and breaks in the chain of an order book's changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from data_manager.actors.audit.causes import explained
from data_manager.actors.audit.events import alive, still_silent
from data_manager.actors.audit.gaps import Found, lost
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.keeping import MAX_INCIDENTS, keep_lost
from data_manager.actors.audit.quiet import KINDS
from data_manager.actors.audit.silence import FEED, Alive, judged
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.records import Depth, Series, Symbol
from data_manager.system.metrics import Metrics

BREAK_MS = 2_000  # for so long ingest waits for a missing link: the break was so long ago, at most


class Silence(NamedTuple):
    """A silence, and who was alive meanwhile."""

    series: Series
    range: Range
    alive: Alive


class Break(NamedTuple):
    """A link of the chain of a symbol's depth updates that never came; `ids` is ingest's sentence with both of them."""

    symbol: Symbol
    ids: str
    range: Range


def witnessed(
    series: Series, silences: Sequence[Range], types: Sequence[Series], siblings: int, market: MarketStore
) -> list[Silence]:
    """The silences that are still none of rows that came late, with what others did meanwhile.

    At most `siblings` other symbols are looked at: the next ones by name.
    """
    if not silences:
        return []
    symbols = list(market.symbols())
    following = [name for name in (*symbols, *symbols) if name > series.symbol] + symbols
    others = [name for name in dict.fromkeys(following) if name != series.symbol][:siblings]
    return [
        Silence(series, each, alive(series, each, others, list(types), market))
        for each in silences
        if still_silent(series, each, market)
    ]


def keep_silences(silences: Sequence[Silence], now_ms: int, catalog: Catalog, metrics: Metrics) -> None:
    """Save them as gaps, each with its cause: an incident of ours that was under way, or what others did."""
    if not silences:
        return
    # of the feed the silence itself tells, and who else was alive
    ours = [each for each in catalog.incidents(limit=MAX_INCIDENTS) if each.kind not in KINDS]
    gaps = []
    for series, silent, others in silences:
        cause, evidence = judged(others)
        found = Found(silent, cause, f"no row for {(silent.end_ms - silent.start_ms) / 1000:.0f} s; {evidence}")
        told = explained(found, series.symbol, ours, now_ms)
        gaps.append(lost(series, told, now_ms, f"silence/{silent.start_ms}"))
    keep_lost(gaps, catalog, metrics)


def keep_breaks(breaks: Sequence[Break], now_ms: int, catalog: Catalog, metrics: Metrics) -> None:
    """Save them as gaps, one for each."""
    gaps = [
        lost(Series(symbol, Depth), Found(within, FEED, ids), now_ms, f"break/{ids}") for symbol, ids, within in breaks
    ]
    keep_lost(gaps, catalog, metrics)

"""The names of event types: as Binance writes them in `e`, as ledgers count them, as metrics label them.

A ledger label is the wire name itself, or `unknown`. Metric labels are those that dashboards key on; they are
coarser: trade and aggTrade share one. Publishers differ in case, so names are compared in lower case.
"""

from __future__ import annotations

UNKNOWN = "unknown"

EVENT_TYPES: dict[str, str] = {  # wire name, which is the ledger label -> metric label
    "trade": "trade",
    "aggTrade": "trade",
    "24hrTicker": "ticker",
    "24hrMiniTicker": "ticker",
    "depthUpdate": "depth",
    "markPriceUpdate": "markPrice",
    "kline": "kline",
    "bookTicker": "bookTicker",
    "fundingRate": "fundingRate",
    "forceOrder": "forceOrder",
    UNKNOWN: UNKNOWN,
}

_BY_LOWER_CASE = {name.lower(): name for name in EVENT_TYPES}


def ledger_label(event_type: str) -> str:
    """The wire name of an event's `e` in any case; `unknown` for every type that is not stored."""
    return _BY_LOWER_CASE.get(event_type.lower(), UNKNOWN)


def metric_label(label: str) -> str:
    """The metric label of a ledger label."""
    return EVENT_TYPES[label]

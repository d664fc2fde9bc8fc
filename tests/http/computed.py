"""Computed documents to be served: with every field of their category, or with none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_manager.storage.computed import METRICS, body_of
from data_manager.storage.protocols import Write
from data_manager.storage.records import ALL_SYMBOLS, MARKET_WIDE, Analytics, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from tests.http.serving import BTC, NOW_MS, StillClock

HOUR = 3_600_000
EXAMPLES: dict[str, object] = {
    "number": 0.125,
    "integer": 3,
    "string": "medium",
    "object": {"5": 0.5, "10": None},
    "array": [{"bars": 24.0, "power": 0.5}],
}
SPECIAL: dict[str, object] = {
    "cross": {"direction": "bullish", "age_bars": 2, "time_ms": NOW_MS - 2 * HOUR},
    "transition_time": NOW_MS - 5 * HOUR,
    "matrix": {"BTCUSDT": {"ETHUSDT": 0.75}, "ETHUSDT": {"BTCUSDT": 0.75}},
    "overview": {
        "BTCUSDT": {
            "volatility": {"annualized": 0.5},
            "volume": {"spike_ratio": 1.25},
            "trend": {"direction": "bullish", "roc": 2.5},
            "regime": {"classification": "balanced_market", "confidence": 0.7},
        },
        "ETHUSDT": {
            "volatility": {"annualized": 0.75},
            "volume": {"spike_ratio": None},
            "trend": {"direction": "bearish", "roc": -2.5},
            "regime": {"classification": "unknown", "confidence": None},
        },
    },
}
METADATA: dict[str, Any] = {
    "method": "its_method",
    "window": "30d",
    "start_ms": NOW_MS - 720 * HOUR,
    "end_ms": NOW_MS,
    "newest_ms": NOW_MS,
    "n": 700,
    "expected": 720,
    "completeness": 97.25,
    "gaps": 2,
    "warm_up": 150,
    "parameters": {"annualization_factor": 2.0, "rolling_window": 20},
    "reasons": {},
    "sums": {"bid_ask_spread": {"total": 1.5, "weight_ms": 900}},
}


def document(category: str, time_ms: int = NOW_MS, timeframe: str = "1h", **changes: Any) -> Analytics:
    """One with all its fields; `fields` and `metadata` change what is inside, `known=False` leaves nothing of it."""
    known = changes.pop("known", True)
    fields = {
        metric.name: SPECIAL.get(metric.name, EXAMPLES[metric.type]) if known else None for metric in METRICS[category]
    }
    metadata = {**METADATA, "reasons": {} if known else dict.fromkeys(fields, "5 bars are there, and it takes 20")}
    body = body_of({**fields, **changes.pop("fields", {})}, {**metadata, **changes.pop("metadata", {})})
    return Analytics(
        category, timeframe, time_ms, time_ms + 7, "complete" if known else "empty", body, time_ms + 8, **changes
    )


def store_documents(folder: Path, *documents: Analytics, symbol: Symbol = BTC) -> None:
    """Write them, those of the whole market where they belong."""
    (folder / "market").mkdir(exist_ok=True)
    store = SqliteMarketStore(folder / "market", clock=StillClock())
    for row in documents:
        store.write(ALL_SYMBOLS if row.category in MARKET_WIDE else symbol, Write(side=[row]))
    store.close()

"""One realistic message per event type and shape, as the contract gives them (USD-M futures, October 2025).

`EXAMPLES` holds the events by a name; `bare`, `enveloped` and `combined` put one into its shapes. End-to-end
tests publish them and read each back.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import msgspec

SYMBOL = "BTCUSDT"
RECEIVED_US = 1_760_918_400_140_000
PUBLISHED = "2025-10-20T00:00:00.131245Z"
PUBLISHED_MS = 1_760_918_400_131

SOCKET_CLIENT_KEYS = {
    "timestamp": PUBLISHED,
    "message_id": "2f1c4a5e-8f0b-4b93-9f63-0d3c8c0f5a11",
    "source": "binance-websocket",
    "version": "1.0",
}


class Example(NamedTuple):
    """An event as Binance sends it, the stream name the socket client gives it, and its ledger label."""

    stream: str
    data: dict[str, Any]
    label: str


def _levels(first: int, step: int, count: int = 20) -> list[list[str]]:
    """`count` levels from a price in cents, best first."""
    return [[f"{(first + i * step) / 100:.2f}", f"{1 + i}.120"] for i in range(count)]


EXAMPLES = {
    "trade": Example(
        "btcusdt@trade",
        {
            "e": "trade", "E": 1760918400123, "T": 1760918400120, "s": "BTCUSDT", "t": 6765432101,
            "p": "110850.40", "q": "0.012", "X": "MARKET", "m": False,
        },
        "trade",
    ),
    "aggTrade": Example(
        "btcusdt@aggTrade",
        {
            "e": "aggTrade", "E": 1760918400130, "s": "BTCUSDT", "a": 2893746512, "p": "110850.40",
            "q": "0.350", "f": 6765432095, "l": 6765432101, "T": 1760918400120, "m": True,
        },
        "aggTrade",
    ),
    "ticker": Example(
        "btcusdt@ticker",
        {
            "e": "24hrTicker", "E": 1760918401004, "s": "BTCUSDT", "p": "1520.30", "P": "1.391",
            "w": "110012.77", "c": "110850.40", "Q": "0.012", "o": "109330.10", "h": "111480.00",
            "l": "108905.50", "v": "142318.551", "q": "15656857610.42", "O": 1760832000000,
            "C": 1760918401001, "F": 6761004211, "L": 6765432110, "n": 4427900,
        },
        "24hrTicker",
    ),
    "depth": Example(
        "btcusdt@depth20@100ms",
        {
            "e": "depthUpdate", "E": 1760918400201, "T": 1760918400198, "s": "BTCUSDT",
            "U": 8812345678901, "u": 8812345679044, "pu": 8812345678890,
            "b": [["110850.30", "4.512"], ["110850.20", "0.120"], ["110849.90", "1.004"]],
            "a": [["110850.40", "3.377"], ["110850.50", "0.650"], ["110851.00", "2.210"]],
        },
        "depthUpdate",
    ),
    "depth of 20 levels": Example(
        "btcusdt@depth20@100ms",
        {
            "e": "depthUpdate", "E": 1760918400301, "T": 1760918400298, "s": "BTCUSDT",
            "U": 8812345679045, "u": 8812345679100, "pu": 8812345679044,
            "b": _levels(11_085_030, -10), "a": _levels(11_085_040, 10),
        },
        "depthUpdate",
    ),
    "diff depth": Example(
        "btcusdt@depth@100ms",
        {
            "e": "depthUpdate", "E": 1760918400401, "T": 1760918400398, "s": "BTCUSDT",
            "U": 8812345679101, "u": 8812345679130, "pu": 8812345679100,
            "b": [["110849.90", "0"], ["110850.30", "4.100"]], "a": [],
        },
        "depthUpdate",
    ),
    "partial book": Example(
        "btcusdt@depth20@100ms",
        {
            "lastUpdateId": 76543210987,
            "bids": [["110850.30", "0.512"]],
            "asks": [["110850.40", "0.377"]],
        },
        "depthUpdate",
    ),
    "mark price": Example(
        "btcusdt@markPrice@1s",
        {
            "e": "markPriceUpdate", "E": 1760918402000, "s": "BTCUSDT", "p": "110846.71500000",
            "i": "110898.02333333", "P": "110712.44180000", "r": "0.00010000", "T": 1760947200000,
        },
        "markPriceUpdate",
    ),
    "kline": Example(
        "btcusdt@kline",
        {
            "e": "kline", "E": 1760922000012, "s": "BTCUSDT",
            "k": {
                "t": 1760918400000, "T": 1760921999999, "s": "BTCUSDT", "i": "1h", "f": 6765432001,
                "L": 6765618440, "o": "110851.00", "c": "111020.10", "h": "111180.00", "l": "110702.30",
                "v": "6120.443", "n": 186440, "x": True, "q": "679315204.11", "V": "3188.102",
                "Q": "353881002.70", "B": "0",
            },
        },
        "kline",
    ),
    "book ticker": Example(
        "btcusdt@bookTicker",
        {
            "e": "bookTicker", "u": 8812345679100, "E": 1760918400260, "T": 1760918400257, "s": "BTCUSDT",
            "b": "110850.30", "B": "4.498", "a": "110850.40", "A": "3.377",
        },
        "bookTicker",
    ),
    "mini ticker": Example(
        "btcusdt@24hrMiniTicker",
        {
            "e": "24hrMiniTicker", "E": 1760918401004, "s": "BTCUSDT", "c": "110850.40", "o": "109330.10",
            "h": "111480.00", "l": "108905.50", "v": "142318.551", "q": "15656857610.42",
        },
        "24hrMiniTicker",
    ),
    "funding rate": Example(
        "btcusdt@fundingRate@1s",
        {
            "e": "fundingRate", "E": 1760918400000, "s": "BTCUSDT", "r": "0.00010000",
            "p": "110846.71500000", "T": 1760947200000,
        },
        "fundingRate",
    ),
    "force order": Example(
        "btcusdt@forceOrder",
        {
            "e": "forceOrder", "E": 1760918400460,
            "o": {
                "s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.214", "p": "110210.00",
                "ap": "110402.10", "X": "FILLED", "l": "0.214", "z": "0.214", "T": 1760918400455,
            },
        },
        "forceOrder",
    ),
}  # fmt: skip

SYMBOLLESS = ("partial book",)  # these come in an envelope only


def event(name: str, **changes: Any) -> dict[str, Any]:
    """A copy of an example's event with some fields changed; None removes one."""
    data = copy.deepcopy(EXAMPLES[name].data)
    for key, value in changes.items():
        data[key] = value
        if value is None:
            del data[key]
    return data


def bare(data: object) -> bytes:
    """The event alone."""
    return msgspec.json.encode(data)


def enveloped(data: object, stream: str, **extra: Any) -> bytes:
    """The event as the socket client publishes it."""
    return msgspec.json.encode({"stream": stream, "data": data, **SOCKET_CLIENT_KEYS, **extra})


def combined(data: object, stream: str) -> bytes:
    """The event as Binance's combined streams send it."""
    return msgspec.json.encode({"stream": stream, "data": data})

"""Messages that are no events: each is one quarantined event, whoever looks at it. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import orjson

MAX_BYTES = 300
NO_UTF8 = b"\xff"  # nothing that begins so is JSON, so no luck of the dice makes an event of it


def garbage(seed: int, messages: int, symbols: Sequence[str]) -> list[bytes]:
    """So many of them; the same arguments give the same ones."""
    rng = random.Random(seed)  # noqa: S311 - see schedule
    return [rng.choice(KINDS)(rng, rng.choice(symbols)) for _ in range(messages)]


def noise(rng: random.Random, symbol: str) -> bytes:
    """Bytes without any sense."""
    return NO_UTF8 + rng.randbytes(rng.randint(0, MAX_BYTES))


def truncated(rng: random.Random, symbol: str) -> bytes:
    """The beginning of an event, without its end."""
    whole = trade(symbol, price="100.5")
    return whole[: rng.randint(1, len(whole) - 1)]


def impossible(rng: random.Random, symbol: str) -> bytes:
    """A trade of a price that nothing has."""
    return trade(symbol, price=rng.choice(("0", "-1", "NaN", "1e5", "", "0x10")))


def nameless(rng: random.Random, symbol: str) -> bytes:
    """An event of a kind that nobody knows, of a symbol that is known."""
    return orjson.dumps({"e": f"kind{rng.randint(0, 9)}", "E": 1_700_000_000_000, "s": symbol})


KINDS: tuple[Callable[[random.Random, str], bytes], ...] = (noise, truncated, impossible, nameless)


def trade(symbol: str, price: str) -> bytes:
    """A trade as the feed sends it, in its envelope; its id lies where no trade's does."""
    data = {"e": "trade", "E": 1_700_000_000_000, "T": 1_700_000_000_000, "s": symbol, "t": 1}
    rest = {"p": price, "q": "0.012", "X": "MARKET", "m": False}
    return orjson.dumps({"stream": f"{symbol.lower()}@trade", "data": data | rest})

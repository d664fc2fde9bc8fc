"""Reading something of every symbol: one at a time, so that other calls on the thread get their turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from data_manager.http.errors import store_errors
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import ALL_SYMBOLS, Symbol

T = TypeVar("T")


async def of_every_symbol(
    survey: StoreThread[MarketStore], pair: str | None, read: Callable[[Symbol, MarketStore], T]
) -> AsyncIterator[tuple[Symbol, T]]:
    """What `read` gives for `pair`, or for every symbol and then for what has none; raises a 503 Refusal."""
    with store_errors("market store"):
        known = await survey.call(lambda store: store.symbols())
    for symbol in (*known, ALL_SYMBOLS):
        if pair in (None, symbol):
            with store_errors("market store"):
                found = await survey.call(partial(read, symbol))
            yield symbol, found

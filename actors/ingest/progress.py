"""Whether a writer that has long been at work still gets on: it does while its calls to the store end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from data_manager.storage.protocols import MarketStore


class _Noting:
    def __init__(self, store: MarketStore, note: Callable[[], None]) -> None:
        self._store = store
        self._note = note

    def __getattr__(self, name: str) -> Any:
        self._note()
        return getattr(self._store, name)


def noting(store: MarketStore, note: Callable[[], None]) -> MarketStore:
    """The same store, which calls `note` whenever something is asked of it.

    One unit of work is many calls. On a slow database it takes longer than a heartbeat may be missed, though every
    call ends within the store's own time-out: taken for hung and killed, it would begin again and never get through.
    """
    return cast(MarketStore, _Noting(store, note))

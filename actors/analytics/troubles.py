"""What keeps one symbol from being computed while all others are: told once, and kept as an incident."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from data_manager.storage.incidents import Trouble, settle
from data_manager.storage.protocols import Catalog
from data_manager.system.errors import StoreError, StoreFull, StoreUnavailable
from data_manager.system.logs import log

KIND = "analytics_failed"
EVERYBODYS = (StoreUnavailable, StoreFull)  # no symbol's own


class Troubles:
    """Those of the cycle under way."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def begin(self) -> None:
        """Another cycle."""
        self._told, self._now = self._now, {}

    @contextmanager
    def of(self, symbol: str) -> Iterator[None]:
        """Leave the block where it fails; raises what concerns every symbol (EVERYBODYS)."""
        try:
            yield
        except EVERYBODYS:
            raise
        except Exception as error:  # noqa: BLE001  the boundary of one symbol: its neighbours are computed all the same
            cause = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
            self._now[symbol] = cause
            if self._told.get(symbol) != cause:
                trace = "".join(traceback.format_exception(error))[-2000:]
                log(KIND, logging.ERROR, symbol=symbol, cause=cause, trace=trace)

    def settle(self, catalog: Catalog, now_ms: int) -> None:
        """Make the catalog's open incidents those of this cycle."""
        settle(catalog, [KIND], [Trouble(KIND, symbol, cause) for symbol, cause in self._now.items()], now_ms)

"""Which symbols the service works on: those that the catalog lists, and those that it is configured with.

SUPPORTED_PAIRS is what the list begins with. From then on the catalog has the word: a name that it lacks is added,
one that it has retired stays retired, and one that is no longer configured stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from data_manager.storage.protocols import Catalog, ListedSymbol, SymbolStatus

REMEDY = "take them from SUPPORTED_PAIRS, or have them back with `data-manager symbols add`"  # where they are retired
SYMBOLS_MAX = 1_000  # active at a time: each has a process of its own


class Change(NamedTuple):
    """What adding or retiring a symbol has done: its row, whether that is new, and which are active now."""

    listed: ListedSymbol
    changed: bool
    active: tuple[str, ...]


def statuses(listed: Iterable[ListedSymbol]) -> dict[str, str]:
    """The status of each, in the order of the list."""
    return {each.symbol: each.status for each in listed}


def active(listed: Mapping[str, str], configured: Sequence[str]) -> tuple[str, ...]:
    """The active symbols: the configured in their order, then the others in that of the list."""
    names = dict.fromkeys((*configured, *listed))
    return tuple(name for name in names if listed.get(name, SymbolStatus.ACTIVE) == SymbolStatus.ACTIVE)


def retired_but_configured(listed: Mapping[str, str], configured: Sequence[str]) -> tuple[str, ...]:
    """Those that the settings name in vain."""
    return tuple(name for name in configured if listed.get(name) == SymbolStatus.RETIRED)


def seeded(catalog: Catalog, configured: Sequence[str], now_ms: int) -> list[ListedSymbol]:
    """The list, once the configured names that it lacked have been added. Raises StoreError."""
    listed = catalog.symbols()
    known = statuses(listed)
    new = [ListedSymbol(name, SymbolStatus.ACTIVE.value, now_ms) for name in configured if name not in known]
    if not new:
        return listed
    catalog.save_symbols(new, only_new=True)  # somebody may have retired one in between
    return catalog.symbols()


def add(catalog: Catalog, symbol: str, configured: Sequence[str], now_ms: int) -> Change | None:
    """Make a symbol active, whether it is new or was retired; None where SYMBOLS_MAX are. Raises StoreError."""
    listed = seeded(catalog, configured, now_ms)
    names = active(statuses(listed), configured)
    if symbol in names:
        return Change(_row(listed, symbol), False, names)
    if len(names) >= SYMBOLS_MAX:
        return None
    return _saved(catalog, ListedSymbol(symbol, SymbolStatus.ACTIVE.value, now_ms), configured)


def retire(catalog: Catalog, symbol: str, configured: Sequence[str], now_ms: int) -> Change | None:
    """Retire a symbol, whose rows stay; None where it is not listed. Raises StoreError."""
    listed = seeded(catalog, configured, now_ms)
    names = active(statuses(listed), configured)
    if symbol not in statuses(listed):
        return None
    if symbol not in names:
        return Change(_row(listed, symbol), False, names)
    retired = msgspec.structs.replace(_row(listed, symbol), status=SymbolStatus.RETIRED.value, retired_ms=now_ms)
    return _saved(catalog, retired, configured)


def _row(listed: Iterable[ListedSymbol], symbol: str) -> ListedSymbol:
    return next(each for each in listed if each.symbol == symbol)


def _saved(catalog: Catalog, row: ListedSymbol, configured: Sequence[str]) -> Change:
    catalog.save_symbols([row])
    return Change(row, True, active(statuses(catalog.symbols()), configured))

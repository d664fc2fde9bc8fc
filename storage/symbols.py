"""Which symbols the service works on: those that the catalog lists, and those that it is configured with.

SUPPORTED_PAIRS is what the list begins with. From then on the catalog has the word: a name that it lacks is added,
one that it has retired stays retired, and one that is no longer configured stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from data_manager.storage.protocols import Catalog, ListedSymbol, SymbolStatus


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

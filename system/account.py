"""The ledgers of all symbols added up: what became of everything that was delivered."""

from __future__ import annotations

import msgspec

from data_manager.system.settings import Settings

OUTCOMES = ("stored", "replaced", "duplicate", "skipped", "quarantined")
COUNTED = ("received", *OUTCOMES, "redelivered")


class Account(msgspec.Struct, frozen=True):
    """Counts by event type and name."""

    by_type: dict[str, dict[str, int]]

    @property
    def events(self) -> int:
        """Distinct events received: deliveries less repeated deliveries."""
        return self.total("received") - self.total("redelivered")

    @property
    def balanced(self) -> bool:
        """Whether every event received has exactly one outcome, type by type."""
        return all(counts["received"] == sum(counts[name] for name in OUTCOMES) for counts in self.by_type.values())

    def total(self, name: str) -> int:
        """The sum of one count over all event types."""
        return sum(counts[name] for counts in self.by_type.values())

    def since(self, before: Account) -> Account:
        """What was added after `before`."""
        nothing = dict.fromkeys(COUNTED, 0)
        return Account(
            {
                kind: {name: counts[name] - before.by_type.get(kind, nothing)[name] for name in COUNTED}
                for kind, counts in self.by_type.items()
            }
        )


def read_account(settings: Settings) -> Account:
    """Add up the ledgers of the market store; all zero where there are none. Raises StoreError."""
    from data_manager.storage.choice import SQLITE, market_backend, open_market_store
    from data_manager.storage.records import ALL_SYMBOLS
    from data_manager.system.clock import SystemClock

    by_type: dict[str, dict[str, int]] = {}
    if market_backend(settings) == SQLITE and not settings.market_dir.exists():
        return Account(by_type)
    store = open_market_store(settings, SystemClock(), read_only=True)
    try:
        for symbol in {*store.symbols(), ALL_SYMBOLS}:
            for kind, counts in store.ledger(symbol).by_type.items():
                sums = by_type.setdefault(kind, dict.fromkeys(COUNTED, 0))
                for name in COUNTED:
                    sums[name] += getattr(counts, name)
    finally:
        store.close()
    return Account(by_type)

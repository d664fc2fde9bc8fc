"""The tree of errors, by who must act.

    DataManagerError
    ├── ConfigError       the operator: a setting, flag, port or folder is wrong; the process exits with the sentence
    ├── FeedError         nobody at once: NATS is away or refuses; callers wait and try again
    ├── StoreError        a store failed for good: its sentence says what to do
    │   ├── StoreUnavailable   for now: nothing was written; the same call may succeed later
    │   ├── StoreFull          the operator: no space is left
    │   ├── StoreCorrupt       the operator: the file is damaged or from a newer version
    │   ├── StaleLease         nobody: another replica has taken the work over; who gets this leaves it alone
    │   └── RowRefused         the publisher: the store refuses one row; its neighbours are fine
    ├── ExchangeError     the exchange did not answer what was asked
    │   ├── ExchangeClosed        nobody: too many requests were made, and none may follow before `until_ms`
    │   ├── ExchangeUnavailable   nobody at once: no whole answer came; the same request may succeed later
    │   ├── RequestRefused        who asked: the exchange will never answer this request
    │   │   └── UnknownSymbol     the operator: the exchange does not trade that symbol
    │   └── UnexpectedAnswer      the operator: what answers is not the exchange's API as it is known here
    ├── ServiceError      who typed a command: the running service did not do what was asked
    │   └── ServiceAway        nobody at once: it does not answer, or cannot do it now; the command may succeed later
    ├── ProcessDied       nobody at once: a process that worked for this one is gone; the next call starts another
    └── DataError         the publisher: this event cannot be used; it goes to quarantine

Every message is one clear sentence: what is wrong, where, and what to do.
"""

from __future__ import annotations


class DataManagerError(Exception):
    """The root; never raised itself."""


class ConfigError(DataManagerError):
    """The operator must change a setting, flag, port or folder."""


class FeedError(DataManagerError):
    """NATS is away or refuses; the caller waits and tries again."""


class StoreError(DataManagerError):
    """A store cannot do what was asked."""


class StoreUnavailable(StoreError):
    """The store is away, busy or read-only for now; nothing was written."""


class StoreFull(StoreError):
    """No space is left where the store lives."""


class StoreCorrupt(StoreError):
    """The store's file is damaged or was written by a newer version."""


class StaleLease(StoreError):
    """Who writes does so under a lease that has passed on; nothing was written."""


class RowRefused(StoreError):
    """The store refuses one row; `index` is its place in the list that was given."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


class ExchangeError(DataManagerError):
    """The exchange did not answer what was asked."""


class ExchangeClosed(ExchangeError):
    """The exchange forbids requests, or this address altogether, until `until_ms` (UTC)."""

    def __init__(self, until_ms: int, sentence: str) -> None:
        super().__init__(sentence)
        self.until_ms = until_ms


class ExchangeUnavailable(ExchangeError):
    """No whole answer came: a fault of the exchange or of the network; the same request may succeed later."""


class RequestRefused(ExchangeError):
    """The exchange understood the request and will never answer it; `code` is its own, 0 where it gave none."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class UnknownSymbol(RequestRefused):
    """The exchange does not trade that symbol."""


class UnexpectedAnswer(ExchangeError):
    """A whole answer that the exchange's API does not give: a proxy's page, or a new version's."""


class ServiceError(DataManagerError):
    """The running service, asked by a command, did not do what was asked."""


class ServiceAway(ServiceError):
    """The service does not answer, or a part of it that this needs is not at work now."""


class ProcessDied(DataManagerError):
    """A process that worked for this one ended before it had answered."""


class DataError(DataManagerError):
    """An event cannot be used. `reason` is a short constant for metrics, the message the sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason

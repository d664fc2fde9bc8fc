"""What every back end offers: `MarketStore` for market data, `Catalog` for what is said about it.

With them come the records of the catalog (storage/cataloged.py), under one roof for whoever uses it.

Both are synchronous and safe to use from one thread at a time per instance; each process makes its own.
Errors are those of system/errors.py and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import msgspec

from data_manager.storage.cataloged import (
    AuditLog,
    Conflict,
    Dataset,
    ExchangeState,
    Expiring,
    Gap,
    GapStatus,
    Health,
    Incident,
    Job,
    JobReason,
    JobStatus,
    Lineage,
    ListedSymbol,
    SymbolStatus,
)
from data_manager.storage.ledger import BatchEntry, Counts, LedgerTotals
from data_manager.storage.records import ALL_SYMBOLS, Candle, Depth, Funding, Record, Series, Symbol, Trade

__all__ = [
    "COUNT_CAP", "MERGE_ROWS", "AuditLog", "Catalog", "Conflict", "Dataset", "Difference", "Event",
    "ExchangeState", "Expiring", "Gap", "GapStatus", "Health", "Holding", "Incident", "Job", "JobReason",
    "JobStatus", "Lineage", "ListedSymbol", "MarketStore", "Merged", "Query", "SymbolStatus", "Write", "Written",
]  # fmt: skip

R = TypeVar("R", bound=Record)

COUNT_CAP = 10_000  # exact totals up to here; counting on costs more than it tells
MERGE_ROWS = 1_000  # of one merge: SQLite's other writers wait no longer than that takes


class Query(msgspec.Struct, frozen=True):
    """Which rows of one dataset: `start_ms <= time < end_ms`, where equal fields match, sorted by time and key."""

    start_ms: int | None = None
    end_ms: int | None = None
    equal: tuple[tuple[str, str | int | bool], ...] = ()
    limit: int = 100
    offset: int = 0
    descending: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """One decoded event on its way into the store.

    `event_type` is its ledger label, `record` the row it wants. `keep_first` says what happens when the key exists:
    True keeps the row that is there (the event is a duplicate); False lets the greater `rank` win (the event is
    replaced when greater, duplicate when equal, skipped when less).
    """

    event_type: str
    record: Record
    keep_first: bool = True


class Write(msgspec.Struct):
    """All that one transaction writes for one symbol."""

    events: list[Event] = msgspec.field(default_factory=list)
    derived: list[Candle] = msgspec.field(default_factory=list)  # the greater rank wins; never counted
    side: list[Record] = msgspec.field(default_factory=list)  # rows that come along; as derived, uncounted
    book: Depth | None = None  # the newest book, whatever the depth policy stores
    dirty_minutes: set[int] = msgspec.field(default_factory=set)  # open times to derive; survive a crash
    clean_minutes: set[int] = msgspec.field(default_factory=set)  # derived by this write
    batches: list[BatchEntry] = msgspec.field(default_factory=list)
    counts: dict[str, Counts] = msgspec.field(default_factory=dict)  # known before: received, skipped, ...


class Written(msgspec.Struct, frozen=True):
    """What a write did: the full ledger delta per event type, and how many trade rows were new."""

    counts: dict[str, Counts]
    new_trades: int


class Difference(msgspec.Struct, frozen=True):
    """Two rows under one key that say different things; `offered` is the one that came later."""

    stored: Record
    offered: Record


class Merged(msgspec.Struct, frozen=True):
    """What a merge did: rows that were new, rows that gave way to better ones, and what was not the same."""

    inserted: int = 0
    replaced: int = 0
    differences: tuple[Difference, ...] = ()


class Holding(msgspec.Struct, frozen=True):
    """What a store holds of one series."""

    series: Series
    rows: int
    oldest_ms: int  # by the time that ranges use
    newest_ms: int
    bytes: int | None  # the server's own figure; None where it has none for a single series


class MarketStore(Protocol):
    """Market data, its quarantine and its ledger, by symbol."""

    @property
    def expires_itself(self) -> bool:
        """Whether the server deletes what is too old by the retention the store was opened with."""
        ...

    def write(self, symbol: Symbol, write: Write) -> Written:
        """Write all of it, or nothing; rows, quarantine and ledger stand or fall together.

        Raises RowRefused for a row the store can never take, StoreUnavailable when trying again may help.
        """
        ...

    def merge(self, symbol: Symbol, rows: Sequence[Trade] | Sequence[Candle] | Sequence[Funding]) -> Merged:
        """Bring rows of the exchange's REST side together with those stored, at most MERGE_ROWS of one type.

        A row whose key is not there is inserted; one whose key is there replaces it where its rank is greater. Rows
        under one key that say different things (storage/differing.py) are told, whichever of them stays, also when
        another process writes at the same time: nothing is overwritten unseen. A bar that has closed takes its open
        bar away. Outside the ledger, since nothing of it came from the feed. A repetition changes nothing. Raises
        RowRefused, or StoreUnavailable when trying again may help.
        """
        ...

    def seen_positions(self, symbol: Symbol, incarnation: int, positions: Iterable[int]) -> set[int]:
        """Those of the feed positions that some batch brought before."""
        ...

    def ledger(self, symbol: Symbol) -> LedgerTotals:
        """The symbol's totals; all zero when it has never been written."""
        ...

    def rows(self, symbol: Symbol, record: type[R], query: Query) -> list[R]:
        """The rows that match, at most `query.limit`; empty for an unknown symbol."""
        ...

    def count(self, symbol: Symbol, record: type[Record], query: Query, cap: int = COUNT_CAP) -> int:
        """How many rows match without limit and offset, counted no further than `cap`."""
        ...

    def trades_between(self, symbol: Symbol, start_ms: int, end_ms: int) -> list[Trade]:
        """Every trade and aggTrade with `start_ms <= time_ms < end_ms`, by time and id."""
        ...

    def neighbours(
        self, symbol: Symbol, start_ms: int, end_ms: int
    ) -> tuple[Trade | None, Trade | None, Trade | None, Trade | None]:
        """The raw trade and the aggTrade nearest before `start_ms`, then those nearest at or after `end_ms`."""
        ...

    def dirty_minutes(self, symbol: Symbol) -> set[int]:
        """Minutes whose bar must be derived again."""
        ...

    def latest_book(self, symbol: Symbol) -> Depth | None:
        """The newest book ever received."""
        ...

    def symbols(self) -> Sequence[Symbol]:
        """Every symbol that holds data, sorted; ALL_SYMBOLS is not one."""
        ...

    def expire(self, series: Series, stored_before_ms: int, limit: int = 1000) -> int:
        """Delete rows stored before that time, at most `limit` in one transaction; return how many."""
        ...

    def holdings(self, symbol: Symbol) -> list[Holding]:
        """Every series of the symbol that has rows, in the order of `all_series_of`, counted exactly: may take long."""
        ...

    def data_bytes(self) -> int:
        """How much all of it takes, by the server's own figures, without indexes where it tells them apart."""
        ...

    def free_bytes(self) -> int | None:
        """What is left for it on its disk; None where it cannot tell."""
        ...

    def findings(self) -> list[str]:
        """What is not as it should be and will not mend itself, one sentence each; empty when all is well."""
        ...

    def check(self, symbol: Symbol = ALL_SYMBOLS) -> None:
        """Return when the store, and what it keeps of the symbol, can be read and written now.

        Raises StoreError otherwise.
        """
        ...

    def close(self) -> None:
        """Release files and connections; harmless when repeated."""
        ...


class Catalog(Protocol):
    """What is said about the data: datasets, lineage, jobs and incidents."""

    def save_incident(self, incident: Incident) -> None:
        """Insert it, or update the one with the same id."""
        ...

    def incidents(self, limit: int = 100, open_only: bool = False) -> list[Incident]:
        """The newest first."""
        ...

    def save_datasets(self, datasets: Sequence[Dataset]) -> int:
        """Insert those that are new and update the others, whose `created_ms` stays; return how many were new."""
        ...

    def datasets(
        self,
        *,
        category: str | None = None,
        owner: str | None = None,
        search: str | None = None,
        limit: int = 100,
        offset: int = 0,
        descending: bool = False,
    ) -> tuple[list[Dataset], int]:
        """Those that match, by id, and how many match in all; `search` is looked for in id, name and description."""
        ...

    def dataset(self, dataset_id: str) -> Dataset | None:
        """The one with that id."""
        ...

    def save_lineage(self, records: Sequence[Lineage]) -> None:
        """Insert them; one whose id is there already replaces it, so that a repetition changes nothing."""
        ...

    def lineage(self, dataset_id: str, limit: int = 100) -> list[Lineage]:
        """How that dataset came to be, the newest first."""
        ...

    def save_job(self, job: Job) -> None:
        """Insert it, or update the one with the same id."""
        ...

    def job(self, job_id: str) -> Job | None:
        """The one with that id, by primary key."""
        ...

    def jobs(
        self,
        *,
        statuses: Sequence[str] = (),
        symbol: str | None = None,
        data_type: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        offset: int = 0,
        descending: bool = True,
    ) -> tuple[list[Job], int]:
        """Those that match, by when they were created (`from_ms <= created < to_ms`) and id, and how many in all.

        No status means any.
        """
        ...

    def save_gaps(self, gaps: Sequence[Gap]) -> None:
        """Insert them, or update those with the same id, whose `first_seen_ms` stays."""
        ...

    def see_gaps(self, gaps: Sequence[Gap]) -> None:
        """Insert them, or update times, cause, evidence and `last_seen_ms` of those with the same id.

        Status and job of a gap that is there stay: while an audit looks, a job may have taken it up.
        """
        ...

    def move_gap(
        self,
        gap_id: str,
        to: GapStatus,
        *,
        only_from: Sequence[GapStatus],
        at_ms: int,
        job_id: str | None = None,
        evidence: str | None = None,
    ) -> bool:
        """Give the gap another status if it has one of `only_from`, in one statement; False where it has none.

        `job_id` and `evidence` are written where given; `closed_ms` becomes `at_ms` where `to` is an end, else None.
        """
        ...

    def save_health(self, metrics: Sequence[Health]) -> None:
        """Insert them, or update those with the same id."""
        ...

    def latest_health(self, symbol: str | None = None) -> list[Health]:
        """The newest of each dataset, by dataset."""
        ...

    def health_history(self, dataset_id: str, limit: int = 100) -> list[Health]:
        """The newest first."""
        ...

    def save_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        """Insert them, or update those with the same id: the same conflict twice is one row."""
        ...

    def conflicts(self, *, dataset_id: str | None = None, limit: int = 100) -> list[Conflict]:
        """The newest first."""
        ...

    def save_exchange_state(self, state: ExchangeState) -> None:
        """Insert it, or update the one with the same name."""
        ...

    def exchange_state(self, name: str) -> ExchangeState | None:
        """The one with that name."""
        ...

    def gaps(
        self,
        *,
        symbol: str | None = None,
        dataset_id: str | None = None,
        statuses: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
        descending: bool = True,
    ) -> tuple[list[Gap], int]:
        """Those that match, by their start and id, and how many match in all; no status means any."""
        ...

    def gap(self, gap_id: str) -> Gap | None:
        """The one with that id."""
        ...

    def save_audit_logs(self, logs: Sequence[AuditLog]) -> None:
        """Insert them, or update those with the same id, whose `at_ms` stays: the same finding twice is one row."""
        ...

    def audit_logs(
        self,
        *,
        symbol: str | None = None,
        severity: str | None = None,
        audit_type: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        offset: int = 0,
        descending: bool = True,
    ) -> tuple[list[AuditLog], int]:
        """Those that match, by when they were found (`from_ms <= at < to_ms`) and id, and how many in all."""
        ...

    def count_audit_logs(self, audit_type: str) -> dict[tuple[str, str], int]:
        """How many there are of a type, by symbol and severity."""
        ...

    def symbols(self) -> list[ListedSymbol]:
        """All of them, in the order in which they were added; those of one moment by name."""
        ...

    def save_symbols(self, symbols: Sequence[ListedSymbol], *, only_new: bool = False) -> None:
        """Insert them, or update those that are there, which `only_new` leaves as they are."""
        ...

    def expire(self, table: Expiring, before_ms: int, limit: int = 1000) -> int:
        """Delete what ended or was written before that time, at most `limit` rows; return how many."""
        ...

    def data_bytes(self) -> int:
        """How much this service's own tables take, by the server's figures."""
        ...

    def check(self) -> None:
        """Return when the catalog can be read and written now; raise StoreError otherwise."""
        ...

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        ...

"""What every back end offers: `MarketStore` for market data, `Catalog` for what is said about it.

Both are synchronous and safe to use from one thread at a time per instance; each process makes its own.
Errors are those of system/errors.py and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec

from data_manager.storage.ledger import BatchEntry, Counts, LedgerTotals
from data_manager.storage.records import ALL_SYMBOLS, Candle, Depth, Record, Series, Symbol, Trade

R = TypeVar("R", bound=Record)

COUNT_CAP = 10_000  # exact totals up to here; counting on costs more than it tells


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
        """Every series of the symbol that has rows, in the order of `series_of`, counted exactly: may take long."""
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


class Incident(msgspec.Struct, frozen=True):
    """Something that went wrong, from its start to its end."""

    incident_id: str
    kind: str  # e.g. actor_down, suspected_gap, broker_down, store_down
    subject: str  # the actor, symbol or part
    cause: str
    started_ms: int
    ended_ms: int | None = None
    detail: str = ""


class Dataset(msgspec.Struct, frozen=True):
    """A series as the catalog describes it, registered when it first holds data."""

    dataset_id: str
    name: str
    description: str
    category: str
    schema_id: str
    storage_type: str  # mongodb, sqlite or mysql
    owner: str
    update_frequency: str
    created_ms: int
    updated_ms: int


class Lineage(msgspec.Struct, frozen=True):
    """What one dataset was made of, in one hour or by one job."""

    lineage_id: str
    dataset_id: str
    source_dataset_id: str | None
    transformation: str
    input_records: int | None
    output_records: int | None
    at_ms: int


class Job(msgspec.Struct, frozen=True):
    """A backfill job; `status` is pending, running, completed or failed."""

    job_id: str
    symbol: str
    data_type: str
    timeframe: str | None
    start_ms: int
    end_ms: int
    status: str
    created_ms: int | None  # None: a row of the original's with a blank date
    priority: int = 5
    progress: float = 0.0  # percent
    records_fetched: int = 0
    records_inserted: int = 0
    error_message: str | None = None
    started_ms: int | None = None
    completed_ms: int | None = None


class GapStatus(StrEnum):
    """How far a gap has come. The last three are ends."""

    OPEN = "open"
    BACKFILLING = "backfilling"
    CLOSED = "closed"  # audited again and found whole
    UNFILLABLE = "unfillable"  # nobody has the data
    EXCHANGE_EMPTY = "exchange_empty"  # the exchange says that there never was any


class Gap(msgspec.Struct, frozen=True):
    """A part of a dataset that is missing, from its discovery to its end: `start_ms <= time < end_ms`."""

    gap_id: str
    dataset_id: str
    symbol: str
    data_type: str  # candles or trades
    timeframe: str | None  # of candles
    start_ms: int
    end_ms: int
    status: str  # a GapStatus
    cause: str | None
    evidence: str | None
    first_seen_ms: int
    last_seen_ms: int
    job_id: str | None = None  # the job that repaired it
    closed_ms: int | None = None


class AuditLog(msgspec.Struct, frozen=True):
    """Something an audit found, once; `severity` is info, low, medium, high or critical."""

    audit_id: str
    dataset_id: str
    symbol: str
    audit_type: str  # gap
    severity: str
    details: str
    at_ms: int


class Expiring(StrEnum):
    """What the catalog keeps for a time: its tables, by the names users know."""

    AUDIT_LOGS = "audit_logs"
    HEALTH_METRICS = "health_metrics"
    BACKFILL_JOBS = "backfill_jobs"  # that ended
    LINEAGE = "lineage_records"
    INCIDENTS = "data_manager_incidents"  # that ended
    GAPS = "data_manager_gaps"  # that are closed
    CONFLICTS = "data_manager_conflicts"


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

    def save_gaps(self, gaps: Sequence[Gap]) -> None:
        """Insert them, or update those with the same id, whose `first_seen_ms` stays."""
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
        """Insert them, or update those with the same id: the same finding twice is one row."""
        ...

    def audit_logs(self, symbol: str, limit: int = 100) -> list[AuditLog]:
        """What audits found of that symbol, the newest first."""
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

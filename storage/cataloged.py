"""What the catalog says, as records: times in ms UTC, null where something is not known."""

from __future__ import annotations

from enum import StrEnum

import msgspec


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
    """A backfill job; `status` is a JobStatus."""

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
    reason: str = "user"  # a JobReason
    checkpoint: str | None = None  # how far it has come, as backfill writes it; None: nothing is done yet


class JobStatus(StrEnum):
    """How far a job has come. The last two are ends."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class JobReason(StrEnum):
    """Why there is a job."""

    USER = "user"
    GAP = "gap"
    BOOTSTRAP = "bootstrap"


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
    """Something an audit or analytics found, once; `severity` is info, low, medium, high or critical."""

    audit_id: str
    dataset_id: str
    symbol: str
    audit_type: str  # gap or anomaly
    severity: str
    details: str
    at_ms: int


class Health(msgspec.Struct, frozen=True):
    """How good one dataset was at a time. What could not be measured is None, never 0."""

    metric_id: str
    dataset_id: str
    symbol: str
    timeframe: str | None
    completeness: float | None  # percent
    freshness_seconds: int | None
    gaps_count: int | None
    duplicates_count: int | None
    consistency_score: float | None  # percent
    quality_score: float | None  # percent
    at_ms: int


class Conflict(msgspec.Struct, frozen=True):
    """Two rows under one key that said different things, as JSON."""

    conflict_id: str
    dataset_id: str
    symbol: str
    row_key: str
    stored_row: str
    offered_row: str
    source: str  # of the row that was offered: rest
    at_ms: int


class ExchangeState(msgspec.Struct, frozen=True):
    """Something about the exchange that a restart must not forget."""

    name: str
    value: str
    until_ms: int | None
    updated_ms: int


class SymbolStatus(StrEnum):
    """Whether a symbol's events are taken in."""

    ACTIVE = "active"
    RETIRED = "retired"  # what is stored of it stays, and is served


class ListedSymbol(msgspec.Struct, frozen=True):
    """A symbol of the service; `status` is a SymbolStatus."""

    symbol: str
    status: str
    added_ms: int  # the last time
    retired_ms: int | None = None  # None while it is active


class Expiring(StrEnum):
    """What the catalog keeps for a time: its tables, by the names users know."""

    AUDIT_LOGS = "audit_logs"
    HEALTH_METRICS = "health_metrics"
    BACKFILL_JOBS = "backfill_jobs"  # that ended
    LINEAGE = "lineage_records"
    INCIDENTS = "data_manager_incidents"  # that ended
    GAPS = "data_manager_gaps"  # closed and unfillable; exchange_empty stays: it keeps backfill from asking again
    CONFLICTS = "data_manager_conflicts"

"""What the service answers to commands, as far as they use it (http/jobs.py, http/gaps.py, http/errors.py)."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from data_manager.system.errors import ServiceError

T = TypeVar("T")


class Fault(msgspec.Struct, frozen=True):
    """One value that was refused, and where it stood."""

    loc: list[str | int]
    msg: str


class Problem(msgspec.Struct, frozen=True):
    """The body of every error."""

    detail: str | list[Fault]


class Asked(msgspec.Struct, frozen=True):
    """What a job is to fetch."""

    symbol: str
    data_type: str
    timeframe: str | None
    start_time: datetime
    end_time: datetime

    @property
    def subject(self) -> str:
        """In words, without the times."""
        return " ".join(filter(None, (self.symbol, self.data_type, self.timeframe)))


class Job(msgspec.Struct, frozen=True):
    """A backfill job."""

    job_id: str
    status: str
    reason: str
    request: Asked
    progress: float
    records_fetched: int
    records_inserted: int
    rows_per_second: float | None
    eta_seconds: float | None
    error_message: str | None
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    gap_ids: list[str] = []
    exchange_closed_until: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.status in ("completed", "failed")


class ListedSymbol(msgspec.Struct, frozen=True):
    """A symbol of the service; `state` is that of its actor."""

    symbol: str
    status: str
    added_at: datetime
    retired_at: datetime | None
    state: str | None
    warning: str = ""


class SymbolPage(msgspec.Struct, frozen=True):
    """All of them."""

    data: list[ListedSymbol]


class Gap(msgspec.Struct, frozen=True):
    """A gap; `job` is given where one gap is asked for."""

    gap_id: str
    dataset_id: str
    pair: str
    data_type: str
    timeframe: str | None
    start: datetime
    end: datetime
    status: str
    cause: str | None
    evidence: str | None
    job_id: str | None
    first_seen: datetime
    last_seen: datetime
    closed_at: datetime | None
    job: Job | None = None


class Pagination(msgspec.Struct, frozen=True):
    """Where a page stands."""

    total: int


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list."""

    data: list[T]
    pagination: Pagination


class Outcomes(msgspec.Struct, frozen=True):
    """What became of events."""

    received: int
    stored: int
    replaced: int
    duplicate: int
    skipped: int
    quarantined: int
    redelivered: int


class EventType(Outcomes, frozen=True, kw_only=True):
    """... of one type."""

    event_type: str
    balanced: bool


class SymbolLedger(msgspec.Struct, frozen=True):
    """... of one symbol; `pair` is None for what has none."""

    pair: str | None
    event_types: list[EventType]


class Ledger(msgspec.Struct, frozen=True):
    """... of all."""

    data: list[SymbolLedger]
    total: Outcomes
    balanced: bool


class QuarantinedEvent(msgspec.Struct, frozen=True):
    """An event that could not be used."""

    event_id: str
    pair: str | None
    event_type: str
    reason: str
    detail: str
    received_at: datetime
    stored_at: datetime
    raw: str
    raw_encoding: str
    raw_bytes: int
    raw_truncated: bool


class Quarantine(msgspec.Struct, frozen=True):
    """The newest of them."""

    data: list[QuarantinedEvent]


class ReplayedEvent(msgspec.Struct, frozen=True):
    """Where an event went; `stream` and `sequence` are None in core mode."""

    event_id: str
    subject: str
    stream: str | None
    sequence: int | None


class Actor(msgspec.Struct, frozen=True):
    """An actor as its supervisor sees it."""

    name: str
    state: str
    detail: str
    pid: int | None
    restarts: int
    last_cause: str | None
    uptime_s: float
    lag: int | None
    holder: str | None = None


class Replica(msgspec.Struct, frozen=True):
    """One of several that are one service, and the leases that it holds."""

    replica: str
    leases: list[str]


class Fleet(msgspec.Struct, frozen=True):
    """All of them; `me` is the one that answered."""

    me: str
    replicas: list[Replica]


class Incident(msgspec.Struct, frozen=True):
    """Something that is wrong now."""

    kind: str
    subject: str
    cause: str


class Tree(msgspec.Struct, frozen=True):
    """All actors, in start order, and the replicas where there may be several."""

    draining: bool
    actors: list[Actor]
    incidents: list[Incident]
    fleet: Fleet | None = None


class Readiness(msgspec.Struct, frozen=True):
    """Whether the service is ready, and its parts."""

    ready: bool
    components: dict[str, str]
    delivery: str | None


class Condition(msgspec.Struct, frozen=True):
    """How good the service and its data are; None is what is not known."""

    status: str
    reasons: list[str]
    total_datasets: int | None
    overall_score: float | None


class Summary(msgspec.Struct, frozen=True):
    """The answer to `GET /health/summary`."""

    data: Condition


class Volatility(msgspec.Struct, frozen=True):
    """Of one symbol, at a glance; None is what is not known."""

    annualized: str | float | None


class Volume(msgspec.Struct, frozen=True):
    """Likewise."""

    spike_ratio: str | float | None


class Trend(msgspec.Struct, frozen=True):
    """Likewise; `roc` in percent."""

    direction: str
    roc: str | float | None


class Regime(msgspec.Struct, frozen=True):
    """Likewise."""

    classification: str
    confidence: str | float | None


class Glance(msgspec.Struct, frozen=True):
    """One symbol of the overview."""

    volatility: Volatility
    volume: Volume
    trend: Trend
    regime: Regime


class Overview(msgspec.Struct, frozen=True):
    """What is known of each symbol."""

    overview: dict[str, Glance]


class Anomaly(msgspec.Struct, frozen=True):
    """One that was found in a cycle or on demand."""

    dataset_id: str
    severity: str
    details: str
    timestamp: datetime


class Anomalies(msgspec.Struct, frozen=True):
    """A page of them."""

    data: list[Anomaly]
    total_count: int


class FoundAnomaly(msgspec.Struct, frozen=True):
    """One that was found just now, at its bar."""

    timestamp: datetime
    price: str | float
    severity: str
    score: str | float
    reason: str


class Note(msgspec.Struct, frozen=True):
    """Why the bars that there are cannot be judged."""

    message: str


class Detection(msgspec.Struct, frozen=True):
    """The answer to `POST /anomalies/detect`."""

    anomalies_detected: int
    anomalies: list[FoundAnomaly]
    metadata: Note | None = None


class Started(msgspec.Struct, frozen=True):
    """The answer to `POST /audit/run`."""

    status: str
    message: str


def decode(body: bytes, kind: type[T]) -> T:
    """A good answer; raises ServiceError for one that is of another version."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ServiceError(f"The service answers in a way that this version does not know: {error}.") from error

"""Metrics that travel by message: each actor keeps totals since its start, the supervisor adds generations up.

A series is a name with its sorted labels. Histograms are kept as Prometheus stores them, cumulative `_bucket`
counters with `_sum` and `_count`, so that everything but a gauge is a counter and folds by addition.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

Series = tuple[str, tuple[tuple[str, str], ...]]  # (name, ((label, value), ...)), labels sorted


class Family(NamedTuple):
    """What one metric is: `kind` is counter, gauge or histogram; `buckets` are a histogram's upper bounds."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BYTES = (100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0)
LATENCY = tuple(round(0.001 * 1.15**i, 6) for i in range(67))  # 1 ms to about 10 s in steps of 15 %

# Names and labels of contract.md §8 first (dashboards key on them), then our own.
FAMILIES: dict[str, Family] = {
    "data_manager_messages_received_total": Family(
        "counter", "Events delivered, once as `raw` and once by type.", ("event_type",)
    ),
    "data_manager_messages_processed_total": Family("counter", "Events with an outcome.", ("event_type",)),
    "data_manager_messages_failed_total": Family(
        "counter", "Events that could not be used.", ("event_type", "error_type")
    ),
    "data_manager_message_processing_seconds": Family(
        "histogram",
        "Seconds per event from decoding to commit, shared out over its batch.",
        ("event_type",),
        SECONDS,
    ),
    "data_manager_nats_connection_status": Family("gauge", "1 while the router is connected to NATS."),
    "data_manager_nats_reconnections_total": Family("counter", "Reconnections to NATS, all actors."),
    "data_manager_nats_errors_total": Family("counter", "NATS errors.", ("type",)),
    "data_manager_requests_total": Family("counter", "HTTP requests.", ("method", "endpoint", "status_code")),
    "data_manager_request_duration_seconds": Family(
        "histogram", "HTTP request duration.", ("method", "endpoint"), SECONDS
    ),
    "data_manager_request_size_bytes": Family("histogram", "Request bodies.", ("method", "endpoint"), BYTES),
    "data_manager_response_size_bytes": Family(
        "histogram", "Response bodies, but for streams.", ("method", "endpoint"), BYTES
    ),
    "data_manager_errors_total": Family("counter", "HTTP errors.", ("method", "endpoint", "error_type")),
    "data_manager_database_operations_total": Family(
        "counter", "Calls to a store.", ("database", "operation", "status")
    ),
    "data_manager_database_operation_duration_seconds": Family(
        "histogram", "How long a store took to answer a call.", ("database", "operation"), SECONDS
    ),
    "data_manager_mysql_write_failures_total": Family(
        "counter", "Writes of the catalog that MySQL did not take.", ("database", "collection", "reason")
    ),
    "data_manager_mongo_data_size_bytes": Family("gauge", "Logical size of the MongoDB database.", ("database",)),
    "data_manager_mongo_data_size_scrape_errors_total": Family("counter", "Failures to read that size."),
    "data_manager_events_total": Family("counter", "The ledger's outcomes.", ("symbol", "event_type", "outcome")),
    "data_manager_publish_to_stored_seconds": Family(
        "histogram", "From the server receiving an event to its commit.", (), LATENCY
    ),
    "data_manager_ingest_lag_batches": Family("gauge", "MARKET batches waiting.", ("symbol",)),
    "data_manager_router_lag_messages": Family("gauge", "FEED messages waiting."),
    "data_manager_feed_headroom_seconds": Family("gauge", "How long an outage FEED can hold at the present rate."),
    "data_manager_router_batches_total": Family("counter", "Batches published to MARKET."),
    "data_manager_suspected_gaps_total": Family("counter", "Ranges that may be missing.", ("symbol", "reason")),
    "data_manager_depth_updates_total": Family("counter", "Diff depth updates seen.", ("symbol", "chain")),
    "data_manager_candles_derived_total": Family("counter", "Bars derived or rolled up.", ("symbol", "timeframe")),
    "data_manager_actor_up": Family("gauge", "1 while the actor answers its heartbeat.", ("actor",)),
    "data_manager_actor_restarts_total": Family("counter", "Restarts since the process started.", ("actor",)),
    "data_manager_actor_parked": Family("gauge", "1 while the actor's restart budget is exhausted.", ("actor",)),
    "data_manager_actor_memory_bytes": Family("gauge", "Resident memory.", ("actor",)),
    "data_manager_lease_held": Family("gauge", "1 for each lease that this replica holds.", ("lease",)),
    "data_manager_members": Family("gauge", "Replicas that are alive, this one included."),
    "data_manager_dead_letters_total": Family("counter", "Actor messages whose receiver was gone."),
    "data_manager_store_up": Family("gauge", "1 while the store answers the auditor.", ("store",)),
    "data_manager_store_circuit": Family(
        "gauge", "HTTP's circuit to a database server: 0 closed, 1 half-open, 2 open.", ("store",)
    ),
    "data_manager_store_data_bytes": Family("gauge", "What a store's data takes.", ("store",)),
    "data_manager_store_free_bytes": Family("gauge", "What is left on the disk of the market store."),
    "data_manager_expired_rows_total": Family("counter", "Rows deleted at the end of their retention.", ("dataset",)),
    "data_manager_shed_rows_total": Family(
        "counter", "Order-book rows deleted early, for want of space.", ("dataset",)
    ),
    "data_manager_audit_cycle_seconds": Family("gauge", "How long the last audit of everything took."),
    "data_manager_audit_rounds_total": Family("counter", "Audits of everything that have ended."),
    "data_manager_audit_leader_status": Family("gauge", "1 in the replica that audits; absent in others."),
    "data_manager_audit_gaps_detected_total": Family("counter", "Gaps found.", ("symbol", "timeframe")),
    "data_manager_audit_health_score": Family(
        "gauge", "How good a dataset is, 0 to 100; absent while unknown.", ("symbol", "data_type", "timeframe")
    ),
    "data_manager_audit_completeness_ratio": Family(
        "gauge",
        "Share of what should be there of the last 24 hours that is; absent while unknown.",
        ("symbol", "data_type", "timeframe"),
    ),
    "data_manager_gaps_open": Family(
        "gauge", "Gaps of a dataset that have not ended.", ("symbol", "data_type", "timeframe")
    ),
    "data_manager_analytics_documents": Family("gauge", "Documents that the last cycle wrote.", ("state",)),
    "data_manager_analytics_cycle_seconds": Family("gauge", "How long it took to write them."),
    "data_manager_analytics_cycles_total": Family("counter", "Cycles that have written theirs."),
    "data_manager_anomalies_total": Family("counter", "Anomalies found, each once.", ("method", "severity")),
    "data_manager_feed_messages_total": Family(
        "counter", "Events that came from the exchange's streams, by their class.", ("class",)
    ),
    "data_manager_feed_reconnects_total": Family(
        "counter", "Connections to the exchange's streams that replaced one, planned or after a break."
    ),
    "data_manager_feed_dropped_total": Family(
        "counter", "Messages of the exchange's streams that were not published.", ("reason",)
    ),
    "data_manager_audit_backfills_triggered_total": Family("counter", "Jobs made of gaps, all of them."),
    "data_manager_auto_backfill_triggered_total": Family(
        "counter", "Jobs made of gaps.", ("symbol", "timeframe", "reason")
    ),
    "data_manager_backfill_jobs": Family("gauge", "Backfill jobs that have not ended.", ("status",)),
    "data_manager_backfill_progress_ratio": Family(
        "gauge", "How much of a dataset's newest job is done.", ("symbol", "data_type", "timeframe")
    ),
    "data_manager_backfill_rows_total": Family(
        "counter", "Rows fetched that were new, or better than what was stored.", ("data_type",)
    ),
    "data_manager_backfill_conflicts_total": Family(
        "counter", "Rows fetched that contradict what was stored.", ("symbol",)
    ),
    "data_manager_backfill_weight_used": Family("gauge", "Request weight spent in the last minute."),
    "data_manager_backfill_weight_limit": Family("gauge", "Request weight that may be spent in a minute."),
    "data_manager_exchange_closed_seconds": Family(
        "gauge", "How long the exchange still forbids requests; 0 while it allows them."
    ),
    "data_manager_exchange_clock_skew_ms": Family("gauge", "How far the exchange's clock is ahead of this host's."),
    "data_manager_telemetry_exporting": Family(
        "gauge", "1 while the collector takes what the actor's process exports.", ("actor", "signal")
    ),
    "data_manager_telemetry_dropped_total": Family(
        "counter", "Spans, log records and metrics that were not exported.", ("actor", "signal")
    ),
    "data_manager_published_total": Family("counter", "Events the simulated exchange published.", ("event_type",)),
}


class Totals(msgspec.Struct, frozen=True):
    """A snapshot: counters since the actor's start, and gauges as they stand."""

    counters: dict[Series, float] = {}
    gauges: dict[Series, float] = {}


def series(name: str, labels: dict[str, str]) -> Series:
    """The key of one series."""
    return name, tuple(sorted(labels.items()))


def add_counters(totals: Iterable[dict[Series, float]]) -> dict[Series, float]:
    """The sum, series by series."""
    out: dict[Series, float] = {}
    for counters in totals:
        for key, value in counters.items():
            out[key] = out.get(key, 0.0) + value
    return out


class Metrics:
    """One actor's metrics, for all its threads. Only names of FAMILIES are accepted (KeyError otherwise)."""

    def __init__(self) -> None:
        self._counters: dict[Series, float] = {}
        self._gauges: dict[Series, float] = {}
        self._histograms: dict[Series, _Histogram] = {}
        self._lock = threading.Lock()  # stores and exporters have threads, and a lost addition is a counter that falls

    def inc(self, name: str, value: float = 1, **labels: str) -> None:
        """Raise a counter."""
        assert FAMILIES[name].kind == "counter", name
        key = series(name, labels)
        with self._lock:
            self._counters[key] = self._counters.get(key, 0.0) + value

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        assert FAMILIES[name].kind == "gauge", name
        with self._lock:
            self._gauges[series(name, labels)] = value

    def observe(self, name: str, value: float, times: int = 1, **labels: str) -> None:
        """Count `times` observations of `value` in a histogram."""
        self.observe_all(name, ((value, times),), **labels)

    def observe_all(self, name: str, observations: Iterable[tuple[float, int]], **labels: str) -> None:
        """Count many (value, times) in a histogram."""
        key = series(name, labels)
        with self._lock:
            histogram = self._histograms.get(key)
            if histogram is None:
                assert FAMILIES[name].kind == "histogram", name
                histogram = self._histograms[key] = _Histogram(FAMILIES[name].buckets)
            for value, times in observations:
                histogram.observe(value, times)

    def totals(self) -> Totals:
        """A copy that can travel."""
        with self._lock:
            counters = dict(self._counters)
            for (name, labels), histogram in self._histograms.items():
                counters.update(histogram.series(name, labels))
            return Totals(counters, dict(self._gauges))


class _Histogram:
    """Observations per bucket; cumulated only when they are read, which is rarer."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._times = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int) -> None:
        """Count `times` observations of `value`."""
        self._times[bisect_left(self._bounds, value)] += times
        self._sum += value * times

    def series(self, name: str, labels: tuple[tuple[str, str], ...]) -> Iterator[tuple[Series, float]]:
        """Prometheus's form; buckets that nothing has reached are left out."""
        running = 0
        for bound, times in zip((*self._bounds, float("inf")), self._times, strict=True):
            running += times
            if running:
                yield (f"{name}_bucket", tuple(sorted((*labels, ("le", bucket_label(bound)))))), float(running)
        yield (f"{name}_sum", labels), self._sum
        yield (f"{name}_count", labels), float(running)


def bucket_label(bound: float) -> str:
    """The `le` label of an upper bound."""
    return "+Inf" if bound == float("inf") else repr(bound)


def quantile(counters: dict[Series, float], name: str, q: float) -> float | None:
    """The upper bound of the bucket that holds the q-quantile over all labels; None without observations."""
    by_bound: dict[float, float] = {}
    for (key, labels), value in counters.items():
        if key == f"{name}_bucket":
            bound = float(dict(labels)["le"])
            by_bound[bound] = by_bound.get(bound, 0.0) + value
    if not by_bound:
        return None
    bounds = sorted(by_bound)
    # a bucket that one generation never reached has no series there: cumulate over those below
    total = by_bound[bounds[-1]]
    return next(bound for bound in bounds if by_bound[bound] >= q * total)

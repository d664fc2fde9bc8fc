"""The environment names of the original service, and how to guess what a mistyped name meant.

Names that are settings here are fields of `Settings`. The others are accepted, so that the original's
manifests start this service unchanged, and said to be without effect once at start.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

CONFIG_FILE = "DATA_MANAGER_CONFIG"  # names the YAML file; not a setting, since it says where settings are
MAX_TYPOS = 2  # an environment name this far from a known one is probably that name, mistyped

_REASONS: tuple[tuple[str, str], ...] = (
    (
        "a store is asked when it is needed and tried again with a back-off of its own; STORE_TIMEOUT_S bounds a call",
        "DB_HEALTH_CHECK_INTERVAL DB_RECONNECT_MAX_ATTEMPTS DB_RECONNECT_BACKOFF_BASE DB_CONNECTION_TIMEOUT",
    ),
    (
        "not needed: keys are natural, so there are no duplicates to remove, and audits begin within seconds",
        "ENABLE_DUPLICATE_REMOVAL DUPLICATE_RESOLUTION_STRATEGY INITIAL_STARTUP_DELAY",
    ),
    ("no other market than futures is ever asked: its rows are not what is missing", "BINANCE_API_BASE_URL"),
    (
        "not yet used: this version runs as one replica",
        "ENABLE_LEADER_ELECTION LEADER_ELECTION_HEARTBEAT_INTERVAL LEADER_ELECTION_TIMEOUT",
    ),
    ("the connection to NATS is never given up", "NATS_MAX_RECONNECT_ATTEMPTS"),
    ("the name is fixed", "NATS_CLIENT_NAME"),
    ("only public market data is read", "BINANCE_API_KEY BINANCE_API_SECRET"),
    (
        "every symbol has one process; MAX_BATCH and LINGER_MS shape the batches",
        "MAX_BATCH_SIZE MAX_CONCURRENT_TASKS MESSAGE_QUEUE_SIZE",
    ),
    ("CANDLE_DATABASE_TYPE says where candles are read", "DB_ADAPTER EXTRACTOR_DB_ADAPTER"),
    (
        "no candles of that timeframe are kept",
        "KLINES_RETENTION_DAYS_3M KLINES_RETENTION_DAYS_30M KLINES_RETENTION_DAYS_2H KLINES_RETENTION_DAYS_6H"
        " KLINES_RETENTION_DAYS_8H KLINES_RETENTION_DAYS_12H KLINES_RETENTION_DAYS_3D KLINES_RETENTION_DAYS_1W",
    ),
    ("health is served on API_PORT", "HEALTH_CHECK_PORT HEALTH_CHECK_INTERVAL"),
    (
        "the API is one process with fixed limits",
        "API_WORKERS API_MAX_PAGE_SIZE API_DEFAULT_PAGE_SIZE API_MAX_BATCH_SIZE API_QUERY_TIMEOUT",
    ),
    ("raw queries are not part of this service", "RAW_QUERY_ENABLED RAW_QUERY_TIMEOUT RAW_QUERY_MAX_RESULTS"),
    (
        "changes of state are logged, requests are not",
        "LOG_REQUEST_DETAILS LOG_RESPONSE_DETAILS LOG_QUERY_DETAILS",
    ),
    (
        "never had an effect in the original either",
        "MIN_GAP_SIZE_SECONDS DEFAULT_VOLATILITY_WINDOW DEFAULT_VOLUME_WINDOW DEFAULT_TREND_WINDOW",
    ),
)

WITHOUT_EFFECT: dict[str, str] = {name: reason for reason, names in _REASONS for name in names.split()}

# A family whose members the original names by feature.
WITHOUT_EFFECT_PREFIXES: dict[str, str] = {
    "SCHEMA_": "the schema registry is not part of this service",
}

# The original read each of these before the MYSQL_ name that stands beside it: whoever still sets one believes that
# it says where the catalog is. Other POSTGRES_* names mean nothing, since Kubernetes sets POSTGRES_PORT for any
# Service called `postgres`.
RENAMED: dict[str, str] = {
    "POSTGRES_HOST": "MYSQL_HOST",
    "POSTGRES_USER": "MYSQL_USER",
    "POSTGRES_PASSWORD": "MYSQL_PASSWORD",
    "POSTGRES_DB": "MYSQL_DB",
}


def why_without_effect(name: str) -> str | None:
    """The reason why an accepted name changes nothing; None for a name that is not one of these."""
    if name in WITHOUT_EFFECT:
        return WITHOUT_EFFECT[name]
    return next((why for prefix, why in WITHOUT_EFFECT_PREFIXES.items() if name.startswith(prefix)), None)


def typos(a: str, b: str, limit: int) -> int:
    """How many letters must be added, dropped or replaced to turn one into the other; `limit + 1` for more.

    Stops early, since every name of the environment is compared with every known one.
    """
    if abs(len(a) - len(b)) > limit or len(set(a) ^ set(b)) > 2 * limit:
        return limit + 1
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (letter != other))
        if min(row) > limit:
            return limit + 1
    return min(row[-1], limit + 1)


def probably(name: str, known: Iterable[str]) -> str | None:
    """The known name within MAX_TYPOS that has the fewest typos, the first in the alphabet among equals."""
    close = ((typos(name, other, MAX_TYPOS), other) for other in known)
    return min((pair for pair in close if pair[0] <= MAX_TYPOS), default=(0, None))[1]


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name this one most likely meant: the probable one, else the one that shares most with it."""
    candidates = sorted(known)
    return probably(name, candidates) or get_close_matches(name, candidates, n=1, cutoff=0)[0]

"""A service that does its work, as its metrics show it: what each test of an alert changes one thing of."""

from __future__ import annotations

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
ACTORS = ("http", "auditor", "backfill", "analytics", "router", *(f"ingest/{symbol}" for symbol in SYMBOLS))
GIB = 1024**3
MINUTES = 150  # for which there are samples, one a minute


def steady(value: float, minutes: int = MINUTES) -> str:
    """A gauge that does not move."""
    return f"{number(value)}x{minutes}"


def growing(each_minute: float, minutes: int = MINUTES, *, start: float = 0) -> str:
    """A counter; or a gauge that falls."""
    sign = "-" if each_minute < 0 else "+"
    return f"{number(start)}{sign}{number(abs(each_minute))}x{minutes}"


def number(value: float) -> str:
    """As promtool reads it."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def then(*phases: str) -> str:
    """One after the other; promtool gives a phase of `x10` eleven samples."""
    return " ".join(phases)


def healthy() -> dict[str, str]:
    """The series of MINUTES minutes; no alert is told of them."""
    series = {
        'data_manager_messages_received_total{event_type="raw"}': growing(6000),
        "data_manager_nats_connection_status": steady(1),
        "data_manager_router_lag_messages": steady(10),
        "data_manager_feed_headroom_seconds": steady(86400),
        'data_manager_publish_to_stored_seconds_bucket{le="5.041599"}': growing(5990),
        'data_manager_publish_to_stored_seconds_bucket{le="+Inf"}': growing(6000),
        "data_manager_publish_to_stored_seconds_count": growing(6000),
        "data_manager_audit_rounds_total": growing(0.2),
        "data_manager_analytics_cycles_total": growing(0.07),
        'data_manager_analytics_documents{state="complete"}': steady(80),
        'data_manager_analytics_documents{state="empty"}': steady(3),
        "data_manager_store_free_bytes": steady(100 * GIB),
        "data_manager_backfill_weight_used": steady(20),
        "data_manager_backfill_weight_limit": steady(1200),
        "data_manager_exchange_closed_seconds": steady(0),
        "data_manager_exchange_clock_skew_ms": steady(-12),
        'data_manager_requests_total{endpoint="/data/candles",method="GET",status_code="200"}': growing(60),
        'data_manager_request_duration_seconds_bucket{endpoint="/data/candles",le="0.05",method="GET"}': growing(60),
        'data_manager_request_duration_seconds_bucket{endpoint="/data/candles",le="+Inf",method="GET"}': growing(60),
    }
    for actor in ACTORS:
        series[f'data_manager_actor_up{{actor="{actor}"}}'] = steady(1)
        series[f'data_manager_actor_parked{{actor="{actor}"}}'] = steady(0)
        series[f'data_manager_actor_restarts_total{{actor="{actor}"}}'] = steady(0)
    for store in ("market_store", "catalog"):
        series[f'data_manager_store_up{{store="{store}"}}'] = steady(1)
    for symbol in SYMBOLS:
        series[stored(symbol)] = growing(600)
        series[f'data_manager_ingest_lag_batches{{symbol="{symbol}"}}'] = steady(1)
        for data_type, timeframe in (("candles", "1m"), ("trades", ""), ("depth", "")):
            series[dataset("audit_completeness_ratio", symbol, data_type, timeframe)] = steady(1)
            series[dataset("gaps_open", symbol, data_type, timeframe)] = steady(0)
    return series


def stored(symbol: str, outcome: str = "stored", event_type: str = "trade") -> str:
    """The series of the ledger's outcomes."""
    return f'data_manager_events_total{{event_type="{event_type}",outcome="{outcome}",symbol="{symbol}"}}'


def dataset(name: str, symbol: str, data_type: str, timeframe: str = "") -> str:
    """A series of the audit's."""
    return f'data_manager_{name}{{data_type="{data_type}",symbol="{symbol}",timeframe="{timeframe}"}}'

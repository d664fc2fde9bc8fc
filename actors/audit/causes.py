"""Why something is missing, as far as the service's own incidents tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from data_manager.actors.audit.gaps import Found
from data_manager.actors.audit.quiet import FEED_DOWN, SYMBOL_QUIET
from data_manager.storage.protocols import Incident
from data_manager.storage.records import ALL_SYMBOLS

OURS, FEED = "ours", "feed"
SHARED = ("router", "exchange")  # actors that every symbol's data passes through, or comes from in the demo
REACH_MS = 5_000  # an incident explains what is missing up to this long before and after it

DEPTH_CHAIN = "depth_chain"  # a break of the order book's changes, which explains nothing else
OWN_REASONS = frozenset({"restart", "stream_recreated", "market_full", "not_sent", "core_dropped"})


def explained(found: Found, symbol: str, incidents: Iterable[Incident], now_ms: int) -> Found:
    """The same with its cause, where one of the incidents was under way at the time; else as it was.

    What a part of this service did or was too slow for is `ours`; what it noticed about the feed is `feed`.
    """
    for incident in incidents:
        begins, ends = incident.started_ms - REACH_MS, (incident.ended_ms or now_ms) + REACH_MS
        if begins < found.missing.end_ms and found.missing.start_ms < ends:
            cause = cause_of(incident, symbol)
            if cause is not None:
                return found._replace(cause=cause, evidence=f"{found.evidence}; {incident.subject}: {incident.cause}")
    return found


def cause_of(incident: Incident, symbol: str) -> str | None:
    """What an incident did to a symbol's data; None where it had nothing to do with it."""
    match incident.kind:
        case "actor_down" if incident.subject in (*SHARED, f"ingest/{symbol}"):
            return OURS
        case "suspected_gap" if incident.subject in (symbol, ALL_SYMBOLS) and incident.cause != DEPTH_CHAIN:
            return OURS if incident.cause in OWN_REASONS else FEED
        case kind if kind == FEED_DOWN or (kind == SYMBOL_QUIET and incident.subject == symbol):
            return FEED
        case _:
            return None

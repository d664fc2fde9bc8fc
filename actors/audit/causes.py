"""Why something is missing, as far as the service's own incidents tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from data_manager.actors.audit.gaps import Found
from data_manager.storage.protocols import Incident

OURS, FEED = "ours", "feed"
SHARED = ("router", "exchange")  # actors that every symbol's data passes through, or comes from in the demo
REACH_MS = 5_000  # an incident explains what is missing up to this long before and after it


def explained(found: Found, symbol: str, incidents: Iterable[Incident], now_ms: int) -> Found:
    """The same with its cause, where one of the incidents was under way at the time; else as it was.

    A part of this service that was down is `ours`; what ingest or router told about the feed is `feed`.
    """
    for incident in incidents:
        begins, ends = incident.started_ms - REACH_MS, (incident.ended_ms or now_ms) + REACH_MS
        if not (begins < found.missing.end_ms and found.missing.start_ms < ends):
            continue
        told = f"{found.evidence}; {incident.subject}: {incident.cause}"
        if incident.kind == "actor_down" and incident.subject in (*SHARED, f"ingest/{symbol}"):
            return found._replace(cause=OURS, evidence=told)
        if incident.kind == "suspected_gap" and incident.subject == symbol:
            return found._replace(cause=FEED, evidence=told)
    return found

"""Which part of a range of time exported rows have reached. Pure.

Rows come the oldest first, each with its own time before any other, in UTC as the service writes it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?\+00:00")


def part_reached(rows: bytes, since: datetime, until: datetime) -> float | None:
    """Which part of the range the last whole row of these has reached; None where they hold no whole row."""
    whole, newline, _ = rows.rpartition(b"\n")
    found = TIME.search(whole, whole.rfind(b"\n") + 1) if newline else None
    at = moment_of(found[0].decode()) if found else None
    if at is None or until <= since:
        return None
    return min(1.0, max(0.0, (at - since) / (until - since)))


def moment_of(text: str) -> datetime | None:
    """A time as `--from` and `--to` take it: ISO 8601, without a zone in UTC, or milliseconds; None for others."""
    try:
        if text.isdecimal():
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment

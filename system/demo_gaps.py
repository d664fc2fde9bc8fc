"""What becomes of the demo's gaps, in a line for each change: found, then repaired and closed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

import msgspec

from data_manager.system.commands.service import Service, own_url
from data_manager.system.errors import DataManagerError
from data_manager.system.settings import Settings

ANSWER_S = 0.5  # the status must not wait for it
NEWEST = 200  # gaps that are looked at
TOLD_MAX = 10_000  # gaps whose status is remembered
SHOWN = ("open", "closed", "unfillable")


class Gap(msgspec.Struct, frozen=True):
    """One gap as `/gaps` gives it."""

    gap_id: str
    pair: str
    data_type: str
    timeframe: str | None
    start: datetime
    end: datetime
    status: str
    evidence: str | None


class _Page(msgspec.Struct):
    data: list[Gap]


class GapNews:
    """Looks at `/gaps`, and tells what has changed since the last look."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: dict[str, str] = {}  # gap id -> the status that was told last

    def look(self) -> list[str]:
        """The lines to show; none while the API does not answer."""
        if not self._settings.enable_api:
            return []
        try:
            service = Service(own_url(self._settings), timeout_s=ANSWER_S)
            page = msgspec.json.decode(service.get("/gaps", {"limit": NEWEST, "sort_order": "desc"}), type=_Page)
        except DataManagerError:  # it is starting, or busy: the next look tells
            return []
        return list(lines(self._new(page.data)))

    def _new(self, gaps: Iterable[Gap]) -> Iterator[Gap]:
        for gap in gaps:
            if gap.status in SHOWN and self._told.get(gap.gap_id) != gap.status and len(self._told) < TOLD_MAX:
                self._told[gap.gap_id] = gap.status
                yield gap


def lines(gaps: Iterable[Gap]) -> Iterator[str]:
    """One line for all that happened to gaps of one kind: an outage makes one of every symbol."""

    def kind(gap: Gap) -> tuple[int, str, str]:
        return SHOWN.index(gap.status), gap.data_type, gap.timeframe or ""

    for (status, data_type, timeframe), group in groupby(sorted(gaps, key=kind), key=kind):
        alike = list(group)
        start, end = min(gap.start for gap in alike), max(gap.end for gap in alike)
        pairs = sorted({gap.pair for gap in alike})
        what = {
            "open": "missing",
            "closed": "repaired from the exchange, audited again and closed",
            "unfillable": "missing for good: the exchange keeps no history of it",
        }[SHOWN[status]]
        yield (
            f"        {' '.join(filter(None, (timeframe, data_type)))} of {', '.join(pairs)}, "
            f"{start:%H:%M:%S} to {end:%H:%M:%S} UTC: {what}"
        )

"""What was counted while a series was read, by the hour of its rows, for as long as health looks back. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from data_manager.actors.audit.contradictions import contradicts
from data_manager.storage.records import Record

HOUR_MS = 3_600_000


class Counted(msgspec.Struct):
    """Rows that were read, those that contradict themselves, repetitions, and the trade ids that were covered."""

    rows: int = 0
    contradictions: int = 0
    repeats: int = 0
    ids: int = 0

    def add(self, other: Counted) -> None:
        """Count what the other counted too."""
        self.rows += other.rows
        self.contradictions += other.contradictions
        self.repeats += other.repeats
        self.ids += other.ids

    @property
    def consistency(self) -> float | None:
        """Percent of the rows that are neither repetitions nor contradict themselves; None without rows."""
        return 100.0 * max(0, self.rows - self.contradictions - self.repeats) / self.rows if self.rows else None


class Hourly:
    """Counts of one series."""

    def __init__(self) -> None:
        self._hours: dict[int, Counted] = {}

    def at(self, time_ms: int) -> Counted:
        """What is counted in the hour of that time."""
        return self._hours.setdefault(time_ms // HOUR_MS, Counted())

    def read(self, rows: Iterable[Record], time_field: str, since_ms: int) -> None:
        """Count rows that were read for the first time; older ones than `since_ms` are of no interest any more."""
        for row in rows:
            time_ms: int = getattr(row, time_field)
            if time_ms >= since_ms:
                counted = self.at(time_ms)
                counted.rows += 1
                counted.contradictions += contradicts(row)

    def since(self, time_ms: int) -> Counted:
        """The sum over the hours from the one of that time on; older ones are forgotten."""
        self._hours = {hour: counted for hour, counted in self._hours.items() if hour >= time_ms // HOUR_MS}
        total = Counted()
        for counted in self._hours.values():
            total.add(counted)
        return total

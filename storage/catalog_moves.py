"""A gap's way from one status to the next, taken by one process at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, select, update

from data_manager.storage.catalog_rows import GAPS, cut
from data_manager.storage.protocols import GapStatus

ENDS = frozenset({GapStatus.CLOSED, GapStatus.UNFILLABLE, GapStatus.EXCHANGE_EMPTY})


class Move:
    """One conditional UPDATE.

    It may be called again after a commit whose answer was lost. That the gap has left `only_from` is then its own
    doing, if it is as the move leaves it.
    """

    def __init__(
        self,
        gap_id: str,
        to: GapStatus,
        only_from: Sequence[GapStatus],
        at_ms: int,
        job_id: str | None,
        evidence: str | None,
    ) -> None:
        given = {"job_id": job_id, "evidence": evidence if evidence is None else cut(evidence, None)}
        self._fields = {
            "status": to.value,
            "closed_ms": at_ms if to in ENDS else None,
            **{field: value for field, value in given.items() if value is not None},
        }
        self._gap = GAPS["gap_id"] == gap_id
        self._movable = GAPS["status"].in_([status.value for status in only_from])
        self._repeated = False

    def __call__(self, connection: Connection) -> bool:
        """Move the gap; False where it is not there or has another status."""
        values = {GAPS[field]: value for field, value in self._fields.items()}
        # the driver counts rows that were found, though nothing changes in them (CLIENT_FOUND_ROWS)
        moved = connection.execute(update(GAPS.table).where(self._gap, self._movable).values(values)).rowcount == 1
        again, self._repeated = self._repeated, True
        return moved or (again and self._is_as_moved(connection))

    def _is_as_moved(self, connection: Connection) -> bool:
        left = [_is(GAPS[field], value) for field, value in self._fields.items()]
        found = select(func.count()).select_from(GAPS.table).where(self._gap, *left)
        return connection.scalar(found) == 1


def _is(column: ColumnElement[object], value: object) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value

"""One job in hand: what it fetches, what is left of it, and what is known about its range."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.absences import MAX_REMEMBERED, Memory
from data_manager.actors.backfill.jobs import checkpoint_of, series_of_work, work_of
from data_manager.actors.backfill.plan import Checkpoint, Work, rest
from data_manager.storage.protocols import Catalog, Gap, GapStatus, Job

MAX_PIECES = 100  # separate ranges of one job; where there are more, all between them is fetched too


class Errand:
    """The job's newest row, and what goes with it; changes as pages are stored."""

    def __init__(self, job: Job, known: Sequence[Gap], repairing: Sequence[Gap]) -> None:
        self.job = job
        self.work = work_of(job)
        self.series = series_of_work(self.work)
        self.repairing = repairing
        self.memory = Memory(self.series, known, repairing)

    @classmethod
    def load(cls, job: Job, catalog: Catalog) -> Errand:
        """With what the catalog knows of its dataset."""
        dataset_id = series_of_work(work_of(job)).dataset_id
        empty, _ = catalog.gaps(dataset_id=dataset_id, statuses=[GapStatus.EXCHANGE_EMPTY], limit=MAX_REMEMBERED)
        gaps, _ = catalog.gaps(dataset_id=dataset_id, statuses=[GapStatus.BACKFILLING], limit=MAX_REMEMBERED)
        return cls(job, empty, [gap for gap in gaps if gap.job_id == job.job_id])

    @property
    def rest(self) -> Range:
        """What of the job's range its checkpoint leaves."""
        return rest(self.work, checkpoint_of(self.job))

    def pieces(self, wanted: Sequence[Range]) -> list[tuple[Work, Checkpoint | None]]:
        """What is still to be asked for, in the job's order, and where each part goes on.

        `wanted` is what of `rest` is not there yet.
        """
        ranges = [piece for each in wanted for piece in self.memory.unasked(each)]
        if len(ranges) > MAX_PIECES:
            ranges = [Range(ranges[0].start_ms, ranges[-1].end_ms)]
        if self.work.newest_first:
            ranges.reverse()
        return [(msgspec.structs.replace(self.work, within=piece), self._continued(piece)) for piece in ranges]

    def unexplained(self, holes: Sequence[Range]) -> list[Range]:
        """Those that are not known to be absent at the exchange."""
        return [left for hole in holes for left in self.memory.unasked(hole)]

    def _continued(self, piece: Range) -> Checkpoint | None:
        """Trades go on by id where the checkpoint has one, and by time behind what is left out."""
        at = checkpoint_of(self.job)
        return at if at is not None and at.next_id is not None and at.time_ms == piece.start_ms else None

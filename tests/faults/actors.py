"""Actors with a fault inside, told by a file in the data folder when to commit it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

from data_manager.actors.hosts import Ingest, market_store
from data_manager.actors.ingest.ingestion import Ingestion, Report
from data_manager.actors.ingest.worker import IngestWorker
from data_manager.system.delivery import Delivery
from data_manager.system.worker import Context, Worker


class FaultyIngestion(Ingestion):
    """Commits the fault named in `<data_dir>/fault` in the middle of a batch, once."""

    order: Path

    def store(self, deliveries: Sequence[Delivery]) -> Report:
        if self.order.exists():
            fault = self.order.read_text()
            self.order.unlink()
            if fault == "segfault":
                ctypes.string_at(0)
            while fault == "spin":
                pass
        return super().store(deliveries)


class FaultyIngest(Ingest):
    def make_worker(self, context: Context) -> Worker:
        worker = IngestWorker(context, market_store(context))
        worker._ingestion.__class__ = FaultyIngestion
        worker._ingestion.order = context.settings.data_dir / "fault"  # type: ignore[attr-defined]
        return worker

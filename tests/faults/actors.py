"""Actors with a fault inside, told by a file in the data folder when to commit it."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Sequence
from pathlib import Path

from data_manager.actors.hosts import Audit, Ingest, market_store
from data_manager.actors.ingest.ingestion import Ingestion, Report
from data_manager.actors.ingest.worker import IngestWorker
from data_manager.actors.stores import open_catalog
from data_manager.storage.protocols import Incident
from data_manager.system.delivery import Delivery
from data_manager.system.errors import StaleLease, StoreUnavailable
from data_manager.system.messages import Message
from data_manager.system.worker import Context, Status, Worker


class FaultyIngestion(Ingestion):
    """Commits the fault named in `<data_dir>/fault` in the middle of a batch, once."""

    order: Path
    hoard = bytearray()  # MiB that nobody needs

    def store(self, deliveries: Sequence[Delivery]) -> Report:
        if self.order.exists():
            fault = self.order.read_text()
            self.order.unlink()
            if fault == "segfault":
                ctypes.string_at(0)
            if fault.startswith("hoard "):
                self.hoard = bytearray(b"x") * (int(fault.removeprefix("hoard ")) * 2**20)
            while fault == "spin":
                pass
        return super().store(deliveries)


class FaultyIngest(Ingest):
    def make_worker(self, context: Context) -> Worker:
        worker = IngestWorker(context, market_store(context))
        worker._ingestion.__class__ = FaultyIngestion
        worker._ingestion.order = context.settings.data_dir / "fault"  # type: ignore[attr-defined]
        return worker


class Scribe:
    """Writes an incident after the other into the catalog, for as long as it is let, and notes when it was not."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._refused = context.settings.data_dir / "refused"

    async def run(self, stop: asyncio.Event) -> None:
        catalog, token = open_catalog(self._context), self._context.token
        number = 0
        while not stop.is_set():
            number += 1
            try:
                catalog.save_incident(Incident(f"{token}/{number}", "scribe", str(token), "", 1))
            except StaleLease as refusal:
                self._refused.write_text(str(refusal))
            except StoreUnavailable:  # its session was ended while it was paused: it tries again, with a new one
                continue
            await asyncio.sleep(0.02)
        catalog.close()

    def status(self) -> Status:
        return Status("running")

    def busy_since(self) -> float | None:
        return None

    def receive(self, message: Message) -> None:
        pass


class Scribbler(Audit):
    """In place of the auditor, under its lease."""

    def make_worker(self, context: Context) -> Worker:
        return Scribe(context)

"""What was refused goes the whole way again, is stored once what refused it has changed, and is never lost count of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from data_manager.storage.records import Depth, Quarantined
from tests.actors.ingest.examples import EXAMPLES, SYMBOL, bare, enveloped, event
from tests.servers.load import publish
from tests.servers.nats import NatsServer
from tests.servers.service import RunningService

TRADE_MS = event("trade")["T"]
BOOK = enveloped(
    EXAMPLES["partial book"].data,
    EXAMPLES["partial book"].stream,
    timestamp=datetime.fromtimestamp(TRADE_MS / 1000, UTC).isoformat(),
)
HOPELESS = bare(event("trade", t=7, p="a lot"))


def replay(service: RunningService, row: Quarantined) -> dict[str, Any]:
    """Have one event published again; the answer."""
    event_id = f"{SYMBOL}-{row.incarnation}-{row.feed_seq}"
    answer: dict[str, Any] = service.post(f"/quarantine/{quote(event_id)}/replay")
    return answer


def test_a_refused_event_is_stored_once_it_can_be_and_every_count_stays_right(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        RunningService(tmp_path, nats.url, SYMBOL, store_depth="full") as service,
    ):
        publish(nats.url, BOOK, HOPELESS)  # nothing backs the book's price yet
        service.wait(lambda: len(service.rows(SYMBOL, Quarantined)) == 2)
        publish(nats.url, bare(event("trade")))
        service.wait(lambda: service.events(SYMBOL) == 3)
        book, hopeless = sorted(service.rows(SYMBOL, Quarantined), key=lambda row: row.feed_seq)
        assert (book.raw, book.reason) == (BOOK, "symbol_mismatch")

        answer = replay(service, book)
        assert (answer["delivery"], answer["sequence"]) == ("jetstream", 4)
        service.wait(lambda: service.rows(SYMBOL, Depth))
        [stored] = service.rows(SYMBOL, Depth)
        assert stored.last_update_id == 76543210987
        replay(service, book)
        replay(service, hopeless)
        service.wait(lambda: service.events(SYMBOL) == 6)

        assert len(service.rows(SYMBOL, Depth)) == 1  # the second replay was a duplicate
        refused = service.rows(SYMBOL, Quarantined)
        assert sorted(row.raw for row in refused) == sorted([BOOK, HOPELESS, HOPELESS])  # the old entries stay
        assert len({row.feed_seq for row in refused}) == 3
        totals = service.ledger(SYMBOL).by_type
        books, trades = totals["depthUpdate"], totals["trade"]
        assert (books.received, books.stored, books.duplicate, books.quarantined) == (3, 1, 1, 1)
        assert (trades.received, trades.stored, trades.quarantined) == (3, 1, 2)
        status, ledger = service.get("/ledger")
        assert (status, ledger["balanced"]) == (200, True)

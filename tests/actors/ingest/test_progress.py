"""A writer is at work for as long as its calls to the store end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from data_manager.actors.ingest.progress import noting
from data_manager.storage.protocols import Query
from data_manager.storage.records import Trade
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, FixedClock, received, trade


def test_every_call_is_noted_before_it_begins_and_does_what_it_always_does(tmp_path: Path) -> None:
    noted: list[int] = []
    with closing(SqliteMarketStore(tmp_path, clock=FixedClock())) as store:
        watched = noting(store, lambda: noted.append(len(store.rows(BTC, Trade, Query()))))
        watched.write(BTC, received(trade(1)))
        assert noted == [0]
        assert watched.rows(BTC, Trade, Query()) == store.rows(BTC, Trade, Query()) != []
        assert noted == [0, 1]

"""A server that dies under its writer, and two processes' worth of writers on one symbol."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from data_manager.storage.ledger import Counts
from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import Depth, Trade
from data_manager.system.errors import StoreUnavailable
from tests.servers.databases import MongoServer
from tests.storage.backends import MongoBackend
from tests.storage.examples import BTC, T0, FixedClock, batch, depth, received, trade

SIZE = 20


def batch_of(number: int) -> Write:
    """A MARKET batch with trades and a book, the same each time it is delivered."""
    places = [(number * 1000 + place) << 12 for place in range(SIZE + 1)]
    trades = [trade(number * SIZE + n, market_seq=number, feed_seq=place) for n, place in enumerate(places[1:])]
    book = depth(number % 3, number, market_seq=number, feed_seq=places[0])
    return received(book, *trades, batches=[batch(number, *places)], dirty_minutes={T0})


def deliver(store: MongoMarketStore, number: int) -> None:
    """Write the batch, as often as it takes; what the ledger knows by then is redelivered."""
    while True:
        write = batch_of(number)
        seen = store.seen_positions(BTC, 5, write.batches[0].positions)
        write.counts["trade"] += Counts(redelivered=len(seen) and SIZE)
        try:
            store.write(BTC, write)
        except StoreUnavailable:
            continue
        return


def ids(store: MongoMarketStore) -> list[int]:
    return [row.trade_id for row in store.rows(BTC, Trade, Query(limit=10**6))]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MongoServer]:
    with MongoServer(tmp_path / "mongo") as server:
        yield server


def test_nothing_acknowledged_is_lost_when_the_server_is_killed_mid_write(server: MongoServer) -> None:
    store = MongoMarketStore(server.uri("market"), "market", clock=FixedClock(), timeout_s=1)
    halfway = threading.Event()
    killer = threading.Thread(target=lambda: halfway.wait(30) and server.kill())
    killer.start()
    acknowledged: list[int] = []

    def write_for_ever() -> None:
        for number in count(1):
            store.write(BTC, batch_of(number))
            acknowledged.append(number)
            if number == 5:
                halfway.set()

    with pytest.raises(StoreUnavailable):
        write_for_ever()
    killer.join()
    server.start()
    last = acknowledged[-1] + 1
    held = ids(store)
    assert set(held) >= {number * SIZE + n for number in acknowledged for n in range(SIZE)}
    assert store.ledger(BTC).last_market_seq in (last - 1, last)
    deliver(store, last)  # what was not acknowledged comes again
    assert ids(store) == list(range(SIZE, (last + 1) * SIZE))
    total = store.ledger(BTC).by_type["trade"]
    assert total.balanced
    assert total.stored == last * SIZE
    assert total.duplicate == total.redelivered
    store.close()


def test_a_store_works_again_when_its_server_is_back(server: MongoServer) -> None:
    store = MongoMarketStore(server.uri("market"), "market", clock=FixedClock(), timeout_s=0.5)
    store.check()
    server.stop()
    with pytest.raises(StoreUnavailable, match="not available"):
        store.check()
    server.start()
    store.check()
    store.close()


def test_two_writers_of_one_symbol_store_everything_once(mongo: MongoBackend) -> None:
    numbers = range(1, 13)

    def deliver_all(store: MongoMarketStore) -> None:
        for number in numbers:
            deliver(store, number)

    stores = [mongo.open(), mongo.open()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(deliver_all, stores))
    store = mongo.open()
    assert ids(store) == list(range(SIZE, (len(numbers) + 1) * SIZE))
    by_type = store.ledger(BTC).by_type
    assert by_type["trade"].received == 2 * SIZE * len(numbers)
    assert by_type["trade"].stored == SIZE * len(numbers)
    assert all(counts.balanced for counts in by_type.values())
    assert {row.slot: row.last_update_id for row in store.rows(BTC, Depth, Query())} == {0: 12, 1: 10, 2: 11}


def test_readers_beside_the_writer_see_a_ledger_that_balances(mongo: MongoBackend) -> None:
    writer, reader = mongo.open(), mongo.open()
    done = threading.Event()

    def look() -> list[int]:
        seen = []
        while not done.is_set():
            totals = reader.ledger(BTC)
            assert totals.total.balanced
            seen.append(totals.total.received)
        return seen

    with ThreadPoolExecutor(2) as pool:
        looks = [pool.submit(look) for _ in range(2)]
        for number in range(1, 120):
            writer.write(BTC, Write(counts={"trade": Counts(received=1, skipped=1)}, batches=[batch(number, number)]))
        done.set()
        assert all(each.result() == sorted(each.result()) for each in looks)


def test_a_store_that_was_not_asked_anything_has_not_connected() -> None:
    """Actors are forked with their store made: a client and its threads would not survive that."""
    threads = threading.active_count()
    store = MongoMarketStore("mongodb://user:secret@203.0.113.1/market", "market", clock=FixedClock())
    assert store._connection._client is None
    assert threading.active_count() == threads
    store.close()


def test_importing_the_store_loads_no_heavy_library() -> None:
    heavy = "{'sqlalchemy', 'alembic', 'numpy', 'pandas', 'sklearn', 'pyod', 'aiohttp'}"
    code = f"import sys, data_manager.storage.mongo; print({heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_a_write_to_a_server_that_stops_answering_ends_in_its_time_and_the_next_one_works(server: MongoServer) -> None:
    store = MongoMarketStore(server.uri("market"), "market", clock=FixedClock(), timeout_s=0.5)
    store.write(BTC, batch_of(1))
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for ask in (lambda: store.write(BTC, batch_of(2)), store.check):
            with pytest.raises(StoreUnavailable, match="is not available"):
                ask()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    deliver(store, 2)
    assert len(ids(store)) == 2 * SIZE
    assert store.ledger(BTC).total.balanced
    store.close()

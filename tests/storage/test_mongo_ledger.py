"""The ledger in MongoDB: entries are folded, old ones go, and two writers never commit one event twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from data_manager.storage.ledger import Counts
from data_manager.storage.mongo import ledger as ledger_module
from data_manager.storage.mongo.ledger import FOLD_EVERY, LEDGER, STATES, TRUSTED_S
from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import Symbol, Trade
from data_manager.system.errors import StoreUnavailable
from tests.storage.backends import MongoBackend
from tests.storage.examples import BTC, FixedClock, batch, received, trade


@pytest.fixture
def database(mongo: MongoBackend) -> Iterator[Database[dict[str, Any]]]:
    with pymongo.MongoClient[dict[str, Any]](mongo.uri) as client:
        yield client[mongo.database]


def counted(number: int, **fields: Any) -> Write:
    """A write of one event that is skipped, in a batch of its own."""
    return Write(counts={"depthUpdate": Counts(received=1, skipped=1)}, batches=[batch(number, number << 12)], **fields)


def test_a_write_is_one_entry_and_totals_are_the_same_before_and_after_folding(
    mongo: MongoBackend, database: Database[dict[str, Any]]
) -> None:
    store, reader = mongo.open(), mongo.open()
    for number in range(1, 2 * FOLD_EVERY + 4):
        store.write(BTC, counted(number))
        totals = reader.ledger(BTC)
        assert totals.by_type == {"depthUpdate": Counts(received=number, skipped=number)}
        assert (totals.last_market_seq, totals.last_position) == (number, number << 12)
    assert database[LEDGER].count_documents({}) == 2 * FOLD_EVERY + 3
    state = database[STATES].find_one({"_id": BTC})
    assert state is not None
    assert state["folded_through"] == 2 * FOLD_EVERY
    assert reader.seen_positions(BTC, 5, [1 << 12, 103 << 12, 104 << 12]) == {1 << 12, 103 << 12}


def test_a_write_that_counts_nothing_makes_no_entry(mongo: MongoBackend, database: Database[dict[str, Any]]) -> None:
    mongo.open().write(BTC, Write(dirty_minutes={60_000}))
    assert database[LEDGER].count_documents({}) == 0


def test_entries_go_when_enough_newer_batches_have_come(
    mongo: MongoBackend, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "LEDGER_BATCHES", 30)
    store, last = mongo.open(), 3 * FOLD_EVERY
    for number in range(1, last + 1):
        store.write(BTC, counted(number))
    assert database[LEDGER].count_documents({}) == 30
    assert store.seen_positions(BTC, 5, [(last - 30) << 12, (last - 29) << 12]) == {(last - 29) << 12}
    assert store.ledger(BTC).total == Counts(received=last, skipped=last)


def test_in_core_mode_entries_go_too(
    mongo: MongoBackend, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "LEDGER_BATCHES", 10)
    store = mongo.open()
    for _ in range(FOLD_EVERY):
        store.write(BTC, Write(counts={"trade": Counts(received=1, skipped=1)}))
    assert database[LEDGER].count_documents({}) == 10
    assert store.ledger(BTC).total.received == FOLD_EVERY


def test_the_ledgers_of_symbols_that_begin_alike_are_apart(mongo: MongoBackend) -> None:
    store = mongo.open()
    names = [Symbol("BTC"), BTC, Symbol("BTCUSDT_240628"), Symbol("BTCUSDT1")]
    for times, symbol in enumerate(names, 1):
        for number in range(1, times + 1):
            store.write(symbol, counted(number))
    assert [store.ledger(symbol).total.received for symbol in names] == [1, 2, 3, 4]
    assert list(store.symbols()) == sorted(names)


def test_a_writer_whose_number_was_taken_goes_on_behind_it(mongo: MongoBackend) -> None:
    one, other = mongo.open(), mongo.open()
    for number in range(1, 9):
        (one if number % 3 else other).write(BTC, counted(number))
    assert one.ledger(BTC).total.received == 8
    assert one.seen_positions(BTC, 5, [n << 12 for n in range(1, 9)]) == {n << 12 for n in range(1, 9)}


def test_an_event_that_another_process_commits_meanwhile_is_not_counted_as_stored_twice(mongo: MongoBackend) -> None:
    """Both write the batch; the one that commits second learns of it and must ask again."""
    one, other = mongo.open(), mongo.open()
    one.write(BTC, counted(1))
    write = received(trade(2, feed_seq=2 << 12), batches=[batch(2, 2 << 12)])
    committed = []

    def commit_first(*arguments: Any) -> Any:
        if not committed:
            committed.append(other.write(BTC, write))
        return append(*arguments)

    append = one._ledger.append
    one._ledger.append = commit_first  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="redelivered"):
        one.write(BTC, write)
    assert one.ledger(BTC).by_type["trade"] == Counts(received=1, stored=1)
    assert one.write(BTC, write).counts["trade"] == Counts(received=1, duplicate=1)
    assert one.count(BTC, Trade, Query()) == 1


def test_a_number_is_looked_up_again_after_a_pause(mongo: MongoBackend) -> None:
    """While this writer was away others may have used numbers up and dropped their entries."""
    store = mongo.open()
    clock = FixedClock()
    store._ledger._clock = clock
    store.write(BTC, counted(1))
    looked_up = []
    read = store._ledger._read_newest
    store._ledger._read_newest = lambda symbol: looked_up.append(symbol) or read(symbol)  # type: ignore[method-assign, func-returns-value]
    store.write(BTC, counted(2))
    assert looked_up == []
    clock.ms += int(TRUSTED_S * 1000) + 1
    store.write(BTC, counted(3))
    assert looked_up == [BTC]
    assert store.ledger(BTC).total.received == 3


def test_after_a_pause_in_which_another_process_wrote_the_next_write_is_refused_once(mongo: MongoBackend) -> None:
    """What its caller knows of the ledger is old: it could take a redelivered event for a first delivery."""
    store, other = mongo.open(), mongo.open()
    clock = FixedClock()
    store._ledger._clock = clock
    store.write(BTC, counted(1))
    other.write(BTC, counted(2))
    clock.ms += int(TRUSTED_S * 1000) + 1
    with pytest.raises(StoreUnavailable, match="meanwhile: try again"):
        store.write(BTC, counted(2))
    assert store.ledger(BTC).total.received == 2
    store.write(BTC, counted(3))
    assert store.ledger(BTC).total.received == 3


def test_what_is_committed_while_a_number_is_being_looked_for_is_noticed_too(mongo: MongoBackend) -> None:
    """Twice another process comes first, the second time with the batch itself."""
    one, other = mongo.open(), mongo.open()
    one.write(BTC, counted(1))
    write = received(trade(3, feed_seq=3 << 12), batches=[batch(3, 3 << 12)])
    firsts = iter([counted(2), write])
    look = one._ledger._newest_of_others

    def look_and_be_late(*arguments: Any) -> Any:
        found = look(*arguments)
        other.write(BTC, next(firsts))
        return found

    other.write(BTC, counted(4))
    one._ledger._newest_of_others = look_and_be_late  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="redelivered"):
        one.write(BTC, write)
    assert one.ledger(BTC).by_type["trade"] == Counts(received=1, stored=1)

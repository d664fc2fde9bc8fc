"""A write that stops before or after any single call to the server, and is repeated by a new process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from data_manager.storage.ledger import Counts
from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.protocols import MarketStore, Query, Write
from data_manager.storage.records import MARKET_RECORDS, MINUTE_MS, Funding, Record
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.errors import StoreUnavailable
from tests.storage.backends import MongoBackend
from tests.storage.examples import (
    BTC,
    T0,
    FixedClock,
    agg_trade,
    batch,
    candle,
    depth,
    derived,
    open_candle,
    quarantined,
    received,
    trade,
)
from tests.storage.mongo_calls import WRITES, wrap_calls


class Cut:
    """Counts the calls to a server and breaks the connection at one of them, before or after it has worked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.at: int | None = None
        self.after = False

    def wrapped(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            number = len(self.calls)
            self.calls.append(name)
            if number == self.at and not self.after:
                raise AutoReconnect("cut before the call")
            try:
                return method(*arguments, **options)
            finally:
                if number == self.at:
                    raise AutoReconnect("cut before the answer")

        return call


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Every store that is opened from now on talks through it."""
    cut = Cut()
    wrap_calls(monkeypatch, cut.wrapped)
    return cut


def at(seq: int, record: Any, market_seq: int) -> Any:
    """The record as the event at that position makes it."""
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    values |= {"feed_seq": seq << 12, "stored_ms": T0 + market_seq}
    if "market_seq" in values:
        values["market_seq"] = market_seq
    return type(record)(**values)


def write_of(market_seq: int, first: int, *records: Record, **fields: Any) -> Write:
    placed = [at(first + number, record, market_seq) for number, record in enumerate(records)]
    return received(*placed, batches=[batch(market_seq, *(record.feed_seq for record in placed))], **fields)


def before() -> Write:
    """What is there when the write in question comes."""
    funding = Funding(T0, T0, "0.1", None, False, 1, 1, T0)
    bars = [open_candle(1), open_candle(1, timeframe="5m"), derived(1, 3)]
    records = [trade(1), depth(5, 10), depth(7, 10), quarantined(1), *bars[:2]]
    return write_of(1, 1, *records, side=[funding], derived=bars[2:], dirty_minutes={T0, T0 + MINUTE_MS}, book=depth(5))


def in_question() -> Write:
    """Every kind of outcome, and every step of a write."""
    return write_of(
        2, 20,
        trade(1), trade(2), trade(3), trade(3), agg_trade(1),
        depth(5, 11), depth(6, 1), depth(7, 9), depth(8, 1, time_ms=T0 - 5),
        open_candle(3), open_candle(1, 9, timeframe="5m"), open_candle(9, timeframe="15m"),
        candle(3), candle(1, source="rest"),
        quarantined(1), quarantined(30),
        side=[Funding(T0, T0 + 5, "0.2", None, False, 2, 2, T0 + 2)],
        derived=[derived(0, 5), derived(1, 9), derived(0, 6, timeframe="5m")],
        book=depth(9, 12),
        dirty_minutes={T0, T0 + 2 * MINUTE_MS},
        clean_minutes={T0, T0 + MINUTE_MS},
    )  # fmt: skip


def contents(store: MarketStore) -> dict[str, Any]:
    held: dict[str, Any] = {record.dataset: store.rows(BTC, record, Query(limit=1000)) for record in MARKET_RECORDS}
    return {**held, "dirty": store.dirty_minutes(BTC), "book": store.latest_book(BTC)}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketStore]:
    """The same two writes in a store with transactions."""
    with closing(SqliteMarketStore(tmp_path_factory.mktemp("whole"), clock=FixedClock())) as store:
        store.write(BTC, before())
        store.write(BTC, in_question())
        yield store


def interrupted(new_mongo: Callable[[], str], cut: Cut, number: int, *, after: bool) -> MongoMarketStore:
    """The two writes, the second cut at that call and repeated by a new store; the new store."""
    backend = MongoBackend(new_mongo())
    cut.at = None
    first = backend.open()
    first.write(BTC, before())
    first.close()
    cut.calls.clear()
    cut.at, cut.after = number, after
    dying = backend.open()
    with pytest.raises(StoreUnavailable, match="cut"):
        dying.write(BTC, in_question())
    dying.close()
    cut.at = None
    store = backend.open()
    store.write(BTC, in_question())
    return store


def calls_of_one_write(new_mongo: Callable[[], str], cut: Cut) -> list[str]:
    backend = MongoBackend(new_mongo())
    first = backend.open()
    first.write(BTC, before())
    first.close()
    cut.calls.clear()
    with closing(backend.open()) as store:
        store.write(BTC, in_question())
    return list(cut.calls)


def test_a_write_cut_before_any_change_ends_like_one_that_was_not(
    new_mongo: Callable[[], str], cut: Cut, uninterrupted: MarketStore
) -> None:
    calls = calls_of_one_write(new_mongo, cut)
    committed = calls.index("insert_one")  # the ledger's entry
    for number in (number for number, name in enumerate(calls) if name in WRITES):  # reads in between change nothing
        with closing(interrupted(new_mongo, cut, number, after=False)) as store:
            where = f"before call {number}, {calls[number]}"
            assert contents(store) == contents(uninterrupted), where
            if number <= committed:
                assert store.ledger(BTC) == uninterrupted.ledger(BTC), where
            else:
                assert_told_of_the_repeat(store, uninterrupted)


def test_a_write_cut_before_the_answer_ends_like_one_that_was_not(
    new_mongo: Callable[[], str], cut: Cut, uninterrupted: MarketStore
) -> None:
    calls = calls_of_one_write(new_mongo, cut)
    writes = [number for number, name in enumerate(calls) if name in WRITES]
    for number in writes:
        with closing(interrupted(new_mongo, cut, number, after=True)) as store:
            assert contents(store) == contents(uninterrupted), f"after call {number}, {calls[number]}"
            if number >= calls.index("insert_one"):
                assert_told_of_the_repeat(store, uninterrupted)
            else:
                assert store.ledger(BTC) == uninterrupted.ledger(BTC), f"after call {number}, {calls[number]}"


def assert_told_of_the_repeat(store: MarketStore, uninterrupted: MarketStore) -> None:
    """All of it counted again, and nothing of it as stored or replaced."""
    total, once = store.ledger(BTC).total, uninterrupted.ledger(BTC).total
    assert total.balanced
    assert total.received == once.received + len(in_question().events)
    assert (total.stored, total.replaced, total.quarantined) == (once.stored, once.replaced, once.quarantined)


def test_trades_that_an_earlier_attempt_left_are_stored_but_not_new(new_mongo: Callable[[], str], cut: Cut) -> None:
    """Whoever keeps running totals must not add them twice."""
    backend = MongoBackend(new_mongo())
    write = write_of(2, 20, trade(1), trade(2))
    dying = backend.open()
    dying.write(BTC, write_of(1, 1, trade(8)))
    cut.calls.clear()
    dying.write(BTC, write_of(3, 9, trade(9)))
    assert cut.calls == ["insert_many", "insert_one"]
    cut.at = 3  # the entry of the next write
    with pytest.raises(StoreUnavailable):
        dying.write(BTC, write)
    cut.at = None
    again = backend.open().write(BTC, write)
    assert again.counts == {"trade": Counts(received=2, stored=2)}
    assert again.new_trades == 0
    backend.close()

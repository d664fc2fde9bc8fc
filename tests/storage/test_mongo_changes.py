"""Compare-and-set: what is decided from the rows that were read, and decided again when they have changed."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from pymongo import InsertOne, ReplaceOne

from data_manager.storage.deciding import derived_better, greater
from data_manager.storage.ledger import Counts
from data_manager.storage.mongo import writing
from data_manager.storage.mongo.changes import decide, same
from data_manager.storage.mongo.documents import CODEC, DOCUMENTS, Document, Row
from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import Candle, Depth, Record
from data_manager.system.errors import StoreUnavailable
from tests.storage.backends import MongoBackend
from tests.storage.examples import BTC, T0, candle, depth, derived, event, received

KEY = "BTCUSDT_5"


def rows(*records: Record) -> list[Row]:
    return [DOCUMENTS[type(record)].row(BTC, number, record) for number, record in enumerate(records)]


def stored(record: Record, **fields: Any) -> Document:
    return {**bson.decode(bson.encode(rows(record)[0].document), CODEC), **fields}


def test_a_free_key_is_taken_and_then_belongs_to_the_greatest() -> None:
    outcomes, (change,) = decide(rows(depth(5, 2), depth(5, 1), depth(5, 2), depth(5, 3)), {}, set(), greater)
    assert list(outcomes.values()) == ["stored", "skipped", "duplicate", "replaced"]
    assert (change.row.number, change.there, change.replaced) == (3, None, False)
    assert isinstance(change.operation, InsertOne)


def test_a_row_is_replaced_in_the_version_that_was_read_and_says_so() -> None:
    there = stored(depth(5, 1, feed_seq=77))
    outcomes, (change,) = decide(rows(depth(5, 2)), {KEY: there}, set(), greater)
    assert outcomes == {0: "replaced"}
    version = {"_id": KEY, "feed_seq": 77, "market_seq": 2, "stored_at": there["stored_at"]}
    document = {**stored(depth(5, 2)), "replaced": True}
    assert change.operation == ReplaceOne(version, document)


def test_what_loses_changes_nothing() -> None:
    outcomes, changes = decide(rows(depth(5, 1), depth(5, 2)), {KEY: stored(depth(5, 2))}, set(), greater)
    assert (list(outcomes.values()), changes) == (["skipped", "duplicate"], [])


@pytest.mark.parametrize(("fields", "expected"), [({}, "stored"), ({"replaced": True}, "replaced")])
def test_a_row_left_behind_counts_as_it_did_when_it_was_written(fields: dict[str, Any], expected: str) -> None:
    there = stored(depth(5, 2, feed_seq=77), **fields)
    assert decide(rows(depth(5, 2, feed_seq=77)), {KEY: there}, {77}, greater) == ({0: expected}, [])


def test_the_later_of_two_bars_made_of_as_many_trades_wins() -> None:
    there = stored(derived(0, 5))
    key = there["_id"]
    assert decide(rows(derived(0, 5, volume="2")), {key: there}, set(), derived_better)[0] == {0: "replaced"}
    assert decide(rows(derived(0, 5)), {key: stored(candle(0))}, set(), derived_better)[0] == {0: "skipped"}


def test_a_row_is_told_from_another_under_its_key() -> None:
    (row,) = rows(depth(5, 1))
    assert same(row, stored(depth(5, 1)))
    assert not same(row, None)
    assert not any(same(row, stored(depth(5, 1, **{name: T0 + 9}))) for name in ("feed_seq", "market_seq", "stored_ms"))


@pytest.fixture
def before_change(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls that other processes make between the reading of rows and their writing, the first one first."""
    calls: list[Any] = []
    change = writing.SymbolWrite._change

    def interrupted(*arguments: Any) -> bool:
        if calls:
            calls.pop(0)()
        return change(*arguments)

    monkeypatch.setattr(writing.SymbolWrite, "_change", interrupted)
    return calls


@pytest.mark.parametrize("first", [None, depth(5, 1)], ids=["new", "replacing"])
@pytest.mark.parametrize(("rival", "expected", "winner"), [(9, "skipped", 9), (3, "replaced", 4), (4, "duplicate", 4)])
def test_a_row_that_changed_meanwhile_is_decided_again(
    mongo: MongoBackend, before_change: list[Any], first: Depth | None, rival: int, expected: str, winner: int
) -> None:
    store, other = mongo.open(), mongo.open()
    if first:
        store.write(BTC, received(first))
    rivals = depth(5, rival, feed_seq=99)
    before_change.append(lambda: other.write(BTC, received(rivals)))
    beside = depth(6, 1)
    written = store.write(BTC, Write(events=[event(beside), event(depth(5, 4))]))
    assert written.counts["depthUpdate"] == Counts(stored=1) + Counts(**{expected: 1})
    assert [row.last_update_id for row in store.rows(BTC, Depth, Query())] == [winner, 1]


def test_a_derived_bar_that_loses_to_a_kline_meanwhile_stays_away(
    mongo: MongoBackend, before_change: list[Any]
) -> None:
    store, other = mongo.open(), mongo.open()
    before_change.append(lambda: other.write(BTC, received(candle(0))))
    store.write(BTC, Write(derived=[derived(0, 99)]))
    assert store.rows(BTC, Candle, Query()) == [candle(0)]


def test_who_always_comes_late_gives_up_for_now(mongo: MongoBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.SymbolWrite, "_change", lambda *arguments: False)
    with pytest.raises(StoreUnavailable, match="depth_BTCUSDT"):
        mongo.open().write(BTC, received(depth(5, 1)))

"""Merging into MongoDB when others write between the look and the change, or an answer is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.mongo.bulks import ATTEMPTS
from data_manager.storage.protocols import Difference, Merged, Query, Write
from data_manager.storage.records import Candle, Series
from data_manager.system.errors import StoreUnavailable
from tests.storage.backends import MongoBackend
from tests.storage.examples import BTC, T0, candle, derived, received
from tests.storage.mongo_calls import wrap_calls

Work = Callable[[], object]


class Interloper:
    """Does something before, or instead of an answer to, each bulk of the stores that are opened meanwhile."""

    def __init__(self) -> None:
        self.before: list[Work] = []  # one for each bulk
        self.loses_answers = False

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.before:
                self.before.pop(0)()
            result = method(*arguments, **options)
            if self.loses_answers:
                raise AutoReconnect("cut before the answer")
            return result

        return call if name == "bulk_write" else method


@pytest.fixture
def other(mongo: MongoBackend) -> MongoMarketStore:
    """Another process's store: nobody comes between it and the server."""
    return mongo.open()


@pytest.fixture
def interloper(other: MongoMarketStore, monkeypatch: pytest.MonkeyPatch) -> Interloper:
    interloper = Interloper()
    wrap_calls(monkeypatch, interloper.wrap)
    return interloper


@pytest.fixture
def store(mongo: MongoBackend, interloper: Interloper) -> MongoMarketStore:
    return mongo.open()


def kline(minute: int, **fields: Any) -> Candle:
    values = {"source": "rest", "first_id": None, "feed_seq": 0, "market_seq": 0, **fields}
    return candle(minute, **values)


def stored(store: MongoMarketStore) -> list[Candle]:
    return store.rows(BTC, Candle, Query())


def test_a_key_that_is_taken_meanwhile_is_compared(
    store: MongoMarketStore, other: MongoMarketStore, interloper: Interloper
) -> None:
    theirs, ours = kline(1, close="9"), kline(1)
    interloper.before = [lambda: other.merge(BTC, [theirs])]
    merged = store.merge(BTC, [kline(0), ours, kline(2)])
    assert merged == Merged(inserted=2, differences=(Difference(theirs, ours),))
    assert stored(store) == [kline(0), theirs, kline(2)]


def test_a_row_that_is_replaced_meanwhile_is_compared_in_its_turn(
    store: MongoMarketStore, other: MongoMarketStore, interloper: Interloper
) -> None:
    """All derived bars and REST rows have the same stamps here: only their values tell them apart."""
    other.write(BTC, Write(derived=[derived(0, 3, feed_seq=0, market_seq=0), derived(1, 3, complete=False)]))
    theirs, ours = kline(0, close="9"), kline(0)
    interloper.before = [lambda: other.merge(BTC, [theirs])]
    merged = store.merge(BTC, [ours, kline(1)])
    assert (merged.inserted, merged.replaced) == (0, 1)
    assert Difference(theirs, ours) in merged.differences
    assert stored(store) == [theirs, kline(1)]


def test_a_better_row_replaces_what_came_meanwhile_too(
    store: MongoMarketStore, other: MongoMarketStore, interloper: Interloper
) -> None:
    theirs, ours = candle(0, close="9"), kline(0)
    interloper.before = [lambda: other.write(BTC, received(theirs))]
    assert store.merge(BTC, [ours]) == Merged(replaced=1, differences=(Difference(theirs, ours),))
    assert stored(store) == [ours]


def test_a_derived_bar_does_not_overwrite_one_that_was_merged_at_the_same_moment(
    store: MongoMarketStore, other: MongoMarketStore, interloper: Interloper
) -> None:
    """Neither comes from the feed, so that their stamps are the same."""
    early, late = (derived(0, count, feed_seq=0, market_seq=0) for count in (3, 7))
    other.write(BTC, Write(derived=[early]))
    interloper.before = [lambda: other.merge(BTC, [kline(0)])]
    store.write(BTC, Write(derived=[late]))
    assert stored(store) == [kline(0)]


def test_a_row_that_expires_meanwhile_is_inserted_anew(
    store: MongoMarketStore, other: MongoMarketStore, interloper: Interloper
) -> None:
    other.write(BTC, received(candle(0)))
    interloper.before = [lambda: other.expire(Series(BTC, Candle, "1m"), T0 + 1)]
    assert store.merge(BTC, [kline(0)]) == Merged(inserted=1)
    assert stored(store) == [kline(0)]


def test_the_very_same_row_from_somebody_else_is_counted_by_one(
    store: MongoMarketStore, other: MongoMarketStore, interloper: Interloper
) -> None:
    other.write(BTC, received(candle(0)))
    told: list[Merged] = []
    interloper.before = [lambda: told.append(other.merge(BTC, [kline(0), kline(1)]))]
    told.append(store.merge(BTC, [kline(0), kline(1), kline(2)]))
    assert [(each.inserted, each.replaced) for each in told] == [(1, 1), (1, 0)]


def test_a_race_without_an_end_is_given_up_and_told(
    store: MongoMarketStore, other: MongoMarketStore, interloper: Interloper
) -> None:
    def worse(count: int) -> Work:
        return lambda: other.write(BTC, Write(derived=[derived(0, count)]))

    interloper.before = [worse(count) for count in range(ATTEMPTS)]
    with pytest.raises(StoreUnavailable, match="other processes keep writing candles_BTCUSDT_1m"):
        store.merge(BTC, [kline(0)])
    assert store.merge(BTC, [kline(0)]).replaced == 1


def test_after_a_lost_answer_the_same_page_ends_the_same(
    store: MongoMarketStore, interloper: Interloper, mongo: MongoBackend
) -> None:
    page = [kline(0), kline(1), kline(2, close="9")]
    store.merge(BTC, [kline(2)])
    interloper.loses_answers = True
    with pytest.raises(StoreUnavailable, match="cut"):
        store.merge(BTC, page)
    interloper.loses_answers = False
    with closing(mongo.open()) as again:
        assert again.merge(BTC, page) == Merged(differences=(Difference(kline(2), page[2]),))
        assert stored(again) == [kline(0), kline(1), kline(2)]

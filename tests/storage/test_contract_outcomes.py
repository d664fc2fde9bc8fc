"""Contract of every back end: what becomes of an event, by its key and its rank."""

from __future__ import annotations

import pytest

from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import MarketStore, Query, Write
from data_manager.storage.records import (
    MINUTE_MS,
    Candle,
    Depth,
    Funding,
    OpenCandle,
    Quarantined,
    Record,
    Series,
    Trade,
)
from data_manager.system.errors import RowRefused, StoreError
from tests.storage.backends import Backend
from tests.storage.examples import (
    BTC,
    ONE_OF_EACH,
    T0,
    WIRE_NAMES,
    agg_trade,
    batch,
    candle,
    depth,
    derived,
    event,
    open_candle,
    quarantined,
    received,
    received_events,
    trade,
)

EVERYTHING = Query(limit=1000)


def outcome(store: MarketStore, record: Record, *, keep_first: bool | None = None) -> Counts:
    """The delta of one event's type when it is written alone, without what was known beforehand."""
    each = event(record, keep_first=keep_first)
    return store.write(BTC, Write(events=[each])).counts[each.event_type]


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: type(record).__name__)
def test_every_type_comes_back_as_it_was_written(store: MarketStore, record: Record) -> None:
    store.write(BTC, received(record))
    (back,) = store.rows(BTC, type(record), EVERYTHING)
    assert back == record
    for field in record.__struct_fields__:  # 1 == True, but JSON tells them apart
        assert type(getattr(back, field)) is type(getattr(record, field)), field


def test_a_trade_is_stored_once_and_its_copies_are_duplicates(store: MarketStore) -> None:
    first, copy = trade(1), trade(1, market_seq=2, price="9")
    written = store.write(BTC, received(first, copy))
    assert written.counts == {"trade": Counts(received=2, stored=1, duplicate=1)}
    assert written.new_trades == 1
    assert outcome(store, copy) == Counts(duplicate=1)
    assert store.rows(BTC, Trade, EVERYTHING) == [first]


def test_trade_and_agg_trade_ids_do_not_collide(store: MarketStore) -> None:
    written = store.write(BTC, received(trade(1), agg_trade(1), trade(2)))
    assert written.counts == {"trade": Counts(received=2, stored=2), "aggTrade": Counts(received=1, stored=1)}
    assert written.new_trades == 3


def test_symbols_do_not_share_keys(store: MarketStore) -> None:
    other = type(BTC)("币安人生USDT")
    assert store.write(BTC, received(trade(1))).new_trades == 1
    assert store.write(other, received(trade(1))).new_trades == 1
    assert store.symbols() == sorted([BTC, other])


def test_the_greater_rank_replaces_an_equal_one_is_a_duplicate_a_lesser_is_skipped(
    store: MarketStore,
) -> None:
    assert outcome(store, depth(5, 10)) == Counts(stored=1)
    assert outcome(store, depth(5, 11)) == Counts(replaced=1)
    assert outcome(store, depth(5, 11, feed_seq=99)) == Counts(duplicate=1)
    assert outcome(store, depth(5, 9)) == Counts(skipped=1)
    assert store.rows(BTC, Depth, EVERYTHING) == [depth(5, 11)]


def test_settled_funding_beats_a_later_prediction(store: MarketStore) -> None:
    settled = Funding(T0, T0, "0.1", "5", True, 0, 0, T0)
    assert outcome(store, settled) == Counts(stored=1)
    assert outcome(store, Funding(T0, T0 + 9, "0.2", None, False, 1, 1, T0)) == Counts(skipped=1)
    assert store.rows(BTC, Funding, EVERYTHING) == [settled]


@pytest.mark.parametrize(("first", "second", "winner"), [
    ("kline", "rest", "rest"),
    ("rest", "kline", "rest"),
    ("trades", "kline", "kline"),
])  # fmt: skip
def test_the_stronger_source_of_a_candle_wins(store: MarketStore, first: str, second: str, winner: str) -> None:
    store.write(BTC, received(candle(0, source=first), candle(0, source=second)))
    assert [row.source for row in store.rows(BTC, Candle, EVERYTHING)] == [winner]


def test_a_closed_bar_takes_its_open_bar_away(store: MarketStore) -> None:
    store.write(BTC, received(open_candle(3), open_candle(3, timeframe="5m")))
    store.write(BTC, received(candle(3)))
    assert [bar.timeframe for bar in store.rows(BTC, OpenCandle, EVERYTHING)] == ["5m"]


def test_a_closed_bar_leaves_the_open_bar_of_a_later_minute(store: MarketStore) -> None:
    store.write(BTC, received(open_candle(4)))
    store.write(BTC, received(candle(3)))
    assert store.rows(BTC, OpenCandle, EVERYTHING) == [open_candle(4)]


def test_a_closed_bar_never_goes_back_to_open(store: MarketStore) -> None:
    store.write(BTC, received(candle(3)))
    assert outcome(store, open_candle(3, event_time=99)) == Counts(skipped=1)
    assert outcome(store, open_candle(4)) == Counts(stored=1)
    assert outcome(store, open_candle(4, event_time=2)) == Counts(replaced=1)
    assert store.rows(BTC, OpenCandle, EVERYTHING) == [open_candle(4, event_time=2)]


def test_a_bar_derived_from_trades_leaves_the_open_bar(store: MarketStore) -> None:
    store.write(BTC, received(open_candle(3)))
    store.write(BTC, Write(derived=[derived(3, 5)]))
    assert outcome(store, open_candle(3, event_time=2)) == Counts(replaced=1)


def test_open_and_closed_events_of_one_batch_end_closed_in_either_order(backend: Backend) -> None:
    store = backend.open()
    store.write(BTC, received(open_candle(1), candle(1)))
    store.write(BTC, received(candle(2), open_candle(2)))
    assert store.rows(BTC, OpenCandle, EVERYTHING) == []
    assert store.ledger(BTC).by_type["kline"] == Counts(received=4, stored=3, skipped=1)


@pytest.mark.parametrize(("there", "new", "wins"), [
    (derived(0, 5), derived(0, 6, volume="2"), True),
    (derived(0, 5), derived(0, 5, volume="2"), True),
    (derived(0, 5), derived(0, 4, volume="2"), False),
    (derived(0, 5, complete=False), derived(0, 4, volume="2"), True),
    (derived(0, 5), derived(0, 6, complete=False), True),
    (candle(0), derived(0, 99), False),
    (candle(0, source="rest"), derived(0, 99), False),
    (derived(0, 5), candle(0, trades_count=1), True),
    (candle(0, trades_count=5), candle(0, trades_count=6, volume="2"), True),
    (candle(0, trades_count=5), candle(0, trades_count=5, volume="2"), False),
])  # fmt: skip
def test_derived_bars_replace_what_knows_less(store: MarketStore, there: Candle, new: Candle, wins: bool) -> None:
    store.write(BTC, Write(derived=[there]))
    written = store.write(BTC, Write(derived=[new]))
    assert written.counts == {}
    assert store.rows(BTC, Candle, EVERYTHING) == [new if wins else there]
    assert store.ledger(BTC).by_type == {}


def test_side_rows_follow_their_rank_and_are_never_counted(store: MarketStore) -> None:
    early, late = (Funding(T0, T0 + at, f"0.{at}", None, False, 1, 1, T0) for at in (1, 2))
    for record in (early, late, early):
        assert store.write(BTC, Write(side=[record])).counts == {}
    assert store.rows(BTC, Funding, EVERYTHING) == [late]
    assert store.ledger(BTC).by_type == {}


def test_the_newest_book_is_kept(store: MarketStore) -> None:
    assert store.latest_book(BTC) is None
    for book in (depth(1, 10), depth(2, 9), depth(3, 10)):
        store.write(BTC, Write(book=book))
    assert store.latest_book(BTC) == depth(3, 10)
    assert store.rows(BTC, Depth, EVERYTHING) == []


def test_quarantine_keeps_one_row_per_position(store: MarketStore) -> None:
    written = store.write(BTC, received(quarantined(1), quarantined(1), quarantined(1, incarnation=6)))
    assert written.counts == {"unknown": Counts(received=3, quarantined=2, duplicate=1)}
    assert store.count(BTC, Quarantined, EVERYTHING) == 2


def test_quarantine_beyond_its_limit_is_counted_but_not_kept(backend: Backend) -> None:
    store = backend.open(quarantine_max_rows=3)
    store.write(BTC, received(*map(quarantined, range(5))))
    written = store.write(BTC, received(quarantined(0), quarantined(9)))
    assert written.counts["unknown"] == Counts(received=2, quarantined=1, duplicate=1)
    assert [row.feed_seq for row in store.rows(BTC, Quarantined, EVERYTHING)] == [0, 1, 2]
    assert store.ledger(BTC).by_type["unknown"] == Counts(received=7, quarantined=6, duplicate=1)


def test_expired_quarantine_makes_room_for_new_rows(backend: Backend) -> None:
    store = backend.open(quarantine_max_rows=2)
    store.write(BTC, received(quarantined(1), quarantined(2, stored_ms=T0 + 5)))
    assert store.expire(Series(BTC, Quarantined), T0 + 1) == 1
    store.write(BTC, received(quarantined(3, stored_ms=T0 + 6), quarantined(4, stored_ms=T0 + 7)))
    assert [row.feed_seq for row in store.rows(BTC, Quarantined, EVERYTHING)] == [2, 3]


def test_dirty_minutes_stay_until_they_are_clean(backend: Backend) -> None:
    store = backend.open()
    assert store.dirty_minutes(BTC) == set()
    store.write(BTC, Write(dirty_minutes={T0, T0 + MINUTE_MS}))
    store.write(BTC, Write(dirty_minutes={T0}, clean_minutes={T0 + MINUTE_MS, 5}))
    store.close()
    assert backend.open().dirty_minutes(BTC) == {T0}


def test_a_minute_that_one_write_derives_and_touches_stays_dirty(store: MarketStore) -> None:
    store.write(BTC, Write(dirty_minutes={T0}, clean_minutes={T0}))
    assert store.dirty_minutes(BTC) == {T0}


REFUSED = {
    "null price": trade(7, price=None),
    "integer of 65 bits": trade(7, time_ms=2**64),
    "text for a number": trade(7, feed_seq="twelve"),
    "half a surrogate pair": trade(7, price="\ud800"),
    "unknown type": trade(7, price=object()),
    "null rank": depth(7, None),  # type: ignore[arg-type]
    "unknown source": candle(7, source="rumour"),
    "null in the quarantine": quarantined(7, raw=None),
}


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_row_is_named_and_leaves_nothing_behind(store: MarketStore, bad: Record) -> None:
    store.write(BTC, received(trade(1), depth(7), candle(7)))
    before = store.ledger(BTC)
    write = received(trade(2), agg_trade(3), bad, trade(4), dirty_minutes={T0}, book=depth(1, 2))
    write.batches.append(batch(8, 1, 2, 3))
    write.derived.append(derived(0, 1))
    with pytest.raises(RowRefused) as refused:
        store.write(BTC, write)
    assert refused.value.index == 2
    assert type(bad).dataset in str(refused.value)
    assert store.ledger(BTC) == before
    assert store.rows(BTC, Trade, EVERYTHING) == [trade(1)]
    assert (store.dirty_minutes(BTC), store.latest_book(BTC)) == (set(), None)
    assert store.seen_positions(BTC, 5, [1, 2, 3]) == set()
    assert store.rows(BTC, Quarantined, EVERYTHING) == []


def test_without_the_refused_event_the_same_batch_is_written(store: MarketStore) -> None:
    write = received(trade(1), trade(2, price=None), trade(3), trade(4, quantity=None))
    refused = []
    while True:
        try:
            store.write(BTC, write)
            break
        except RowRefused as error:
            bad = write.events.pop(error.index)
            refused.append(bad.record.trade_id)  # type: ignore[attr-defined]
            write = received_events(write.events)
    assert refused == [2, 4]
    assert [row.trade_id for row in store.rows(BTC, Trade, EVERYTHING)] == [1, 3]


def test_a_refused_derived_bar_is_nobodys_event(store: MarketStore) -> None:
    with pytest.raises(StoreError) as refused:
        store.write(BTC, received(trade(1), derived=[candle(0, open=None)]))
    assert not isinstance(refused.value, RowRefused)
    assert store.rows(BTC, Trade, EVERYTHING) == []


def test_every_wire_name_is_a_ledger_label(store: MarketStore) -> None:
    store.write(BTC, received(*ONE_OF_EACH))
    assert set(store.ledger(BTC).by_type) == {"trade", *WIRE_NAMES.values()}

"""Contract of every back end: pages, counts, neighbours and retention."""

from __future__ import annotations

import pytest

from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import (
    ALL_SYMBOLS,
    MARKET_RECORDS,
    Candle,
    Depth,
    Quarantined,
    Record,
    Series,
    Symbol,
    Trade,
)
from data_manager.system.errors import StoreError
from tests.storage.backends import Backend
from tests.storage.examples import BTC, T0, agg_trade, candle, depth, event, quarantined, received, trade


def ids(store: MarketStore, query: Query) -> list[int]:
    return [row.trade_id for row in store.rows(BTC, Trade, query)]


@pytest.fixture
def filled(store: MarketStore) -> MarketStore:
    store.write(BTC, received(*[trade(n) for n in (5, 3, 1, 4, 2)], agg_trade(3), agg_trade(9)))
    return store


def test_a_range_holds_its_start_and_not_its_end(filled: MarketStore) -> None:
    assert ids(filled, Query(start_ms=T0 + 2, end_ms=T0 + 4, equal=(("kind", "trade"),))) == [2, 3]


def test_rows_come_by_time_then_key_over_all_kinds(filled: MarketStore) -> None:
    rows = filled.rows(BTC, Trade, Query())
    assert [(row.kind, row.trade_id) for row in rows] == [
        ("trade", 1), ("trade", 2), ("aggTrade", 3), ("trade", 3),
        ("trade", 4), ("trade", 5), ("aggTrade", 9),
    ]  # fmt: skip


def test_descending_is_the_exact_reverse(filled: MarketStore) -> None:
    rows = filled.rows(BTC, Trade, Query())
    assert filled.rows(BTC, Trade, Query(descending=True)) == rows[::-1]


def test_pages_join_to_the_whole(filled: MarketStore) -> None:
    pages = [filled.rows(BTC, Trade, Query(limit=2, offset=offset)) for offset in range(0, 8, 2)]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [row for page in pages for row in page] == filled.rows(BTC, Trade, Query())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_gives_nothing(filled: MarketStore, limit: int) -> None:
    assert ids(filled, Query(limit=limit)) == []


def test_filters_match_every_field_named(filled: MarketStore) -> None:
    assert ids(filled, Query(equal=(("kind", "trade"), ("is_buyer_maker", True)))) == [2, 4]
    assert ids(filled, Query(equal=(("is_buyer_maker", False),))) == [1, 3, 3, 5, 9]
    assert ids(filled, Query(equal=(("kind", "nothing"),))) == []


def test_a_filter_on_no_column_is_an_error_and_no_injection(filled: MarketStore) -> None:
    with pytest.raises(StoreError, match="no column"):
        filled.rows(BTC, Trade, Query(equal=(('kind" = "kind" --', "x"),)))


def test_a_bound_no_store_can_hold_is_a_store_error(filled: MarketStore) -> None:
    with pytest.raises(StoreError):
        filled.rows(BTC, Trade, Query(start_ms=2**70))


def test_counts_are_exact_up_to_their_cap(filled: MarketStore) -> None:
    assert filled.count(BTC, Trade, Query(limit=1, offset=3)) == 7
    assert filled.count(BTC, Trade, Query(equal=(("kind", "trade"),), start_ms=T0 + 3)) == 3
    assert filled.count(BTC, Trade, Query(), cap=4) == 4
    assert filled.count(BTC, Trade, Query(start_ms=T0 + 100)) == 0


def test_candles_are_told_apart_by_timeframe(store: MarketStore) -> None:
    store.write(BTC, received(candle(0), candle(5), candle(0, timeframe="5m")))
    assert store.rows(BTC, Candle, Query(equal=(("timeframe", "5m"),))) == [candle(0, timeframe="5m")]
    assert store.count(BTC, Candle, Query()) == 3


def test_trades_between_brings_both_kinds_by_time_and_id(filled: MarketStore) -> None:
    rows = filled.trades_between(BTC, T0 + 3, T0 + 9)
    assert [(row.kind, row.trade_id) for row in rows] == [
        ("aggTrade", 3),
        ("trade", 3),
        ("trade", 4),
        ("trade", 5),
    ]


def test_trades_of_one_millisecond_come_by_id_whatever_their_kind(store: MarketStore) -> None:
    store.write(BTC, received(*[agg_trade(n, time_ms=T0) for n in (7, 2)], trade(5, time_ms=T0)))
    assert [row.trade_id for row in store.trades_between(BTC, T0, T0 + 1)] == [2, 5, 7]


def test_neighbours_are_the_nearest_of_each_kind(filled: MarketStore) -> None:
    assert filled.neighbours(BTC, T0 + 4, T0 + 5) == (trade(3), agg_trade(3), trade(5), agg_trade(9))
    assert filled.neighbours(BTC, T0, T0 + 100) == (None, None, None, None)
    assert filled.neighbours(BTC, T0 + 100, T0 + 200) == (trade(5), agg_trade(9), None, None)


def test_neighbours_of_one_millisecond_go_by_id(store: MarketStore) -> None:
    store.write(BTC, received(*[trade(n, time_ms=T0) for n in (4, 6, 5)]))
    assert store.neighbours(BTC, T0 + 1, T0 + 1)[0] == trade(6, time_ms=T0)
    assert store.neighbours(BTC, T0, T0)[2] == trade(4, time_ms=T0)


@pytest.mark.parametrize("read_only", [False, True])
def test_an_unknown_symbol_is_empty_everywhere(backend: Backend, read_only: bool) -> None:
    store = backend.open(read_only=read_only)
    unknown = Symbol("ETHUSDT")
    for record in MARKET_RECORDS:
        assert store.rows(unknown, record, Query()) == []
        assert store.count(unknown, record, Query()) == 0
    assert store.trades_between(unknown, 0, T0) == []
    assert store.neighbours(unknown, 0, T0) == (None, None, None, None)
    assert (store.dirty_minutes(unknown), store.latest_book(unknown)) == (set(), None)
    assert store.seen_positions(unknown, 0, [1]) == set()
    assert store.ledger(unknown).total.received == 0
    assert store.ledger(unknown).by_type == {}


def test_expiring_an_unknown_symbol_deletes_nothing_and_creates_nothing(store: MarketStore) -> None:
    store.write(BTC, received(trade(1)))
    assert store.expire(Series(Symbol("ETHUSDT"), Trade), T0) == 0
    assert store.symbols() == [BTC]


def test_symbols_leave_out_what_has_no_symbol(store: MarketStore) -> None:
    store.write(ALL_SYMBOLS, received(quarantined(1)))
    store.write(Symbol("ETHUSDT"), received(trade(1)))
    store.write(BTC, received(trade(1)))
    assert store.symbols() == [BTC, "ETHUSDT"]
    assert store.count(ALL_SYMBOLS, Quarantined, Query()) == 1


def test_nothing_that_is_no_symbol_reaches_the_disk(store: MarketStore) -> None:
    for name in ("../evil", "btc", "", "A/B", "a" * 300):
        with pytest.raises(StoreError, match="no symbol"):
            store.write(Symbol(name), received(trade(1)))


def test_rows_expire_by_when_they_were_stored_not_by_their_time(store: MarketStore) -> None:
    old = [trade(n, time_ms=T0 + 10**9, stored_ms=T0) for n in (1, 2)]
    repaired = trade(3, time_ms=T0 - 10**9, stored_ms=T0 + 1)
    store.write(BTC, received(*old))
    store.write(BTC, received(repaired))
    assert store.expire(Series(BTC, Trade), T0 + 1) == 2
    assert store.rows(BTC, Trade, Query()) == [repaired]
    assert store.expire(Series(BTC, Trade), T0 + 1) == 0


def test_a_replaced_row_lives_from_its_replacement_on(store: MarketStore) -> None:
    store.write(BTC, received(depth(1, 1), depth(2, 1)))
    store.write(BTC, received(depth(1, 2, stored_ms=T0 + 9)))
    assert store.expire(Series(BTC, Depth), T0 + 1) == 1
    assert store.rows(BTC, Depth, Query()) == [depth(1, 2, stored_ms=T0 + 9)]


def test_expiry_is_bounded_and_goes_on_where_it_stopped(store: MarketStore) -> None:
    store.write(BTC, received(*map(trade, range(25))))
    assert [store.expire(Series(BTC, Trade), T0 + 1, limit=10) for _ in range(4)] == [10, 10, 5, 0]


def test_expiry_leaves_the_ledger_alone(store: MarketStore) -> None:
    store.write(BTC, received(*map(trade, range(5))))
    before = store.ledger(BTC)
    store.expire(Series(BTC, Trade), T0 + 1)
    assert store.ledger(BTC) == before


def test_a_store_that_is_well_checks_well(backend: Backend) -> None:
    backend.open().check()
    backend.open(read_only=True).check()


def test_closing_twice_is_harmless_and_what_was_written_stays(backend: Backend) -> None:
    store = backend.open()
    store.write(BTC, received(trade(1)))
    store.close()
    store.close()
    assert backend.open().rows(BTC, Trade, Query()) == [trade(1)]


def test_a_reader_finds_a_symbol_that_appears_later(backend: Backend) -> None:
    reader, writer = backend.open(read_only=True), backend.open()
    assert reader.rows(BTC, Trade, Query()) == []
    writer.write(BTC, received(trade(1)))
    assert reader.rows(BTC, Trade, Query()) == [trade(1)]
    writer.write(BTC, received(trade(2)))
    assert ids(reader, Query()) == [1, 2]


def test_many_records_of_every_time_are_found_by_every_filter(store: MarketStore) -> None:
    records: list[Record] = [candle(n, timeframe=frame) for n in range(40) for frame in ("1m", "5m", "1h")]
    store.write(BTC, received(*records))
    assert store.count(BTC, Candle, Query()) == 120
    newest = store.rows(BTC, Candle, Query(limit=4, descending=True))
    assert [(row.open_time, row.timeframe) for row in newest] == [
        (candle(39).open_time, "5m"), (candle(39).open_time, "1m"), (candle(39).open_time, "1h"),
        (candle(38).open_time, "5m"),
    ]  # fmt: skip
    assert event(newest[0]).event_type == "kline"


def test_a_quarantined_event_is_found_by_its_key_and_by_its_reason(store: MarketStore) -> None:
    events = [quarantined(1), quarantined(2, reason="symbol_mismatch"), quarantined(1, incarnation=6)]
    store.write(BTC, received(*events))
    for equal, found in (
        ((("incarnation", 5), ("feed_seq", 1)), [(5, 1)]),
        ((("incarnation", 6), ("feed_seq", 2)), []),
        ((("reason", "symbol_mismatch"),), [(5, 2)]),
    ):
        rows = store.rows(BTC, Quarantined, Query(equal=equal))
        assert [(row.incarnation, row.feed_seq) for row in rows] == found


def test_rows_of_the_feed_are_told_from_repaired_ones_by_their_place_in_it(store: MarketStore) -> None:
    store.write(BTC, received(trade(1), trade(2), agg_trade(1)))
    store.merge(BTC, [trade(3, feed_seq=0, market_seq=0)])
    repaired = Query(equal=(("kind", "trade"), ("feed_seq", 0)))
    assert store.count(BTC, Trade, repaired, 2**62) == 1
    assert store.count(BTC, Trade, Query(equal=(("kind", "trade"),)), 2**62) == 3

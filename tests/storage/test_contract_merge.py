"""Contract of every back end: how rows of the exchange's REST side meet those stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manager.storage.differing import differ
from data_manager.storage.protocols import MERGE_ROWS, Difference, MarketStore, Merged, Query, Write
from data_manager.storage.records import Candle, Depth, Funding, OpenCandle, Record, Trade
from data_manager.system.errors import RowRefused, StoreError
from tests.storage.backends import Backend
from tests.storage.examples import BTC, T0, agg_trade, candle, depth, derived, open_candle, received, trade

EVERYTHING = Query(limit=10**6)


def kline(minute: int, **fields: Any) -> Candle:
    """A bar as REST has it."""
    return candle(minute, **{"source": "rest", "first_id": None, "feed_seq": 0, "market_seq": 0, **fields})


def funding(number: int, **fields: Any) -> Funding:
    values: dict[str, Any] = {"funding_rate": "0.0001", "mark_price": "43000", "settled": True, **fields}
    stamps = {"event_time": T0 + number, "feed_seq": 0, "market_seq": 0, "stored_ms": T0}
    return Funding(T0 + number, **{**stamps, **values})


def by_key(store: MarketStore, record: type[Record]) -> list[Record]:
    return list(store.rows(BTC, record, EVERYTHING))


def parts(minutes: Sequence[int], length: int) -> list[Sequence[int]]:
    return [minutes[start : start + length] for start in range(0, len(minutes), length)]


NEW: list[Sequence[Any]] = [
    [agg_trade(1), agg_trade(2), trade(1)],
    [kline(0), kline(1), kline(0, timeframe="5m")],
    [funding(0), funding(60_000, mark_price=None)],
]


@pytest.mark.parametrize("rows", NEW, ids=lambda rows: type(rows[0]).__name__)
def test_rows_whose_keys_are_free_are_inserted_once(store: MarketStore, rows: Sequence[Any]) -> None:
    assert store.merge(BTC, rows) == Merged(inserted=len(rows))
    assert store.merge(BTC, rows) == Merged()
    stored = by_key(store, type(rows[0]))
    assert sorted(stored, key=repr) == sorted(rows, key=repr)
    for back in stored:
        assert all(type(getattr(back, name)) in (str, int, bool, type(None)) for name in back.__struct_fields__)
    assert store.symbols() == [BTC]


RANKS: list[tuple[Any, Any, bool, bool]] = [
    # there, offered, whether it gives way, whether that is a contradiction
    (candle(0), kline(0), True, False),
    (candle(0), kline(0, close="2.1"), True, True),
    (kline(0), kline(0, close="2.1"), False, True),
    (kline(0), kline(0, trades_count=8, stored_ms=T0 + 1), True, True),
    (kline(0), candle(0, close="2.1"), False, True),
    (derived(0, 7), kline(0), True, False),
    (derived(0, 7), kline(0, volume="100.001"), True, True),
    (derived(0, 3, complete=False), kline(0), True, False),
    (kline(0), derived(0, 99), False, True),
    (agg_trade(1), agg_trade(1, feed_seq=0, market_seq=0, price="43123.1"), False, False),
    (agg_trade(1), agg_trade(1, price="43123.2"), False, True),
    (funding(0, settled=False, funding_rate="0.2", event_time=T0 + 99), funding(0), True, False),
    (funding(0), funding(0, funding_rate="0.2"), False, True),
    (funding(0), funding(0, funding_rate="0.2", event_time=T0 + 1), True, True),
    (funding(0), funding(0, settled=False, funding_rate="0.2", event_time=T0 + 99), False, False),
]


@pytest.mark.parametrize(("there", "offered", "gives_way", "contradicts"), RANKS)
def test_the_better_row_stays_and_a_contradiction_is_told_either_way(
    store: MarketStore, there: Any, offered: Any, gives_way: bool, contradicts: bool
) -> None:
    store.merge(BTC, [there])
    differences = (Difference(there, offered),) if contradicts else ()
    assert store.merge(BTC, [offered]) == Merged(replaced=int(gives_way), differences=differences)
    assert by_key(store, type(there)) == [offered if gives_way else there]


def test_events_and_derived_bars_meet_merged_rows_by_the_same_keys(store: MarketStore) -> None:
    store.write(BTC, received(candle(0), agg_trade(1), trade(2)))
    store.write(BTC, Write(derived=[derived(1, 7)]))
    assert store.merge(BTC, [kline(0), kline(1), kline(2)]) == Merged(inserted=1, replaced=2)
    assert store.merge(BTC, [agg_trade(1), agg_trade(2)]) == Merged(inserted=1)
    written = store.write(BTC, received(candle(2), agg_trade(2), agg_trade(3)))
    assert (written.counts["kline"].skipped, written.counts["aggTrade"].duplicate, written.new_trades) == (1, 1, 1)
    store.write(BTC, Write(derived=[derived(0, 99)]))
    assert {row.source for row in store.rows(BTC, Candle, EVERYTHING)} == {"rest"}


def test_new_better_equal_and_contradicting_rows_in_one_page(store: MarketStore) -> None:
    store.merge(BTC, [kline(0), candle(1), kline(2), candle(4)])
    page = [kline(0), kline(1), kline(2, close="9"), kline(3), kline(4, close="9")]
    merged = store.merge(BTC, page)
    assert (merged.inserted, merged.replaced) == (1, 2)
    assert sorted(merged.differences, key=repr) == sorted(
        [Difference(kline(2), page[2]), Difference(candle(4), page[4])], key=repr
    )
    assert by_key(store, Candle) == [kline(0), kline(1), kline(2), kline(3), kline(4, close="9")]


@pytest.mark.parametrize("rows", list(permutations([candle(0), kline(0, close="9"), kline(0, close="8")])))
def test_rows_under_one_key_in_one_page_are_one_row_and_contradict_each_other(
    store: MarketStore, rows: tuple[Candle, ...]
) -> None:
    merged = store.merge(BTC, rows)
    (kept,) = store.rows(BTC, Candle, EVERYTHING)
    assert kept == next(row for row in rows if row.source == "rest")
    assert (merged.inserted, merged.replaced) == (1, 0)
    assert {difference.offered for difference in merged.differences} == set(rows[1:])


def test_ledger_dirty_minutes_and_other_rows_are_left_alone(store: MarketStore) -> None:
    store.write(BTC, received(trade(1), depth(1), dirty_minutes={T0}))
    before = store.ledger(BTC)
    store.merge(BTC, [agg_trade(n) for n in range(5)])
    store.merge(BTC, [kline(n) for n in range(5)])
    assert store.ledger(BTC) == before
    assert store.dirty_minutes(BTC) == {T0}
    assert by_key(store, Depth) == [depth(1)]
    assert store.count(BTC, Trade, EVERYTHING) == 6


def test_a_merged_bar_takes_its_open_bar_away_and_no_later_one(store: MarketStore) -> None:
    store.write(BTC, received(open_candle(3), open_candle(7, timeframe="5m")))
    store.merge(BTC, [kline(3), kline(0, timeframe="5m"), derived(9, 5, timeframe="5m")])
    assert by_key(store, OpenCandle) == [open_candle(7, timeframe="5m")]


def test_a_page_of_any_length_is_merged(store: MarketStore) -> None:
    """Keys are looked up so many at a time."""
    lengths = [1, 99, 100, 101, 200]
    for length in lengths:
        store.merge(BTC, [kline(minute) for minute in range(0, length, 2)])
        merged = store.merge(BTC, [kline(minute, close="9") for minute in range(length)])
        assert store.count(BTC, Candle, EVERYTHING) == length
        assert all(difference.offered.close == "9" for difference in merged.differences)  # type: ignore[attr-defined]
        assert merged.replaced == 0
    assert store.merge(BTC, [kline(minute) for minute in range(MERGE_ROWS)]).inserted == MERGE_ROWS - lengths[-1]


def test_nothing_to_merge_is_no_trouble(store: MarketStore) -> None:
    assert store.merge(BTC, []) == Merged()
    assert by_key(store, Candle) == []


@pytest.mark.parametrize("rows", [
    [trade(number) for number in range(MERGE_ROWS + 1)],
    [trade(1), kline(1)],
    [depth(1)],
], ids=["too many", "two types", "no such rows at the exchange"])  # fmt: skip
def test_what_no_merge_takes_is_an_error_that_says_so(store: MarketStore, rows: Sequence[Any]) -> None:
    with pytest.raises(StoreError, match=f"up to {MERGE_ROWS} rows of one of Trade, Candle, Funding, not"):
        store.merge(BTC, rows)
    assert [by_key(store, record) for record in (Trade, Candle, Depth)] == [[], [], []]


REFUSED: dict[str, list[Any]] = {
    "null price": [agg_trade(2), agg_trade(3, price=None)],
    "integer of 65 bits": [agg_trade(2), agg_trade(2**64)],
    "text for a number": [agg_trade(2), agg_trade(3, time_ms="twelve")],
    "half a surrogate pair": [agg_trade(2), agg_trade(3, quantity="\ud800")],
    "unknown source": [kline(2), kline(3, source="rumour")],
    "null in the key": [funding(2), msgspec.structs.replace(funding(3), funding_time=None)],
}


@pytest.mark.parametrize("rows", REFUSED.values(), ids=REFUSED.keys())
def test_a_row_that_can_never_be_stored_is_named(store: MarketStore, rows: list[Any]) -> None:
    store.merge(BTC, [kline(0)])
    with pytest.raises(RowRefused) as refused:
        store.merge(BTC, rows)
    assert refused.value.index == 1
    assert type(rows[1]).dataset in str(refused.value)
    assert store.merge(BTC, rows[:1]).inserted == 1
    assert by_key(store, Candle)[0] == kline(0)


# -- at once ------------------------------------------------------------------------------------------------


def test_two_that_merge_the_same_keys_at_once_lose_and_hide_nothing(backend: Backend) -> None:
    """Each has its own values; whoever comes second under a key must say that they are not the same."""
    minutes = range(300)
    backend.open().merge(BTC, [candle(minute, close="0.9") for minute in minutes[::3]])
    results: dict[str, list[Merged]] = {"5": [], "6": []}
    barrier = threading.Barrier(2)

    def merge(store: MarketStore, close: str, order: Sequence[int]) -> None:
        barrier.wait(30)
        for part in parts(order, 10):
            results[close].append(store.merge(BTC, [kline(minute, close=close) for minute in part]))

    others = [
        threading.Thread(target=merge, args=(backend.open(), close, order))
        for close, order in (("5", minutes), ("6", minutes[::-1]))
    ]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    merged = [each for told in results.values() for each in told]
    assert sum(each.inserted for each in merged) == 200
    assert sum(each.replaced for each in merged) == 100
    rows = backend.open().rows(BTC, Candle, EVERYTHING)
    assert [row.open_time for row in rows] == [kline(minute).open_time for minute in minutes]
    told = {
        (difference.offered.open_time, difference.stored.close)  # type: ignore[attr-defined]
        for each in merged
        for difference in each.differences
    }
    assert told >= {(row.open_time, row.close) for row in rows}  # what stayed was held against what did not
    assert told >= {(kline(minute).open_time, "0.9") for minute in minutes[::3]}


def test_merging_while_live_events_come_ends_with_the_better_rows(backend: Backend) -> None:
    writer, merger = backend.open(), backend.open()
    minutes = range(120)
    ready = threading.Barrier(2)
    merged: list[Merged] = []

    def merge() -> None:
        ready.wait(30)
        merged.extend(merger.merge(BTC, [kline(minute) for minute in part]) for part in parts(minutes, 6))

    merging = threading.Thread(target=merge)
    merging.start()
    ready.wait(30)
    stored = 0
    for part in parts(minutes[::-1], 6):
        counts = writer.write(BTC, received(*(candle(minute, close="1.9") for minute in part))).counts["kline"]
        stored += counts.stored
        assert counts.balanced
    merging.join(60)
    assert sum(each.inserted for each in merged) + stored == len(minutes)
    assert sum(each.replaced for each in merged) == stored
    assert sum(len(each.differences) for each in merged) == stored
    assert by_key(writer, Candle) == [kline(minute) for minute in minutes]


# -- any history --------------------------------------------------------------------------------------------

sources = st.sampled_from(["trades", "kline", "rest"])
bars = st.builds(
    lambda minute, source, count, close, complete: candle(
        minute, source=source, trades_count=count, close=close, complete=complete or source != "trades"
    ),
    st.integers(0, 3),
    sources,
    st.integers(1, 3),
    st.sampled_from(["1.5", "1.50", "2"]),
    st.booleans(),
)


def merged_into(rows: dict[int, Candle], page: list[Candle]) -> Merged:
    """What a merge must say and do, row by row."""
    before = dict(rows)
    differences: list[Difference] = []
    for row in page:
        stood = rows.get(row.open_time)
        if stood is not None and differ(stood, row):
            differences.append(Difference(stood, row))
        if stood is None or row.rank > stood.rank:
            rows[row.open_time] = row
    changed = [key for key in rows if rows[key] is not before.get(key)]
    inserted = sum(key not in before for key in changed)
    return Merged(inserted, len(changed) - inserted, tuple(dict.fromkeys(differences)))


def test_any_pages_do_what_they_do_to_a_dict(
    new_backend: Callable[[], Backend], request: pytest.FixtureRequest
) -> None:
    slow = "mongo" in request.node.name

    @settings(
        derandomize=True,
        deadline=None,
        max_examples=10 if slow else 60,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.lists(st.lists(bars, max_size=6), max_size=5))
    def check(pages: list[list[Candle]]) -> None:
        store, model = new_backend().open(), dict[int, Candle]()
        for page in pages:
            assert store.merge(BTC, page) == merged_into(model, page)
            assert by_key(store, Candle) == [model[key] for key in sorted(model)]
        store.close()

    check()

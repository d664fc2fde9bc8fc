"""What a cycle looks at, read from real files: bars once, books once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.analytics.book import Book, book_of
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.documents import Summed, document
from data_manager.actors.analytics.material import end_ms
from data_manager.actors.analytics.reading import bars_between, books_since, history, material
from data_manager.actors.analytics.results import Unknown
from data_manager.actors.analytics.spread import Sums, sums_of
from data_manager.actors.analytics.volatility import volatility
from data_manager.actors.audit import reading
from data_manager.actors.audit.grid import Range
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import Candle, Depth, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from tests.actors.analytics.computing import book
from tests.actors.analytics.computing import history as stored_history
from tests.actors.analytics.series import DAY_MS, HOUR_MS, MINUTE_MS, all_of, walk

BTC = Symbol("BTCUSDT")
CONF = analytics_conf()
AT = 1_760_961_600_000 + 20 * MINUTE_MS + 10_000  # 2025-10-20 12:20:10 UTC


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    opened = SqliteMarketStore(tmp_path, clock=SystemClock())
    yield opened
    opened.close()


def put(store: SqliteMarketStore, rows: list[Candle]) -> None:
    for start in range(0, len(rows), 1000):
        store.merge(BTC, rows[start : start + 1000])


def put_books(store: SqliteMarketStore, books: list[Depth]) -> None:
    store.write(BTC, Write(events=[Event("depth", each) for each in books], book=books[-1]))


def spread_document(time_ms: int, summed: Summed) -> Write:
    bars = walk(30)
    return Write(
        side=[document("spread", "1h", time_ms, time_ms, volatility(bars, all_of(bars), CONF.volatility), summed)]
    )


def close_to(sums: Sums) -> dict[str, tuple[object, int]]:
    return {name: (pytest.approx(each.total, rel=1e-9), each.weight_ms) for name, each in sums.items()}


def as_pairs(sums: Sums) -> dict[str, tuple[float, int]]:
    return {name: (each.total, each.weight_ms) for name, each in sums.items()}


def test_the_newest_bar_that_can_be_closed_ends_the_read_and_the_warm_up_begins_it(store: SqliteMarketStore) -> None:
    put(store, stored_history("1h", 120, AT + DAY_MS, 1))
    bars = history(store, BTC, "1h", CONF, AT)
    assert bars.open_times[-1] == AT // HOUR_MS * HOUR_MS - HOUR_MS
    assert len(bars) == CONF.history_ms("1h") // HOUR_MS == 90 * 24 + 150
    assert bars.adjacent[1:].all()


def test_open_bars_and_those_of_other_lengths_are_not_among_them(store: SqliteMarketStore) -> None:
    put(store, [*stored_history("1h", 1, AT, 1), *stored_history("4h", 2, AT, 2)])
    assert len(bars_between(store, BTC, "1h", Range(0, AT))) == 24
    assert len(bars_between(store, BTC, "1d", Range(0, AT))) == 0


def test_a_symbol_without_anything_is_read_as_nothing(store: SqliteMarketStore) -> None:
    found = material(store, BTC, CONF, AT, HOUR_MS)
    assert {timeframe: len(bars) for timeframe, bars in found.bars.items()} == {"1h": 0, "1d": 0}
    assert {timeframe: len(bars) for timeframe, bars in found.inside.items()} == {"1h": 0, "1d": 0}
    assert found.newest_book == Unknown("no book is known")
    assert (found.books, found.day) == (Summed(AT - HOUR_MS, {}), {})
    assert found.closed_ms("1d") == AT // DAY_MS * DAY_MS


def test_the_shorter_bars_are_those_inside_the_newest_one(store: SqliteMarketStore) -> None:
    put(store, [*stored_history("1h", 2, AT, 1), *stored_history("1m", 1, AT, 2)])
    found = material(store, BTC, CONF, AT, HOUR_MS)
    newest = int(found.bars["1h"].open_times[-1])
    assert found.closed_ms("1h") == newest + HOUR_MS == end_ms("1h", AT)
    assert np.array_equal(found.inside["1h"].open_times, newest + MINUTE_MS * np.arange(60))


def test_books_are_read_from_where_the_cycle_before_ended_and_a_day_adds_up_what_cycles_read(
    store: SqliteMarketStore,
) -> None:
    books = [book(AT - 1000 * age, 40_000.0 + age) for age in (700, 500, 100, 50)]
    put_books(store, books)
    first = books_since(store, BTC, AT - 700_000, AT - 300_000, CONF.spread)
    store.write(BTC, spread_document(AT - DAY_MS - 1, Summed(0, first.sums)))  # of more than a day ago
    store.write(BTC, spread_document(AT - DAY_MS + 1, Summed(AT - DAY_MS - 9, first.sums)))  # begins before the day
    store.write(BTC, spread_document(AT - 300_000, first))
    found = material(store, BTC, CONF, AT, HOUR_MS)
    assert isinstance(found.newest_book, Book)
    assert found.newest_book.time_ms == AT - 50_000
    assert found.books.since_ms == AT - 300_000
    assert found.books.sums["mid_price"].weight_ms == 50_000 + 50_000
    assert first.sums["mid_price"].weight_ms == 60_000 + 60_000
    assert found.day["mid_price"].weight_ms == 220_000
    stood = {700: 60_000, 500: 60_000, 100: 50_000, 50: 50_000}
    total = sum((40_000.0 + age) * held for age, held in stood.items())
    assert found.day["mid_price"].total == pytest.approx(total)


def test_after_a_long_pause_no_more_books_are_read_than_reach_allows(store: SqliteMarketStore) -> None:
    put_books(store, [book(AT - 5 * HOUR_MS), book(AT - 10_000)])
    store.write(BTC, spread_document(AT - 6 * HOUR_MS, Summed(AT - 7 * HOUR_MS, {})))
    found = material(store, BTC, CONF, AT, HOUR_MS)
    assert found.books.since_ms == AT - HOUR_MS
    assert found.books.sums["mid_price"].weight_ms == 10_000


@settings(max_examples=25, deadline=None)
@given(
    ages=st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True),
    page=st.integers(1, 5),
    crossed=st.sets(st.integers(0, 400), max_size=3),
)
def test_pages_of_books_add_up_to_what_all_of_them_at_once_do(
    tmp_path_factory: pytest.TempPathFactory, ages: list[int], page: int, crossed: set[int]
) -> None:
    rows = [book(AT - 1000 * age, 40_000.0 + age) for age in sorted(ages, reverse=True)]
    rows = [
        Depth(row.slot, row.time_ms, row.last_update_id, row.asks, row.bids, 0, 0, 0)
        if (AT - row.time_ms) // 1000 in crossed
        else row
        for row in rows
    ]
    whole = [each for each in map(book_of, rows) if isinstance(each, Book)]
    since = AT - 300_000
    store = SqliteMarketStore(tmp_path_factory.mktemp("books"), clock=SystemClock())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "PAGE_ROWS", page)
        try:
            put_books(store, rows)
            summed = books_since(store, BTC, since, AT, CONF.spread)
        finally:
            store.close()
    inside = [each for each in whole if since <= each.time_ms < AT]
    before = [each for each in whole if since - CONF.spread.holds_ms <= each.time_ms < since][-1:]
    assert as_pairs(summed.sums) == close_to(sums_of([*before, *inside], since, AT, CONF.spread))

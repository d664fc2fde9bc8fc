"""Lineage: counted, once for each dataset and hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.lineage import HOUR_MS, HOURS_BACK, SETTLE_MS, finished_hours, lineage_of, steps
from data_manager.storage.protocols import Lineage, Write
from data_manager.storage.records import ALL_SYMBOLS, MINUTE_MS, TIMEFRAMES, Analytics, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, T0, FixedClock, agg_trade, candle, depth, derived, document, received, trade

DAY_MS = 24 * HOUR_MS
DAY = T0 // DAY_MS * DAY_MS  # a midnight
NOON = DAY + 12 * HOUR_MS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    with closing(SqliteMarketStore(tmp_path, clock=FixedClock())) as store:
        yield store


def bar(timeframe: str, open_time: int, source: str = "trades"):
    return derived(0, 3, timeframe=timeframe, open_time=open_time, source=source)


def counts(store: SqliteMarketStore, end_ms: int) -> dict[str, tuple[str | None, int | None, int | None]]:
    return {
        record.dataset_id: (record.source_dataset_id, record.input_records, record.output_records)
        for record in lineage_of(store, BTC, end_ms)
    }


def test_the_chain_leads_from_trades_to_days() -> None:
    chain = [(step.source.dataset_id, step.target.dataset_id, step.transformation) for step in steps(BTC)]
    names = ["trades_BTCUSDT", *(f"candles_BTCUSDT_{timeframe}" for timeframe in TIMEFRAMES)]
    assert chain == [
        (source, target, "derive_candles" if source == "trades_BTCUSDT" else "roll_up")
        for source, target in pairwise(names)
    ]


def test_trades_and_bars_of_the_hour_are_counted(store: SqliteMarketStore) -> None:
    start = NOON
    inside = [trade(number, time_ms=start + number) for number in range(7)]
    beside = [trade(90, time_ms=start - 1), trade(91, time_ms=start + HOUR_MS), agg_trade(5, time_ms=start + 9)]
    store.write(BTC, received(*inside, *beside))
    minutes = [bar("1m", start + number * MINUTE_MS) for number in (0, 1, 59)]
    store.write(BTC, Write(derived=[*minutes, bar("1m", start - MINUTE_MS), bar("1m", start + HOUR_MS)]))
    assert counts(store, start + HOUR_MS) == {"candles_BTCUSDT_1m": ("trades_BTCUSDT", 8, 3)}


def test_bars_of_the_exchange_are_input_and_never_output(store: SqliteMarketStore) -> None:
    store.write(BTC, received(candle(0, open_time=NOON)))
    assert counts(store, NOON + HOUR_MS) == {}
    store.write(BTC, Write(derived=[bar("5m", NOON)]))
    assert counts(store, NOON + HOUR_MS) == {"candles_BTCUSDT_5m": ("candles_BTCUSDT_1m", 1, 1)}


def test_a_longer_bar_counts_in_the_hour_in_which_it_closes(store: SqliteMarketStore) -> None:
    hours = [bar("1h", DAY + number * HOUR_MS) for number in range(24)]
    quarters = [bar("4h", DAY + number * HOUR_MS) for number in range(0, 24, 4)]
    store.write(BTC, Write(derived=[*hours, *quarters, bar("1d", DAY)]))
    four = ("candles_BTCUSDT_1h", 4, 1)
    hourly = {"candles_BTCUSDT_1h": ("candles_BTCUSDT_15m", 0, 1)}
    assert counts(store, DAY + 3 * HOUR_MS) == hourly
    assert counts(store, DAY + 4 * HOUR_MS) == {**hourly, "candles_BTCUSDT_4h": four}
    last = {**hourly, "candles_BTCUSDT_4h": four, "candles_BTCUSDT_1d": ("candles_BTCUSDT_4h", 6, 1)}
    assert counts(store, DAY + DAY_MS) == last


def test_a_repetition_has_the_same_ids_and_other_hours_have_others(store: SqliteMarketStore) -> None:
    store.write(BTC, Write(derived=[bar("1m", NOON), bar("5m", NOON), bar("1m", NOON + HOUR_MS)]))
    first, again = (lineage_of(store, BTC, NOON + HOUR_MS) for _ in range(2))
    assert first == again
    records = [*first, *lineage_of(store, BTC, NOON + 2 * HOUR_MS)]
    assert len({record.lineage_id for record in records}) == len(records) == 3
    assert {(record.at_ms, record.transformation) for record in records} == {
        (NOON + HOUR_MS, "derive_candles"),
        (NOON + HOUR_MS, "roll_up"),
        (NOON + 2 * HOUR_MS, "derive_candles"),
    }


def test_an_unknown_symbol_has_none(store: SqliteMarketStore) -> None:
    found: list[Lineage] = lineage_of(store, Symbol("ETHUSDT"), NOON)
    assert found == []


times = st.integers(T0, T0 + 3 * DAY_MS)


@settings(derandomize=True, deadline=None)
@given(times, st.integers(0, 40 * HOUR_MS))
def test_the_hours_to_do_have_settled_and_began_within_a_day(now_ms: int, ago_ms: int) -> None:
    through = (now_ms - ago_ms) // HOUR_MS * HOUR_MS
    ends = finished_hours(now_ms, through)
    expected = [
        end
        for end in range(DAY - 4 * DAY_MS, DAY + 5 * DAY_MS, HOUR_MS)
        if end > through and end + SETTLE_MS <= now_ms and end - HOUR_MS >= now_ms - HOURS_BACK * HOUR_MS
    ]
    assert list(ends) == expected


# -- documents ----------------------------------------------------------------------------------------------


def lineage(store: SqliteMarketStore, end_ms: int, symbol: Symbol = BTC) -> dict[tuple[str, str], Lineage]:
    return {(record.dataset_id, record.transformation): record for record in lineage_of(store, symbol, end_ms)}


def computed(category: str, time_ms: int, timeframe: str = "1h") -> Analytics:
    return document(category=category, time_ms=time_ms, timeframe=timeframe, computed_ms=time_ms + 9)


def test_documents_are_made_of_the_bars_of_their_own_timeframe(store: SqliteMarketStore) -> None:
    inside = [computed("trend", NOON), computed("trend", NOON, "1d"), computed("regime", NOON + 900_000)]
    store.write(BTC, Write(side=[*inside, computed("trend", NOON - 1), computed("trend", NOON + HOUR_MS)]))
    found = lineage(store, NOON + HOUR_MS)
    assert {key: (row.source_dataset_id, row.input_records, row.output_records) for key, row in found.items()} == {
        ("analytics_BTCUSDT_trend", "analyse_1h"): ("candles_BTCUSDT_1h", 720, 1),
        ("analytics_BTCUSDT_trend", "analyse_1d"): ("candles_BTCUSDT_1d", 720, 1),
        ("analytics_BTCUSDT_regime", "analyse_1h"): ("candles_BTCUSDT_1h", 720, 1),
    }
    assert {row.at_ms for row in found.values()} == {NOON + HOUR_MS}
    assert len({row.lineage_id for row in found.values()}) == 3
    assert lineage(store, NOON + HOUR_MS) == found


def test_a_spread_is_made_of_books_and_a_days_of_the_hours(store: SqliteMarketStore) -> None:
    store.write(BTC, received(*(depth(number, time_ms=NOON + number) for number in range(5))))
    slots = [computed("spread", NOON + number * 900_000, name) for number in range(4) for name in ("1h", "1d")]
    store.write(BTC, Write(side=slots))
    ((key, record),) = lineage(store, NOON + HOUR_MS).items()
    assert key == ("analytics_BTCUSDT_spread", "analyse_1h")
    assert (record.source_dataset_id, record.input_records, record.output_records) == ("depth_BTCUSDT", 5, 4)


def test_documents_of_the_whole_market_have_no_single_source(store: SqliteMarketStore) -> None:
    store.write(ALL_SYMBOLS, Write(side=[computed("correlation_matrix", NOON)]))
    ((key, record),) = lineage(store, NOON + HOUR_MS, ALL_SYMBOLS).items()
    assert key == ("analytics_correlation_matrix", "analyse_1h")
    assert (record.source_dataset_id, record.input_records, record.output_records) == (None, None, 1)

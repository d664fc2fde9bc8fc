"""What is missing of a range, by the audit's own functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data_manager.actors.audit.coverage import Coverage
from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import proving
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import Candle, Funding, Record, Series
from data_manager.storage.sqlite import SqliteMarketStore
from tests.actors.backfill.working import BTC, DAY, HOUR, MINUTE, NOW
from tests.storage.examples import FixedClock, agg_trade, candle, derived

BARS = Series(BTC, Candle, "1m")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    opened = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield opened
    opened.close()


def keep(store: SqliteMarketStore, *rows: Record) -> None:
    store.write(BTC, Write(events=[Event(type(row).dataset, row) for row in rows]))


def minutes(first: int, last: int) -> Range:
    return Range(NOW + first * MINUTE, NOW + last * MINUTE)


@given(start=st.integers(0, 10**6), bars=st.integers(0, 5_000), length=st.sampled_from([MINUTE, HOUR]))
def test_chunks_of_bars_cover_a_range_once(start: int, bars: int, length: int) -> None:
    within = Range(start * length, (start + bars) * length)
    chunks = list(proving.bar_chunks(within, length))
    assert all(chunk.bars(length) <= proving.CHUNK_BARS for chunk in chunks)
    assert [at for chunk in chunks for at in range(*chunk, length)] == list(range(*within, length))


def test_a_bar_of_too_few_trades_is_missing_like_one_that_is_not_there(store: SqliteMarketStore) -> None:
    there = [replace(candle(0, timeframe="1m", source="rest"), open_time=NOW + at * MINUTE) for at in (0, 1, 4)]
    poor = replace(derived(0, 5, complete=False), open_time=NOW + 5 * MINUTE)
    keep(store, *there, poor, replace(poor, open_time=NOW + 6 * MINUTE, complete=True))
    assert proving.missing_bars(BARS, minutes(0, 8), store) == [minutes(2, 4), minutes(5, 6), minutes(7, 8)]


def test_a_hole_in_which_trades_prove_that_nothing_was_traded_is_none(store: SqliteMarketStore) -> None:
    keep(store, agg_trade(7, time_ms=NOW), agg_trade(8, time_ms=NOW + 5 * MINUTE))
    holes = [minutes(1, 4), minutes(6, 9)]
    assert proving.traded(BARS, holes, store) == [minutes(6, 9)]


def test_missing_ids_are_found_with_the_trades_beside_them(store: SqliteMarketStore) -> None:
    ids = [n for n in range(40) if n not in (11, 12)]
    keep(store, *(agg_trade(n, time_ms=NOW + n * 30_000, first_id=2 * n, last_id=2 * n + 1) for n in ids))
    coverage = Coverage()
    for chunk in proving.minute_chunks(minutes(0, 20)):
        proving.cover(coverage, BTC, chunk, store)
    assert proving.broken(coverage) == [Range(NOW + 10 * 30_000, NOW + 13 * 30_000 + 1)]


def test_a_rate_that_was_only_predicted_is_missing(store: SqliteMarketStore) -> None:
    def rate(time_ms: int, *, settled: bool) -> Funding:
        return Funding(time_ms, time_ms, "0.0001", None, settled, 0, 0, 0)

    keep(store, rate(NOW, settled=True), rate(NOW + 8 * HOUR, settled=False))
    assert proving.missing_rates(BTC, Range(NOW, NOW + DAY), store) == [
        Range(NOW + 8 * HOUR, NOW + 8 * HOUR + MINUTE),
        Range(NOW + 16 * HOUR, NOW + 16 * HOUR + MINUTE),
    ]


def test_a_range_that_is_whole_has_nothing_said_about_it() -> None:
    assert proving.verdict([], MINUTE) == proving.verdict_of_places("Trades", []) == ""


def test_what_is_missing_is_counted_and_told_with_its_times() -> None:
    told = proving.verdict([minutes(0, 2), minutes(5, 6)], MINUTE)
    assert told.startswith("3 of its bars are still missing, from 2025-10-20T00:00:00+00:00 to 2025-10-20T00:06:00")
    assert "in 2 places" in proving.verdict_of_places("Trades", [minutes(0, 2), minutes(5, 6)])

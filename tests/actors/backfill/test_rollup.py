"""Longer bars of stored ones: every whole one, none that is made up, in chunks of bounded size."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.rollup import CHUNK_BARS, better_bars, chunks, longer, roll_up_chunk
from data_manager.actors.ingest.candles import CHILD, roll_up
from data_manager.storage.protocols import Event, Query, Write
from data_manager.storage.records import TIMEFRAMES, Candle
from data_manager.storage.sqlite import SqliteMarketStore
from tests.actors.backfill.working import BTC, HOUR, MINUTE, NOW
from tests.storage.examples import FixedClock, candle, derived

BASE = candle(0, source="rest", timeframe="1m")
FIVE = [replace(BASE, open_time=NOW + minute * MINUTE) for minute in range(5)]


def rolled(children: list[Candle], there: list[Candle] | None = None) -> list[Candle]:
    return list(better_bars(children, there or [], "5m", NOW))


def test_the_timeframes_above_come_in_their_order() -> None:
    assert longer("15m") == ["1h", "4h", "1d"]
    assert longer("1d") == []


@given(
    timeframe=st.sampled_from(list(CHILD)),
    start=st.integers(0, 10**10),
    length=st.integers(1, 10**10),
    closed=st.integers(0, 2 * 10**10),
)
def test_chunks_are_the_closed_bars_that_overlap_a_range(timeframe: str, start: int, length: int, closed: int) -> None:
    step, found = TIMEFRAMES[timeframe], list(chunks(timeframe, Range(start, start + length), closed))
    for chunk in found:
        assert chunk.start_ms % step == chunk.end_ms % step == 0
        assert 0 < chunk.bars(TIMEFRAMES[CHILD[timeframe]]) <= CHUNK_BARS
    covered = [bar for chunk in found for bar in (chunk.start_ms, chunk.end_ms - step)]
    first, last = start // step * step, (start + length - 1) // step * step
    closed_last = closed // step * step - step
    if first <= min(last, closed_last):
        assert (covered[0], covered[-1]) == (first, min(last, closed_last))
        assert all(left.end_ms == right.start_ms for left, right in pairwise(found))
    else:
        assert not found


def test_whole_children_make_a_bar_as_ingest_makes_it() -> None:
    assert rolled(FIVE) == [roll_up(FIVE, "5m", NOW, NOW)]


def test_where_a_child_is_missing_nothing_is_made_up() -> None:
    assert rolled(FIVE[:-1]) == []


def test_an_incomplete_bar_that_is_there_becomes_better() -> None:
    poor = roll_up(FIVE[:2], "5m", NOW, NOW)
    assert poor is not None
    (better,) = rolled(FIVE[:4], [poor])
    assert (better.complete, better.trades_count) == (False, 4 * (BASE.trades_count or 0))


def test_the_same_bar_is_not_written_again() -> None:
    (bar,) = rolled(FIVE)
    assert rolled(FIVE, [replace(bar, stored_ms=1)]) == []


def test_the_exchanges_own_bar_stays() -> None:
    (bar,) = rolled(FIVE)
    assert rolled(FIVE, [replace(bar, close="1.00", source="rest")]) == []


def test_bars_of_trades_give_way_to_those_of_the_exchange() -> None:
    (bar,) = rolled(FIVE)
    assert [each.source for each in rolled(FIVE, [replace(bar, source="trades")])] == ["rest"]


@pytest.mark.parametrize("missing", [(), (3,)])
def test_a_chunk_is_read_rolled_up_and_written(tmp_path: Path, missing: tuple[int, ...]) -> None:
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    minutes = [replace(BASE, open_time=NOW + at * MINUTE) for at in range(60) if at not in missing]
    store.write(BTC, Write(events=[Event("kline", bar) for bar in minutes]))
    ledger = store.ledger(BTC)
    written = roll_up_chunk(BTC, "5m", Range(NOW, NOW + HOUR), NOW, store)
    stored = store.rows(BTC, Candle, Query(equal=(("timeframe", "5m"),)))
    assert written == len(stored) == 12 - len(missing)
    assert roll_up_chunk(BTC, "5m", Range(NOW, NOW + HOUR), NOW, store) == 0
    assert store.ledger(BTC) == ledger
    store.close()


def test_a_derived_child_that_is_incomplete_makes_no_whole_bar() -> None:
    children = [replace(derived(0, 3, complete=False), open_time=NOW), *FIVE[1:]]
    assert rolled(children) == []

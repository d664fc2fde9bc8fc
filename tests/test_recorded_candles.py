"""Holes punched at random into a month of bars are found, all of them and nothing else: real bars, and seeded ones."""

from __future__ import annotations

import csv
import gzip
import os
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from data_manager.actors.audit.candles import CandleAudit
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import MINUTE_MS, Candle, Series
from data_manager.storage.retention import Retention
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, FixedClock, candle

REAL = os.environ.get("MARKET_RECORDINGS")
ROWS = 45_031  # of the recording
TWIN_ROWS = 10_000
GRACE_MS = 60_000
HOLES = 40
LONGEST = 90  # minutes of a hole
SERIES = Series(BTC, Candle, "1m")
PAGE = 1_000


@pytest.fixture(
    scope="module",
    params=[
        "twin",
        pytest.param("real", marks=pytest.mark.skipif(REAL is None, reason="MARKET_RECORDINGS names no folder")),
    ],
)
def month(request: pytest.FixtureRequest) -> Sequence[Candle]:
    if request.param == "real":
        return list(recorded(Path(REAL or "") / "btc_perp_1m_2022-01.csv.gz"))
    start = 1_640_991_660_000
    return [candle(0, open_time=start + number * MINUTE_MS) for number in range(TWIN_ROWS)]


def recorded(path: Path) -> Iterator[Candle]:
    """The bars of the file, in whose time column is what its first row says."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield candle(
                0,
                open_time=open_time(row["timestamp"]),
                open=row["open"],
                high=row["high"],
                low=row["low"],
                close=row["close"],
                volume=row["volume"],
                quote_volume=None,
                taker_buy_volume=None,
            )


def open_time(text: str) -> int:
    """Milliseconds of a time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def punched(bars: Sequence[Candle], rng: random.Random) -> list[tuple[int, int]]:
    """Holes as first and last index, apart from each other, from the first and from the last bar."""
    holes: list[tuple[int, int]] = []
    step = len(bars) // HOLES
    for start in range(2, len(bars) - step, step):
        first = start + rng.randrange(step - LONGEST - 1)
        holes.append((first, first + rng.choice([0, 0, 1, rng.randrange(LONGEST)])))
    return holes


@pytest.mark.parametrize("seed", [1, 2])
def test_exactly_the_punched_holes_are_reported(tmp_path: Path, month: Sequence[Candle], seed: int) -> None:
    holes = punched(month, random.Random(seed))
    gone = {index for first, last in holes for index in range(first, last + 1)}
    left = [bar for index, bar in enumerate(month) if index not in gone]
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    for start in range(0, len(left), PAGE):
        store.write(BTC, Write(events=[Event("kline", bar) for bar in left[start : start + PAGE]]))

    end = month[-1].open_time + MINUTE_MS
    audit = CandleAudit(Retention({}), GRACE_MS)
    looked = audit.look(SERIES, end + GRACE_MS, store)
    found = [(each.missing.start_ms, each.missing.end_ms) for each in looked.found]
    assert found == [(month[first].open_time, month[last].open_time + MINUTE_MS) for first, last in holes]

    again = audit.look(SERIES, end + GRACE_MS + 59_999, store)
    assert [each.missing for each in again.found] == [each.missing for each in looked.found]
    store.close()


def test_the_recording_is_whole(month: Sequence[Candle], tmp_path: Path) -> None:
    assert len(month) in (ROWS, TWIN_ROWS)
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    for start in range(0, len(month), PAGE):
        store.write(BTC, Write(events=[Event("kline", bar) for bar in month[start : start + PAGE]]))
    audit = CandleAudit(Retention({}), GRACE_MS)
    assert audit.look(SERIES, month[-1].open_time + MINUTE_MS + GRACE_MS, store).found == []
    counted = audit.counts(SERIES).since(0)
    assert counted.consistency == 100
    store.close()

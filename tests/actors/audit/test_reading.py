from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.actors.audit import reading
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.reading import edge_ms, pages
from data_manager.storage.records import Candle, Series, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, T0, FixedClock, agg_trade, candle, received, trade


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    opened = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield opened
    opened.close()


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_every_row_comes_once_whatever_fits_on_a_page(
    store: SqliteMarketStore, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(reading, "PAGE_ROWS", rows)
    trades = [trade(number, time_ms=T0 + time) for number, time in enumerate((0, 0, 0, 0, 0, 1, 2, 2, 2, 5, 9))]
    trades += [agg_trade(number, time_ms=T0 + 2) for number in range(4)]
    store.write(BTC, received(*trades))
    read = [row for page in pages(BTC, Trade, Range(T0, T0 + 9), store) for row in page]
    expected = sorted(
        (row for row in trades if row.time_ms < T0 + 9), key=lambda row: (row.time_ms, row.kind, row.trade_id)
    )
    assert read == expected


def test_of_an_unknown_symbol_or_an_empty_range_nothing_comes(store: SqliteMarketStore) -> None:
    assert list(pages(BTC, Trade, Range(0, T0), store)) == []
    store.write(BTC, received(trade(1)))
    assert list(pages(BTC, Trade, Range(T0 + 9, T0), store)) == []


def test_the_edges_of_a_series_are_its_own(store: SqliteMarketStore) -> None:
    one, five = Series(BTC, Candle, "1m"), Series(BTC, Candle, "5m")
    assert edge_ms(one, store) is None
    store.write(BTC, received(candle(1), candle(7)))
    assert edge_ms(one, store) == candle(1).open_time
    assert edge_ms(one, store, newest=True) == candle(7).open_time
    assert edge_ms(five, store) is None

"""Candles from the extractor's tables, as its versions have made them, on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text

from data_manager.storage.klines import CandlesElsewhere, KlinesCandles, timeframe_of
from data_manager.storage.klines_tables import LENGTHS, plain
from data_manager.storage.protocols import MarketStore, Merged, Query
from data_manager.storage.records import Candle, OpenCandle, Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import to_datetime
from data_manager.system.errors import StoreError, StoreUnavailable
from tests.storage.catalogs import driven
from tests.storage.examples import BTC, FixedClock, candle, received, trade

HOUR = 3_600_000
H0 = 1_699_999_200_000  # a whole hour
NOW = H0 + 10 * HOUR + 1

TABLE = """CREATE TABLE {name} (
    id VARCHAR(64) PRIMARY KEY, symbol VARCHAR(20) NOT NULL, timestamp DATETIME NOT NULL, open_time DATETIME NOT NULL,
    close_time DATETIME NOT NULL, `interval` VARCHAR(10) NOT NULL, open_price DECIMAL(20,8) NOT NULL,
    high_price DECIMAL(20,8) NOT NULL, low_price DECIMAL(20,8) NOT NULL, close_price DECIMAL(20,8) NOT NULL,
    volume DECIMAL(20,8) NOT NULL, quote_asset_volume DECIMAL(20,8), number_of_trades INT,
    taker_buy_base_asset_volume DECIMAL(20,8), taker_buy_quote_asset_volume DECIMAL(20,8),
    price_change DECIMAL(20,8), price_change_percent DECIMAL(10,4), extracted_at DATETIME,
    extractor_version VARCHAR(20), source VARCHAR(50), INDEX (symbol, timestamp), INDEX (timestamp)
    ) DEFAULT CHARSET latin1"""
ROW = """INSERT INTO {name} VALUES (:id, :symbol, :at, :at, :close, '1h', 100.1, 110, 90.00000001, 105.5, 12.340, 1300,
    77, 6, NULL, 5.4, 5.3946, :at, '2.0', 'binance')"""
OLDER = """CREATE TABLE {name} (
    symbol VARCHAR(20), open_time DATETIME, open DECIMAL(20,8), high DECIMAL(20,8), low DECIMAL(20,8),
    close DECIMAL(20,8), volume DECIMAL(20,8), trades_count INT, taker_buy_volume DECIMAL(20,8))"""


def bar(open_time: int, timeframe: str = "1h") -> Candle:
    """What ROW means."""
    return Candle(
        timeframe=timeframe,
        open_time=open_time,
        open="100.1",
        high="110",
        low="90.00000001",
        close="105.5",
        volume="12.34",
        quote_volume="1300",
        trades_count=77,
        taker_buy_volume="6",
        taker_buy_quote_volume=None,
        source="rest",
        complete=True,
        first_id=None,
        last_id=None,
        feed_seq=0,
        market_seq=0,
        stored_ms=open_time,
    )


@pytest.fixture
def url(new_mysql: Callable[[], str]) -> str:
    return driven(new_mysql())


@pytest.fixture
def theirs(url: str) -> Iterator[Connection]:
    """The extractor's own connection."""
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def klines(url: str) -> Iterator[KlinesCandles]:
    klines = KlinesCandles(url, clock=FixedClock(NOW))
    yield klines
    klines.close()


def fill(theirs: Connection, *open_times: int, name: str = "klines_h1", symbol: str = "BTCUSDT") -> None:
    for open_time in open_times:
        row = {"id": f"{symbol}_{open_time}", "symbol": symbol, "at": to_datetime(open_time)}
        theirs.execute(text(ROW.format(name=name)), {**row, "close": to_datetime(open_time + HOUR)})
    theirs.commit()


def make(theirs: Connection, ddl: str = TABLE, name: str = "klines_h1") -> None:
    theirs.execute(text(ddl.format(name=name)))


def asked(**fields: object) -> Query:
    return Query(equal=(("timeframe", "1h"),), **fields)  # type: ignore[arg-type]


def times(klines: KlinesCandles, query: Query, symbol: Symbol = BTC) -> list[int]:
    """The hours of the rows, which `count` must agree with."""
    found = [(each.open_time - H0) // HOUR for each in klines.rows(symbol, query)]
    if query.offset == 0 and len(found) < query.limit:
        assert klines.count(symbol, query) == len(found)
    return found


def test_a_row_is_a_candle_with_the_exchanges_exact_numbers(theirs: Connection, klines: KlinesCandles) -> None:
    make(theirs)
    fill(theirs, H0)
    assert klines.rows(BTC, asked()) == [bar(H0)]


def test_rows_come_by_time_in_the_range_and_the_page_asked_for(theirs: Connection, klines: KlinesCandles) -> None:
    make(theirs)
    fill(theirs, *(H0 + hour * HOUR for hour in (3, 0, 4, 1, 2)))
    fill(theirs, H0, symbol="ETHUSDT")
    assert times(klines, asked()) == [0, 1, 2, 3, 4]
    assert times(klines, asked(start_ms=H0 + HOUR, end_ms=H0 + 3 * HOUR)) == [1, 2]
    assert times(klines, asked(start_ms=H0 + 1)) == [1, 2, 3, 4]
    assert times(klines, asked(limit=2, offset=1)) == [1, 2]
    assert times(klines, asked(limit=2, descending=True)) == [4, 3]
    assert times(klines, asked(), Symbol("币安人生USDT")) == []
    assert klines.count(BTC, asked(limit=1, offset=3), cap=4) == 4


def test_a_bar_is_there_once_it_has_closed(theirs: Connection, url: str) -> None:
    make(theirs)
    fill(theirs, H0)
    clock = FixedClock(H0 + HOUR - 1)
    klines = KlinesCandles(url, clock=clock)
    assert times(klines, asked()) == []
    clock.ms += 1
    assert times(klines, asked()) == [0]
    klines.close()


@pytest.mark.parametrize(
    ("timeframe", "name"),
    [
        ("1m", "klines_m1"),
        ("5m", "klines_m5"),
        ("15m", "klines_m15"),
        ("30m", "klines_m30"),
        ("4h", "klines_h4"),
        ("1d", "klines_d1"),
    ],
)
def test_each_timeframe_has_its_table(theirs: Connection, url: str, timeframe: str, name: str) -> None:
    make(theirs, name=name)
    fill(theirs, H0, name=name)
    klines = KlinesCandles(url, clock=FixedClock(H0 + LENGTHS[timeframe]))
    assert klines.rows(BTC, Query(equal=(("timeframe", timeframe),))) == [bar(H0, timeframe)]
    klines.close()


def test_a_table_with_other_names_and_fewer_columns_is_read_as_it_is(theirs: Connection, klines: KlinesCandles) -> None:
    make(theirs, OLDER)
    theirs.execute(
        text("INSERT INTO klines_h1 VALUES ('BTCUSDT', :at, 1, 4, 0.5, 2, 0, 7, 0.00000001)"), {"at": to_datetime(H0)}
    )
    theirs.commit()
    (found,) = klines.rows(BTC, asked())
    assert (found.open, found.high, found.low, found.close, found.volume) == ("1", "4", "0.5", "2", "0")
    assert (found.quote_volume, found.trades_count, found.taker_buy_volume) == (None, 7, "0.00000001")
    assert found.stored_ms == H0 + HOUR  # not earlier than that


def test_a_missing_table_has_no_rows_until_it_is_made(theirs: Connection, klines: KlinesCandles) -> None:
    assert times(klines, asked()) == []
    assert klines.rows(BTC, Query(equal=(("timeframe", "3d"),))) == []
    make(theirs)
    fill(theirs, H0)
    assert times(klines, asked()) == [0]


def test_a_table_that_changes_its_columns_is_looked_at_again(theirs: Connection, klines: KlinesCandles) -> None:
    make(theirs)
    fill(theirs, H0)
    assert times(klines, asked()) == [0]
    theirs.execute(text("ALTER TABLE klines_h1 CHANGE quote_asset_volume quote_volume DECIMAL(20,8)"))
    with pytest.raises(StoreError, match="quote_asset_volume"):
        klines.rows(BTC, asked())
    assert klines.rows(BTC, asked()) == [bar(H0)]


def test_a_table_without_prices_is_an_error_that_says_so(theirs: Connection, klines: KlinesCandles) -> None:
    make(theirs, "CREATE TABLE {name} (symbol VARCHAR(20), timestamp DATETIME, price DECIMAL(20,8))")
    with pytest.raises(StoreError, match="klines_h1 has no column for open of a candle; it has price, symbol"):
        klines.rows(BTC, asked())


def test_nothing_can_be_written_through_it(theirs: Connection, klines: KlinesCandles) -> None:
    make(theirs)
    fill(theirs, H0)
    assert times(klines, asked()) == [0]
    for statement in ("DELETE FROM klines_h1", "DROP TABLE klines_h1", "CREATE TABLE klines_m1 (a INT)"):
        with pytest.raises(StoreError, match="READ ONLY"):
            klines._database.run(lambda connection, asked=statement: connection.execute(text(asked)))  # type: ignore[misc]
    assert times(klines, asked()) == [0]


def test_bars_can_be_asked_for_by_what_all_of_them_are(theirs: Connection, klines: KlinesCandles) -> None:
    make(theirs)
    fill(theirs, H0)
    for equal, hours in ((("source", "rest"), [0]), (("source", "trades"), []), (("complete", False), [])):
        assert times(klines, Query(equal=(("timeframe", "1h"), equal))) == hours


def test_a_query_names_its_timeframe_and_nothing_that_is_not_there() -> None:
    assert timeframe_of(asked()) == "1h"
    with pytest.raises(StoreError, match="ask for one"):
        timeframe_of(Query())
    with pytest.raises(StoreError, match="cannot be asked for by first_id, volume"):
        timeframe_of(Query(equal=(("timeframe", "1h"), ("volume", "1"), ("first_id", 1))))


def test_a_server_that_is_away_is_unavailable() -> None:
    klines = KlinesCandles("mysql+pymysql://user:geheim@127.0.0.1:1/db", clock=FixedClock())
    with pytest.raises(StoreUnavailable) as away:
        klines.rows(BTC, asked())
    assert "geheim" not in str(away.value)
    klines.close()


@given(st.decimals(min_value=0, max_value=10**12, places=8))
@settings(derandomize=True, deadline=None)
def test_numbers_keep_their_value_and_lose_only_zeros(value: Decimal) -> None:
    written = plain(value)
    assert Decimal(written) == value
    assert "E" not in written
    assert "." not in written or not written.endswith(("0", "."))


def test_candles_come_from_there_and_all_else_from_the_store(
    theirs: Connection, klines: KlinesCandles, tmp_path: Path
) -> None:
    make(theirs)
    fill(theirs, H0, H0 + HOUR)
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    store.write(BTC, received(trade(1), trade(2), candle(0, timeframe="1h")))
    both: MarketStore = CandlesElsewhere(store, klines)
    assert both.rows(BTC, Candle, asked()) == [bar(H0), bar(H0 + HOUR)]
    assert both.count(BTC, Candle, asked()) == 2
    with pytest.raises(StoreError, match="ask for one"):
        both.count(BTC, Candle, Query())
    assert both.rows(BTC, Trade, Query()) == [trade(1), trade(2)]
    assert (both.count(BTC, Trade, Query()), both.count(BTC, OpenCandle, Query())) == (2, 0)
    assert both.merge(BTC, [trade(2), trade(3)]) == Merged(inserted=1)
    assert both.merge(BTC, [candle(0, timeframe="1h", source="rest")]) == Merged(replaced=1)
    assert store.rows(BTC, Trade, Query()) == [trade(1), trade(2), trade(3)]
    assert both.rows(BTC, Candle, asked()) == [bar(H0), bar(H0 + HOUR)]
    assert (both.symbols(), both.ledger(BTC)) == (store.symbols(), store.ledger(BTC))
    both.check()
    both.close()

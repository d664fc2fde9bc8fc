"""What repair costs: the exchange's pages parsed and merged, and an audit that finds nothing missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from data_manager.actors.audit.candles import CandleAudit
from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import answers
from data_manager.storage.protocols import MERGE_ROWS
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Candle, Series, Symbol, Trade
from data_manager.storage.retention import DAY_MS, retention_of
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.settings import Settings
from tests.bench import measure
from tests.bench.table import Figure

SYMBOLS = tuple(map(Symbol, ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")))
KLINES_PAGE, TRADES_PAGE = 499, 1000
CLOSED = 1 << 60  # later than any bar's close

Rows = Sequence[Candle] | Sequence[Trade]


def repair(folder: Path, bars: int, trades: int) -> list[Figure]:
    """Pages into a SQLite store, and audits of five symbols, six timeframes and a day."""
    with (
        closing(SqliteMarketStore(folder / "pages", clock=SystemClock())) as pages,
        closing(SqliteMarketStore(folder / "day", clock=SystemClock())) as day,
    ):
        bars_rate, bars_mib = merged(pages, kline_pages(bars))
        trades_rate, trades_mib = merged(pages, trade_pages(trades))
        audit_s = audited(day)
    return [
        Figure(f"backfill of {bars:,} 1m klines, parsed and merged", bars_rate, "rows/s", 100_000),
        Figure("  memory it grew by", bars_mib, "MiB"),
        Figure(f"backfill of {trades:,} aggTrades, parsed and merged", trades_rate, "rows/s"),
        Figure("  memory it grew by", trades_mib, "MiB"),
        Figure("audit of 5 symbols, 6 timeframes, 24 h: CPU", audit_s, "s", 0.5, "lower"),
    ]


def merged(store: SqliteMarketStore, pages: Iterator[tuple[bytes, Callable[[bytes], Rows]]]) -> tuple[float, float]:
    """Rows a second, and MiB of memory more at the end than after the first page; making the pages is not counted."""
    took, rows, before = 0.0, 0, 0.0
    for number, (body, decode) in enumerate(pages):
        began = time.perf_counter()
        page = decode(body)
        for start in range(0, len(page), MERGE_ROWS):
            done = store.merge(SYMBOLS[0], page[start : start + MERGE_ROWS])
            assert done.inserted == len(page[start : start + MERGE_ROWS]), done
        took += time.perf_counter() - began
        rows += len(page)
        before = before if number else measure.resident_mib()
    return rows / took, measure.resident_mib() - before


def kline_pages(bars: int) -> Iterator[tuple[bytes, Callable[[bytes], Rows]]]:
    """The answers to requests for so many 1m bars, oldest first, as the exchange words them."""
    first = 1_700_000_040_000 // MINUTE_MS * MINUTE_MS
    for start in range(0, bars, KLINES_PAGE):
        times = range(first + start * MINUTE_MS, first + min(start + KLINES_PAGE, bars) * MINUTE_MS, MINUTE_MS)
        within = Range(times[0], times[-1] + MINUTE_MS)
        yield json.dumps([kline(at) for at in times]).encode(), kline_decoder(within)


def kline_decoder(within: Range) -> Callable[[bytes], Rows]:
    """How one page is read."""
    return lambda body: answers.klines(body, "1m", within, CLOSED, within.end_ms)


def kline(at: int) -> list[object]:
    """One row."""
    price = 30_000 + at // MINUTE_MS % 997
    return [
        at, f"{price}.10", f"{price + 9}.90", f"{price - 8}.00", f"{price + 1}.40", "152.173", at + MINUTE_MS - 1,
        "4567012.48210", 3210, "70.201", "2107300.11460", "0",
    ]  # fmt: skip


def trade_pages(trades: int) -> Iterator[tuple[bytes, Callable[[bytes], Rows]]]:
    """The answers to requests for so many aggTrades, ten a second."""
    for start in range(0, trades, TRADES_PAGE):
        rows = [agg_trade(number) for number in range(start, min(start + TRADES_PAGE, trades))]
        yield json.dumps(rows).encode(), lambda body: answers.agg_trades(body, 1_700_000_000_000)


def agg_trade(number: int) -> dict[str, object]:
    """One row."""
    return {
        "a": number + 1, "p": f"{30_000 + number % 997}.10", "q": "0.152", "f": 2 * number + 1, "l": 2 * number + 2,
        "T": 1_700_000_000_000 + 100 * number, "m": number % 3 == 0,
    }  # fmt: skip


def audited(store: SqliteMarketStore) -> float:
    """CPU seconds of an audit from the beginning: a day of complete bars after the one that each series begins with."""
    clock = SystemClock()
    now = now_ms(clock) // DAY_MS * DAY_MS
    series = [Series(symbol, Candle, timeframe) for symbol in SYMBOLS for timeframe in TIMEFRAMES]
    for each in series:
        length = TIMEFRAMES[each.timeframe or ""]
        bars = [bar(each, at, now) for at in range(now - DAY_MS - length, now, length)]
        for start in range(0, len(bars), MERGE_ROWS):
            store.merge(each.symbol, bars[start : start + MERGE_ROWS])
    audit = CandleAudit(retention_of(Settings()), 0)
    began = time.process_time()
    looks = [audit.look(each, now, store) for each in series]
    used = time.process_time() - began
    assert not any(look.found for look in looks), looks
    assert all(look.audited for look in looks), looks
    return used


def bar(series: Series, at: int, now: int) -> Candle:
    """A closed bar as the exchange's REST side has it."""
    body = json.dumps([[*kline(at)[:6], at + TIMEFRAMES[series.timeframe or ""] - 1, *kline(at)[7:]]]).encode()
    (row,) = answers.klines(body, series.timeframe or "", Range(at, at + 1), CLOSED, now)
    return row

"""Anomalies become rows in the catalog: each once, the gravest of a symbol, whatever happens to the stores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from data_manager.actors.analytics.anomaly import Anomaly, Severity, audit_log
from data_manager.actors.analytics.bars import Bars
from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.analytics.conf import AnalyticsConf, analytics_conf
from data_manager.actors.analytics.detection import Detective, Finding, gravest, keep
from data_manager.actors.analytics.documents import Summed
from data_manager.actors.analytics.material import Material
from data_manager.actors.analytics.results import Unknown
from data_manager.actors.analytics.troubles import Troubles
from data_manager.http.store_thread import StoreThread
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import AuditLog, Catalog, MarketStore
from data_manager.storage.records import TIMEFRAMES, Candle, Series, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreUnavailable
from data_manager.system.messages import DetectRequested
from data_manager.system.metrics import Metrics
from tests.actors.analytics.series import DAY_MS, HOUR_MS, START_MS, walk

BTC = Symbol("BTCUSDT")
CONF = analytics_conf()
CLOCK = SystemClock()
HOURS = walk(90 * 24)
AT = START_MS + 90 * DAY_MS + 1000


def unavailable() -> Catalog:
    raise StoreUnavailable("the catalog is away")


class Found:
    """A detective with real stores, and what it has counted."""

    def __init__(self, folder: Path, conf: AnalyticsConf = CONF, *, catalog_away: bool = False) -> None:
        url = f"sqlite:///{folder}/catalog.sqlite3"
        self.catalog = SqlCatalog(url, clock=CLOCK)
        self.market: StoreThread[MarketStore] = StoreThread(
            "market store", lambda: SqliteMarketStore(folder / "market", clock=CLOCK)
        )
        self.door: StoreThread[Catalog] = StoreThread(
            "catalog", unavailable if catalog_away else lambda: SqlCatalog(url, clock=CLOCK)
        )
        self.metrics = Metrics()
        self.calculator = Calculator(CLOCK)
        self.detective = Detective(self.market, self.door, conf, self.calculator, Troubles(), CLOCK, self.metrics)

    def counted(self) -> float:
        counters = self.metrics.totals().counters
        return sum(n for (name, _), n in counters.items() if name == "data_manager_anomalies_total")

    def rows(self) -> list[AuditLog]:
        return self.catalog.audit_logs(limit=1000)[0]

    async def close(self) -> None:
        await self.detective.close()
        self.calculator.close()
        await asyncio.gather(self.market.close(), self.door.close())
        self.catalog.close()


def with_detective(found: Callable[[], Found], check: Callable[[Found], Awaitable[None]]) -> None:
    async def run() -> None:
        made = found()
        try:
            await check(made)
        finally:
            await made.close()

    asyncio.run(run())


def of(bars: Bars) -> dict[str, Material]:
    """What a cycle has read: of days and books nothing."""
    nothing = bars.slice(0, 0)
    days = msgspec.structs.replace(nothing, interval_ms=DAY_MS)
    return {BTC: Material(AT, {"1h": bars, "1d": days}, {"1h": nothing, "1d": nothing}, Unknown(""), Summed(0, {}), {})}


def wild(bars: Bars, *places: int) -> Bars:
    """The bars, with a jump of a tenth at some of them."""
    returns = np.diff(np.log(bars.close), prepend=np.log(bars.close[0]))
    returns[list(places)] += 0.1
    close = bars.close[0] * np.exp(np.cumsum(returns))
    opens = np.concatenate((close[:1], close[:-1]))
    return msgspec.structs.replace(
        bars, open=opens, close=close, high=np.maximum(opens, close) * 1.001, low=np.minimum(opens, close) * 0.999
    )


def test_what_is_found_again_is_neither_another_row_nor_counted_again(tmp_path: Path) -> None:
    async def check(found: Found) -> None:
        await found.detective.look(of(wild(HOURS, len(HOURS) - 50)), found.door)
        first, counted = found.rows(), found.counted()
        assert counted == len(first) > 0
        assert any("method=zscore" in row.details and row.severity == "critical" for row in first)
        assert {(row.audit_type, row.dataset_id, row.symbol) for row in first} == {
            ("anomaly", "candles_BTCUSDT_1h", "BTCUSDT")
        }
        await found.detective.look(of(wild(HOURS, len(HOURS) - 50)), found.door)
        assert (found.rows(), found.counted()) == (first, counted)

    with_detective(lambda: Found(tmp_path), check)


def test_of_one_symbol_and_cycle_no_more_rows_are_kept_than_the_limit(tmp_path: Path) -> None:
    conf = msgspec.structs.replace(CONF, anomalies=msgspec.structs.replace(CONF.anomalies, most_rows=3))

    async def check(found: Found) -> None:
        await found.detective.look(of(wild(HOURS, *range(len(HOURS) - 150, len(HOURS), 15))), found.door)
        assert len(found.rows()) == found.counted() == 3
        assert {row.severity for row in found.rows()} == {"critical"}

    with_detective(lambda: Found(tmp_path, conf), check)


def test_a_catalog_that_is_away_costs_rows_and_no_answer(tmp_path: Path) -> None:
    async def check(found: Found) -> None:
        await found.detective.look(of(wild(HOURS, len(HOURS) - 50)), found.door)
        assert (found.rows(), found.counted()) == ([], 0)

    with_detective(lambda: Found(tmp_path, catalog_away=True), check)


def test_a_market_store_that_is_away_is_the_answers_problem(tmp_path: Path) -> None:
    def away() -> MarketStore:
        raise StoreUnavailable("the market store is away")

    async def check(found: Found) -> None:
        door: StoreThread[MarketStore] = StoreThread("market store", away)
        detective = Detective(door, found.door, CONF, found.calculator, Troubles(), CLOCK, found.metrics)
        answer = await detective.answer(DetectRequested("7", BTC, "1h", "mad"))
        assert (answer.request_id, answer.anomalies, answer.problem) == ("7", (), "the market store is away")
        await door.close()

    with_detective(lambda: Found(tmp_path), check)


def finding(severity: Severity, open_time: int, timeframe: str = "1h") -> Finding:
    anomaly = Anomaly(open_time, "zscore", severity, "statistical_outlier", 5.0, 4.0, 1.0, None)
    return Finding(anomaly, audit_log(Series(BTC, Candle, timeframe), anomaly, 7))


def test_the_gravest_are_told_and_the_newest_among_equals_whatever_their_timeframe() -> None:
    old, new = finding("high", 1), finding("high", 2, "1d")
    least, most = finding("medium", 9), finding("critical", 0, "1d")
    assert gravest([least, old, most, new], 3) == [most, new, old]
    assert gravest([least, old, most, new], 9) == [most, new, old, least]


def test_what_has_become_graver_is_the_same_row_and_not_new(tmp_path: Path) -> None:
    with closing(SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=CLOCK)) as catalog:
        before, after = finding("high", HOUR_MS).row, finding("critical", HOUR_MS).row
        assert keep(BTC, [before], catalog) == {before.audit_id}
        assert keep(BTC, [before], catalog) == set()
        assert keep(BTC, [after], catalog) == set()
        assert catalog.audit_logs() == ([after], 1)


@pytest.mark.parametrize(("method", "timeframe"), [*(("zscore", each) for each in TIMEFRAMES), ("ecod", "5m")])
def test_one_method_is_asked_alone_of_any_timeframe(method: str, timeframe: str, tmp_path: Path) -> None:
    async def check(found: Found) -> None:
        answer = await found.detective.answer(DetectRequested("7", BTC, timeframe, method))
        assert answer.problem == ""
        assert "bars" in answer.note or "returns" in answer.note
        assert answer.note.startswith(f"{method} cannot judge BTCUSDT {timeframe}: 0 ")

    with_detective(lambda: Found(tmp_path), check)

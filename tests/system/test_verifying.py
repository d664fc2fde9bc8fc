"""What the ledger says was stored, held against the rows that there are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import ALL_SYMBOLS, Depth, Ticker, Trade
from data_manager.storage.retention import DAY_MS, Retention
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.commands import verifying
from data_manager.system.commands.verifying import Compared, Verdict, verify
from tests.storage.examples import BTC, ONE_OF_EACH, T0, FixedClock, agg_trade, depth, quarantined, received, trade

WEEK = Retention({(Trade, None): 7, (Depth, None): 7})
FOR_GOOD = Retention({})
YOUNG = {"trades_BTCUSDT": T0 - DAY_MS, "depth_BTCUSDT": T0 - DAY_MS}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    opened = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield opened
    opened.close()


def verdict(
    store: SqliteMarketStore, kept: Retention = FOR_GOOD, registered: dict[str, int] | None = None, since: int = 0
) -> Verdict:
    return verify(store, BTC, kept, registered or {}, T0, since)


def change(folder: Path, sql: str) -> None:
    with sqlite3.connect(folder / "BTCUSDT.sqlite3") as connection:
        connection.execute(sql)
    connection.close()


def test_every_type_whose_events_make_rows_agrees_with_its_rows(store: SqliteMarketStore) -> None:
    mini = next(row for row in ONE_OF_EACH if isinstance(row, Ticker))
    others = [row for row in ONE_OF_EACH if row is not mini]
    as_mini = Write(events=[Event("24hrMiniTicker", mini, False)], counts={"24hrMiniTicker": Counts(received=1)})
    store.write(BTC, received(*others, agg_trade(3, first_id=11, last_id=11)))
    store.write(BTC, as_mini)
    found = verdict(store)
    assert found.problems == []
    names = ("trade", "aggTrade", "depthUpdate", "24hrMiniTicker", "markPriceUpdate", "bookTicker", "forceOrder")
    assert {each.event_type: each.rows for each in found.compared} == dict.fromkeys((*names, "quarantine"), 1)


def test_copies_replacements_and_repairs_make_no_row_of_an_event(store: SqliteMarketStore) -> None:
    store.write(BTC, received(trade(1), trade(2), depth(0, 1), depth(5, 1)))
    store.write(BTC, received(trade(1), depth(0, 9)))
    store.merge(BTC, [trade(3, feed_seq=0, market_seq=0), trade(4, feed_seq=0, market_seq=0)])
    found = verdict(store)
    assert found.problems == []
    assert {each.event_type: (each.least, each.rows) for each in found.compared} == {
        "trade": (2, 2),
        "depthUpdate": (2, 2),
        "quarantine": (0, 0),
    }


def test_a_row_that_is_gone_is_a_problem_where_nothing_may_go(store: SqliteMarketStore, tmp_path: Path) -> None:
    store.write(BTC, received(trade(1), trade(2)))
    change(tmp_path, "DELETE FROM trades WHERE trade_id = 2")
    sentence = ["trade: 1 rows, but 2 were stored"]
    assert verdict(store).problems == sentence
    assert verdict(store, WEEK, YOUNG).problems == sentence, "a day of a week is over: it was not age"


@pytest.mark.parametrize("registered", [{}, {"trades_BTCUSDT": T0 - 8 * DAY_MS}], ids=["nobody knows", "old"])
def test_a_row_that_may_have_been_too_old_is_none(
    store: SqliteMarketStore, tmp_path: Path, registered: dict[str, int]
) -> None:
    store.write(BTC, received(trade(1), trade(2)))
    change(tmp_path, "DELETE FROM trades WHERE trade_id = 1")
    assert verdict(store, WEEK, registered).problems == []


def test_order_books_may_go_for_want_of_space_at_any_age(store: SqliteMarketStore, tmp_path: Path) -> None:
    store.write(BTC, received(depth(0), depth(5)))
    change(tmp_path, "DELETE FROM depth WHERE slot = 0")
    assert verdict(store, WEEK, YOUNG).problems == []


def test_a_row_that_was_never_counted_is_always_a_problem(store: SqliteMarketStore, tmp_path: Path) -> None:
    store.write(BTC, received(trade(1), trade(2)))
    change(tmp_path, "UPDATE ledger SET stored = 1, duplicate = 1 WHERE event_type = 'trade'")
    assert verdict(store, WEEK).problems == ["trade: 2 rows, but 1 were ever stored"]


def test_what_is_written_while_rows_are_counted_is_no_problem() -> None:
    for rows in (5, 6, 7):
        assert Compared("trade", 5, 7, rows, may_go=False).problem is None
    for rows in (4, 8):
        assert Compared("trade", 5, 7, rows, may_go=False).problem


def test_an_event_without_outcome_is_a_problem(store: SqliteMarketStore) -> None:
    store.write(BTC, Write(counts={"kline": Counts(received=3, skipped=2)}))
    assert verdict(store).problems == ["kline: 3 received, but 2 outcomes"]


def test_the_first_hole_in_trade_ids_is_named_and_is_looked_for_as_far_back_as_was_said(
    store: SqliteMarketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "BLOCK", 3)
    store.write(BTC, received(*(trade(n, time_ms=T0 + n // 4) for n in range(1, 30) if n not in (7, 8, 20))))
    found = verdict(store)
    assert (found.trades, found.hole and (found.hole.first, found.hole.last)) == (26, (7, 8))
    assert found.problems == ["trade ids 7..8 are missing"]
    later = verdict(store, since=T0 + 4)
    assert later.hole is not None
    assert later.hole.first == 20
    assert verdict(store, since=T0 + 6).problems == []


def test_what_has_no_symbol_has_no_trades(store: SqliteMarketStore) -> None:
    store.write(ALL_SYMBOLS, received(quarantined(1)))
    found = verify(store, ALL_SYMBOLS, FOR_GOOD, {}, T0, 0)
    assert (found.trades, found.hole, found.problems) == (0, None, [])

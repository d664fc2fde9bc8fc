"""What is found missing of trades on real SQLite files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.actors.audit import reading, trades
from data_manager.actors.audit.candles import Audited
from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.trades import TradeAudit
from data_manager.storage.protocols import Query
from data_manager.storage.records import Record, Series, Trade
from data_manager.storage.retention import DAY_MS, Retention
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, T0, FixedClock, agg_trade, received, trade

SERIES = Series(BTC, Trade)
SECOND = 1000
GRACE = 60 * SECOND


class Looking:
    """A store, and an audit of it; trade number N is from N seconds after T0."""

    def __init__(self, store: SqliteMarketStore) -> None:
        self.store = store
        self.audit = TradeAudit(Retention({}), GRACE)

    def hold(self, *numbers: int) -> None:
        self.keep(*(trade(number, time_ms=T0 + number * SECOND) for number in numbers))

    def keep(self, *records: Record) -> None:
        self.store.write(BTC, received(*records))

    def at(self, second: int, since_ms: int = 0, known: tuple[Range, ...] = ()) -> Audited:
        now = T0 + second * SECOND
        while not self.audit.read(SERIES, now, self.store, since_ms):
            pass
        return self.audit.look(SERIES, now, self.store, known)

    def holes(self, second: int) -> list[tuple[float, float]]:
        """What is missing by then, in seconds."""
        return [((a - T0) / SECOND, (b - 1 - T0) / SECOND) for a, b in (each.missing for each in self.at(second).found)]


@pytest.fixture
def looking(tmp_path: Path) -> Iterator[Looking]:
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield Looking(store)
    store.close()


def test_nothing_is_missing_where_nothing_was_ever_stored(looking: Looking) -> None:
    assert looking.holes(100) == []


def test_ids_that_nothing_covers_are_a_hole_between_the_trades_beside_it(looking: Looking) -> None:
    looking.hold(1, 2, 5, 6)
    (found,) = looking.at(100).found
    assert found.missing == Range(T0 + 2 * SECOND, T0 + 5 * SECOND + 1)
    assert found.evidence == "no trade covers 2 ids: 3..4"
    assert looking.holes(100) == [(2, 5)]


def test_a_hole_counts_once_its_grace_is_over(looking: Looking) -> None:
    looking.hold(1, 3)
    assert looking.holes(62) == []
    assert looking.holes(63) == [(1, 3)]


def test_a_hole_is_over_when_its_trades_have_come_raw_or_aggregated(looking: Looking) -> None:
    looking.hold(1, 4, 8, 100)
    assert looking.holes(200) == [(1, 4), (4, 8), (8, 100)]
    looking.hold(2, 3)
    looking.keep(agg_trade(1, first_id=5, last_id=7, time_ms=T0 + 5 * SECOND))
    assert looking.holes(300) == [(8, 100)]


def test_a_trade_that_comes_later_than_a_later_one_leaves_no_hole(looking: Looking) -> None:
    looking.hold(*range(100), *range(101, 130))
    looking.at(130)
    looking.hold(100, 130)
    assert looking.holes(300) == []


def test_it_begins_where_it_is_told_to_with_the_trade_before_that(looking: Looking) -> None:
    looking.hold(1, 5, 50, 60)
    audited = looking.at(200, since_ms=T0 + 30 * SECOND)
    assert audited.audited[0].start_ms == T0 + 30 * SECOND
    assert [each.evidence for each in audited.found] == [
        "no trade covers 44 ids: 6..49",
        "no trade covers 9 ids: 51..59",
    ]


def test_between_an_old_repair_and_its_beginning_nothing_is_missing_that_was_not_read(looking: Looking) -> None:
    looking.keep(agg_trade(1, first_id=1, last_id=3, time_ms=T0 + SECOND))
    looking.hold(9, 50, 60)
    audited = looking.at(200, since_ms=T0 + 30 * SECOND)
    assert [each.evidence for each in audited.found] == [
        "no trade covers 40 ids: 10..49",
        "no trade covers 9 ids: 51..59",
    ]


def test_gaps_from_before_its_beginning_are_looked_at_again(looking: Looking) -> None:
    looking.hold(1, 5, 9, 50)
    before = Range(T0 + SECOND, T0 + 5 * SECOND + 1), Range(T0 + 5 * SECOND, T0 + 9 * SECOND + 1)
    looking.hold(2, 3, 4)
    audited = looking.at(200, since_ms=T0 + 40 * SECOND, known=before)
    assert [each.missing for each in audited.found] == [before[1], Range(T0 + 9 * SECOND, T0 + 50 * SECOND + 1)]
    assert audited.audited[1:] == list(before)


def test_what_is_older_than_its_retention_is_nobodys_loss(looking: Looking) -> None:
    looking.audit = TradeAudit(Retention({(Trade, None): 1}), GRACE)
    looking.hold(1, 5)
    assert looking.holes(100) == [(1, 5)]
    later = DAY_MS // SECOND + 50
    looking.hold(6, later - 10)
    audited = looking.at(later + 100)
    assert audited.kept_ms == T0 + 150 * SECOND
    assert [each.evidence for each in audited.found] == [f"no trade covers {later - 17} ids: 7..{later - 11}"]


def test_a_second_look_is_at_one_range_with_the_trades_beside_it(looking: Looking) -> None:
    looking.hold(1, 4, 5, 9)
    within = Range(T0 + SECOND, T0 + 4 * SECOND + 1)
    assert len(looking.audit.look_again(SERIES, within, T0 + DAY_MS, looking.store).found) == 1
    looking.hold(2, 3)
    again = looking.audit.look_again(SERIES, within, T0 + DAY_MS, looking.store)
    assert (again.found, again.audited) == ([], (within,))
    beyond = Range(T0 + 6 * SECOND, T0 + 7 * SECOND)
    assert len(looking.audit.look_again(SERIES, beyond, T0 + DAY_MS, looking.store).found) == 1


def test_what_lies_between_an_earlier_repair_and_this_one_is_not_missing_because_it_was_not_read(
    looking: Looking,
) -> None:
    looking.hold(*range(1, 10), *range(12, 20), *range(22, 30))
    looking.keep(*(agg_trade(100 + at, first_id=at, last_id=at + 1, time_ms=T0 + at * SECOND) for at in (10, 20)))
    for at in (10, 20):
        within = Range(T0 + (at - 1) * SECOND, T0 + (at + 2) * SECOND + 1)
        assert looking.audit.look_again(SERIES, within, T0 + DAY_MS, looking.store).found == []


def test_a_call_reads_a_bounded_number_of_pages_and_the_next_one_goes_on(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_ROWS", 3)
    monkeypatch.setattr(trades, "CALL_PAGES", 2)
    looking.hold(*range(30))
    calls = 1
    while not looking.audit.read(SERIES, T0 + 100 * SECOND, looking.store):
        calls += 1
    assert 5 <= calls <= 8
    assert looking.holes(100) == []
    assert looking.audit.counts(SERIES).since(0).ids == 30


def test_what_was_proven_is_not_read_again(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []
    rows = SqliteMarketStore.rows

    def watched(store: SqliteMarketStore, symbol: object, record: object, query: Query) -> object:
        starts.append(query.start_ms or 0)
        return rows(store, symbol, record, query)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteMarketStore, "rows", watched)
    looking.hold(*range(500))
    looking.at(500)
    looking.hold(*range(500, 510))
    del starts[:]
    assert looking.holes(600) == []
    assert min(starts) == T0 + 499 * SECOND - trades.OVERLAP_MS


def test_it_tells_how_many_ids_there_were_and_how_many_are_missing(looking: Looking) -> None:
    looking.hold(1, 2, 3, 7, 8)
    looking.at(100)
    looking.hold(9)
    looking.at(100)
    counted = looking.audit.counts(SERIES).since(T0)
    assert (counted.rows, counted.ids, looking.audit.missing_ids(SERIES, T0)) == (6, 6, 3)
    assert looking.audit.missing_ids(SERIES, T0 + 8 * SECOND) == 0
    looking.audit.forget()
    assert looking.audit.counts(SERIES).since(T0).rows == looking.audit.missing_ids(SERIES, T0) == 0


def test_ids_that_are_covered_twice_by_one_kind_are_repeated(looking: Looking) -> None:
    looking.hold(*range(1, 10))
    spans = [(1, 1, 3), (2, 4, 6), (3, 6, 8), (4, 9, 9)]
    looking.keep(
        *(agg_trade(number, first_id=first, last_id=last, time_ms=T0 + first * SECOND) for number, first, last in spans)
    )
    looking.at(100)
    counted = looking.audit.counts(SERIES).since(0)
    assert (counted.rows, counted.repeats) == (13, 1)
    assert counted.consistency == pytest.approx(100 * 12 / 13)

"""What is found missing of funding rates on real SQLite files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.rates import FundingAudit
from data_manager.storage.protocols import Write
from data_manager.storage.records import Funding, Series
from data_manager.storage.retention import DAY_MS, Retention
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, FixedClock, received, trade

HOUR = 3_600_000
GRACE = 600_000
SERIES = Series(BTC, Funding)
START = 20_000 * DAY_MS  # a midnight


class Looking:
    def __init__(self, store: SqliteMarketStore) -> None:
        self.store = store
        self.audit = FundingAudit(Retention({}), GRACE)

    def hold(self, *hours: float, settled: bool = True) -> None:
        times = [round(START + hour * HOUR) for hour in hours]
        rows = [Funding(at, at, "0.0001", None, settled, 0, 0, START) for at in times]
        self.store.write(BTC, Write(side=rows))

    def holes(self, hour: float, within: Range | None = None) -> list[float]:
        """The hours of the rates that are missing, so many hours and the grace after the start."""
        now = round(START + hour * HOUR) + GRACE
        found = self.audit.look(SERIES, now, self.store, within=within).found
        return [(each.missing.start_ms - START) / HOUR for each in found]


@pytest.fixture
def looking(tmp_path: Path) -> Iterator[Looking]:
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield Looking(store)
    store.close()


def test_nothing_is_missing_where_nothing_was_ever_stored(looking: Looking) -> None:
    assert looking.holes(100) == []


def test_a_rate_that_was_predicted_must_have_settled_once_its_grace_is_over(looking: Looking) -> None:
    looking.hold(0)
    looking.hold(8, settled=False)
    assert looking.holes(8) == []
    assert looking.holes(8.01) == [8]
    looking.hold(8)
    assert looking.holes(8.02) == []


def test_without_any_rate_the_schedule_begins_with_the_first_trade(looking: Looking) -> None:
    looking.store.write(BTC, received(trade(1, time_ms=START + HOUR)))
    assert looking.holes(16.5) == [8, 16]


def test_what_was_missing_is_looked_at_again_and_what_was_whole_is_not(looking: Looking) -> None:
    looking.hold(0, 16)
    assert looking.holes(17) == [8]
    assert looking.holes(25) == [8, 24]
    looking.hold(8)
    assert looking.holes(26) == [24]
    assert looking.audit.counts(SERIES).since(0).rows == 2  # a repaired row is none that was read first


def test_a_second_look_is_at_one_range_alone(looking: Looking) -> None:
    looking.hold(0, 32)
    assert looking.holes(33) == [8, 16, 24]
    looking.hold(16)
    assert looking.holes(33, Range(START + 16 * HOUR, START + 25 * HOUR)) == [24]
    assert looking.holes(33) == [8, 24]


def test_it_begins_anew_when_it_is_told_to_forget(looking: Looking) -> None:
    looking.hold(0, 8, 16)
    assert looking.holes(17) == []
    looking.audit.forget()
    assert looking.audit.holes(SERIES) == (Range(0, 0), ())
    assert looking.holes(24.5) == [24]


def test_what_is_older_than_its_retention_is_nobodys_loss(looking: Looking) -> None:
    looking.audit = FundingAudit(Retention({(Funding, None): 1}), GRACE)
    looking.hold(0, 8)
    assert looking.holes(41) == [24, 32, 40]

"""The ledgers added up: sums that hide nothing, over the real files of a data folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage import ledger
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.account import COUNTED, OUTCOMES, Account, read_account
from data_manager.system.clock import SystemClock
from data_manager.system.errors import StoreError
from data_manager.system.settings import Settings
from tests.storage.examples import candle, depth, event, quarantined, received, received_events, trade

pure = settings(derandomize=True, deadline=None, max_examples=100)
numbers = st.fixed_dictionaries(dict.fromkeys(COUNTED, st.integers(0, 1_000_000)))
accounts = st.builds(Account, st.dictionaries(st.sampled_from(["trade", "kline", "depthUpdate", "unknown"]), numbers))


def test_an_account_counts_exactly_what_a_ledger_does() -> None:
    assert OUTCOMES == ledger.OUTCOMES
    assert set(COUNTED) == set(ledger.Counts.__struct_fields__)


@pure
@given(accounts)
def test_an_account_is_balanced_when_each_of_its_types_is(account: Account) -> None:
    assert account.balanced == all(ledger.Counts(**counts).balanced for counts in account.by_type.values())


@pure
@given(accounts)
def test_totals_and_events_are_the_sums_over_all_types(account: Account) -> None:
    for name in COUNTED:
        assert account.total(name) == sum(counts[name] for counts in account.by_type.values())
    assert account.events == sum(one["received"] - one["redelivered"] for one in account.by_type.values())


@pure
@given(accounts, accounts)
def test_what_was_added_after_an_account_is_what_makes_it_the_later_one(before: Account, added: Account) -> None:
    nothing = dict.fromkeys(COUNTED, 0)
    later = Account(
        {
            kind: {
                name: before.by_type.get(kind, nothing)[name] + added.by_type.get(kind, nothing)[name]
                for name in COUNTED
            }
            for kind in before.by_type.keys() | added.by_type.keys()
        }
    )
    difference = later.since(before)
    assert {kind: counts for kind, counts in difference.by_type.items() if kind in added.by_type} == added.by_type
    assert difference.events == added.events
    assert later.since(Account({})) == later


def test_a_folder_that_nothing_was_written_in_has_an_empty_account(tmp_path: Path) -> None:
    assert read_account(Settings(data_dir=tmp_path / "none")) == Account({})
    (tmp_path / "market").mkdir()
    assert read_account(Settings(data_dir=tmp_path)) == Account({})
    assert not list((tmp_path / "market").iterdir()), "reading makes no files"


def written(folder: Path) -> None:
    """Two symbols and the events that have none; BTCUSDT's third trade is its first once more."""
    store = SqliteMarketStore(folder / "market", clock=SystemClock())
    store.write(Symbol("BTCUSDT"), received(trade(1), trade(2), trade(1, feed_seq=9), candle(0)))
    store.write(Symbol("ETHUSDT"), received_events([event(trade(5)), event(depth(1)), event(quarantined(7))]))
    store.write(ALL_SYMBOLS, received(quarantined(8)))
    store.close()


def test_the_ledgers_of_all_symbols_and_of_what_has_none_are_added_up_by_type(tmp_path: Path) -> None:
    written(tmp_path)
    account = read_account(Settings(data_dir=tmp_path))
    seen = {kind: {name: n for name, n in counts.items() if n} for kind, counts in account.by_type.items()}
    assert seen == {
        "trade": {"received": 4, "stored": 3, "duplicate": 1},
        "kline": {"received": 1, "stored": 1},
        "depthUpdate": {"received": 1, "stored": 1},
        "unknown": {"received": 2, "quarantined": 2},
    }
    assert account.balanced
    assert account.events == 8


def test_a_ledger_that_cannot_be_read_is_an_error_and_not_a_zero(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "market" / "ETHUSDT.sqlite3").write_bytes(b"this is no database, and it is long enough to tell")
    for extra in ("-wal", "-shm"):
        (tmp_path / "market" / f"ETHUSDT.sqlite3{extra}").unlink(missing_ok=True)
    with pytest.raises(StoreError, match="ETHUSDT"):
        read_account(Settings(data_dir=tmp_path))

import asyncio
import random
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.aside import (
    MAX_SKIPPED_SYMBOLS,
    OTHER,
    SAMPLE_BYTES,
    SAMPLES,
    AsideWriter,
    SkippedSymbols,
    write_of,
)
from data_manager.actors.routing import NOT_JSON, Aside, Refused, Skipped
from data_manager.storage.ledger import BatchEntry, Counts
from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import ALL_SYMBOLS, Quarantined, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics, series
from data_manager.system.settings import is_symbol
from tests.eventually import eventually

FEED = 1_700_000_000_000_000_000  # an incarnation


def skipped(place: int, symbol: str = "DOGEUSDT", label: str = "trade") -> Aside:
    return Aside(place, place * 1000, Skipped(symbol, label, b"{}"))


def refused(place: int, label: str = "unknown") -> Aside:
    return Aside(place, place * 1000, Refused(label, NOT_JSON, "It is not JSON.", b"\xff"))


# -- what is written ---------------------------------------------------------------------------------------


def test_a_write_holds_one_batch_the_rows_and_the_counts():
    write = write_of([refused(9), skipped(4), skipped(5)], set(), FEED, 3, 17, 99)
    assert write.batches == [BatchEntry(17, FEED, 3, (4, 5, 9))]
    assert write.counts == {"unknown": Counts(received=1), "trade": Counts(received=2, skipped=2)}
    (event,) = write.events
    assert event.event_type == "unknown"
    assert event.record == Quarantined(FEED, 9, "unknown", NOT_JSON, "It is not JSON.", b"\xff", 9, 99)


def test_what_was_written_before_is_redelivered_and_duplicate():
    write = write_of([skipped(4), skipped(5)], {4}, FEED, 0, 1, 0)
    assert write.counts == {"trade": Counts(received=2, skipped=1, duplicate=1, redelivered=1)}


asides = st.lists(
    st.builds(
        lambda make, place, label: make(place, label=label),
        st.sampled_from([skipped, refused]),
        st.integers(1, 30),
        st.sampled_from(["trade", "kline", "unknown"]),
    ),
    max_size=20,
    unique_by=lambda aside: aside.position,
)


@settings(derandomize=True, deadline=None)
@given(asides, st.sets(st.integers(1, 30)))
def test_the_ledger_of_a_write_balances_once_the_store_has_judged_the_rows(given_asides, seen):
    write = write_of(given_asides, seen, FEED, 0, 1, 0)
    total = sum(write.counts.values(), Counts())
    assert total.received == len(given_asides)
    assert total.redelivered == sum(aside.position in seen for aside in given_asides)
    assert total.received == total.skipped + total.duplicate + len(write.events)


# -- what is remembered ------------------------------------------------------------------------------------


def test_the_newest_samples_of_a_skipped_symbol_are_kept_cut_to_size():
    symbols = SkippedSymbols()
    for number in range(SAMPLES + 5):
        symbols.add(Skipped("DOGEUSDT", "trade", b"%d" % number + b"x" * SAMPLE_BYTES))
    kept = list(symbols.samples["DOGEUSDT"])
    assert [int(raw.rstrip(b"x")) for raw in kept] == list(range(5, SAMPLES + 5))
    assert {len(raw) for raw in kept} == {SAMPLE_BYTES}
    assert symbols.counts["DOGEUSDT", "trade"] == SAMPLES + 5


def test_further_symbols_are_counted_together():
    symbols = SkippedSymbols()
    names = [symbols.add(Skipped(f"S{n}", "trade", b"")) for n in range(MAX_SKIPPED_SYMBOLS + 3)]
    assert names[-4:] == [f"S{MAX_SKIPPED_SYMBOLS - 1}", OTHER, OTHER, OTHER]
    assert symbols.counts[OTHER, "trade"] == 3
    assert len(symbols.samples) == MAX_SKIPPED_SYMBOLS
    assert symbols.add(Skipped("S0", "kline", b"")) == "S0"
    assert not is_symbol(OTHER)


# -- committing --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "market"


def writer_on(folder, metrics: Metrics | None = None) -> AsideWriter:
    clock = SystemClock()
    store = SqliteMarketStore(folder, clock=clock, timeout_s=0.05)
    return AsideWriter(store, clock, random.Random(1), metrics or Metrics())


def committed(folder) -> tuple[dict[str, Counts], int, list[Quarantined]]:
    with closing(SqliteMarketStore(folder, clock=SystemClock(), read_only=True)) as store:
        ledger = store.ledger(ALL_SYMBOLS)
        rows = store.rows(ALL_SYMBOLS, Quarantined, Query(limit=100))
        return ledger.by_type, ledger.last_market_seq, rows


def test_writes_are_numbered_on_where_the_last_run_ended(folder):
    async def run(*writes):
        with closing(writer_on(folder)) as writer:
            for write in writes:
                await writer.write(write, FEED, 0)

    asyncio.run(run([skipped(1)], [refused(2)]))
    assert committed(folder)[1] == 2
    asyncio.run(run([skipped(3), refused(4)]))
    by_type, last, rows = committed(folder)
    assert last == 3
    assert by_type == {
        "trade": Counts(received=2, skipped=2),
        "unknown": Counts(received=2, quarantined=2),
    }
    assert [row.feed_seq for row in rows] == [2, 4]


def test_a_redelivery_is_told_from_a_first_delivery_by_what_was_committed(folder):
    async def scenario():
        with closing(writer_on(folder)) as writer:
            await writer.write([skipped(1), refused(2)], FEED, 0)
            await writer.write([skipped(1), refused(2), skipped(3), refused(4)], FEED, 0)
            await writer.write([skipped(1)], FEED + 1, 0)  # another FEED: another event

    asyncio.run(scenario())
    by_type, _, rows = committed(folder)
    assert by_type == {
        "trade": Counts(received=4, skipped=3, duplicate=1, redelivered=1),
        "unknown": Counts(received=3, quarantined=2, duplicate=1, redelivered=1),
    }
    assert len(rows) == 2


def test_a_store_that_is_away_is_waited_for_and_nothing_is_counted_twice(folder):
    metrics = Metrics()

    async def scenario():
        with closing(writer_on(folder, metrics)) as writer:
            await writer.write([refused(1)], FEED, 0)
            with closing(sqlite3.connect(folder / "_all.sqlite3", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                waiting = [asyncio.create_task(writer.write([refused(place)], FEED, 0)) for place in (2, 3)]
                await eventually(lambda: writer.away)
                await eventually(lambda: writer.busy_since is not None, every=0.005)
                assert not any(task.done() for task in waiting)
                other.execute("ROLLBACK")
            await asyncio.gather(*waiting)
            assert not writer.away
            assert writer.busy_since is None

    asyncio.run(scenario())
    assert committed(folder)[:2] == ({"unknown": Counts(received=3, quarantined=3)}, 3)
    failed = {"event_type": "unknown", "error_type": NOT_JSON}
    assert metrics.totals().counters[series("data_manager_messages_failed_total", failed)] == 3


def test_the_position_of_the_router_is_the_greatest_that_any_ledger_of_this_feed_knows(folder):
    with closing(SqliteMarketStore(folder, clock=SystemClock())) as store:
        for symbol, incarnation, through in (
            ("BTCUSDT", FEED, 7),
            ("ETHUSDT", FEED, 9),
            ("ADAUSDT", FEED - 1, 50),
        ):
            store.write(Symbol(symbol), Write(batches=[BatchEntry(1, incarnation, through, (1,))]))

    async def scenario():
        with closing(writer_on(folder)) as writer:
            symbols = ("BTCUSDT", "ETHUSDT", "ADAUSDT", "NEWUSDT")
            assert await writer.routed_through(symbols, FEED) == 9
            assert await writer.routed_through(symbols, FEED + 1) == 0

    asyncio.run(scenario())

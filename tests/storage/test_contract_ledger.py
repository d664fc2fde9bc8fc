"""Contract of every back end: the ledger always balances, and a redelivered position is recognised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.storage.ledger import LEDGER_BATCHES, BatchEntry, Counts, Head, pack, unpack
from data_manager.storage.protocols import Event, MarketStore, Write
from tests.storage.backends import Backend
from tests.storage.examples import BTC, T0, batch, event, quarantined, received, received_events, trade


def test_the_delta_holds_what_was_known_beforehand_and_the_outcomes(store: MarketStore) -> None:
    write = received(trade(1))
    write.counts["trade"] += Counts(received=2, skipped=2, redelivered=1)
    write.counts["depthUpdate"] = Counts(received=4, skipped=4)
    written = store.write(BTC, write)
    assert written.counts == {
        "trade": Counts(received=3, stored=1, skipped=2, redelivered=1),
        "depthUpdate": Counts(received=4, skipped=4),
    }
    assert store.ledger(BTC).by_type == written.counts


def test_totals_are_the_sum_of_all_deltas_and_survive_reopening(backend: Backend) -> None:
    store = backend.open()
    for n in range(3):
        store.write(BTC, received(trade(n), trade(0)))
    store.close()
    assert backend.open().ledger(BTC).by_type == {"trade": Counts(received=6, stored=3, duplicate=3)}


def test_the_head_follows_the_batches_in_any_order(store: MarketStore) -> None:
    store.write(BTC, Write(batches=[batch(7, 10, 20, routed_through=3)]))
    store.write(BTC, Write(batches=[batch(6, 5, routed_through=2), batch(9, routed_through=4)]))
    totals = store.ledger(BTC)
    assert (totals.last_market_seq, totals.incarnation) == (9, 5)
    assert (totals.routed_through, totals.last_position) == (4, 20)


def test_a_feed_made_anew_starts_its_own_positions(store: MarketStore) -> None:
    store.write(BTC, Write(batches=[batch(7, 1000, routed_through=900)]))
    store.write(BTC, Write(batches=[batch(8, 3, incarnation=6, routed_through=2)]))
    store.write(BTC, Write(batches=[batch(9, 2000, routed_through=1900)]))  # a late one of the old feed
    totals = store.ledger(BTC)
    assert (totals.incarnation, totals.routed_through, totals.last_position) == (6, 2, 3)
    assert totals.last_market_seq == 9


def test_positions_are_seen_within_their_incarnation_only(store: MarketStore) -> None:
    store.write(BTC, Write(batches=[batch(1, 10, 20, 30), batch(2, 25)]))
    assert store.seen_positions(BTC, 5, [9, 10, 25, 26, 30, 31]) == {10, 25, 30}
    assert store.seen_positions(BTC, 5, []) == set()
    assert store.seen_positions(BTC, 4, [10]) == set()


def test_a_batch_written_again_is_one_batch(store: MarketStore) -> None:
    for _ in range(2):
        store.write(BTC, Write(batches=[batch(1, 10, 20)]))
    assert store.seen_positions(BTC, 5, [10, 20]) == {10, 20}


def test_core_mode_moves_the_head_but_keeps_no_positions(store: MarketStore) -> None:
    store.write(BTC, Write(batches=[batch(0, 10, incarnation=0, routed_through=0)]))
    assert store.ledger(BTC).last_position == 10
    assert store.seen_positions(BTC, 0, [10]) == set()


def test_only_the_newest_batches_are_kept(store: MarketStore) -> None:
    store.write(BTC, Write(batches=[batch(n, n) for n in range(1, LEDGER_BATCHES + 11)]))
    assert store.seen_positions(BTC, 5, range(30)) == set(range(11, 30))


def test_a_market_stream_made_anew_is_remembered_although_its_numbers_are_low(store: MarketStore) -> None:
    store.write(BTC, Write(batches=[batch(10**6 + n, n) for n in range(LEDGER_BATCHES)]))
    store.write(BTC, Write(batches=[batch(1, 10**7)]))
    assert store.seen_positions(BTC, 5, [10**7]) == {10**7}


def test_a_redelivered_batch_adds_itself_as_duplicates(store: MarketStore) -> None:
    first = received(trade(1), trade(2), batches=[batch(1, 4096, 8192)])
    again = received(trade(1), trade(2), batches=[batch(2, 4096, 8192)])
    store.write(BTC, first)
    seen = store.seen_positions(BTC, 5, [4096, 8192])
    again.counts["trade"] += Counts(redelivered=len(seen))
    store.write(BTC, again)
    totals = store.ledger(BTC).total
    assert totals == Counts(received=4, stored=2, duplicate=2, redelivered=2)
    assert totals.balanced


positions = st.lists(st.integers(0, 2**62), min_size=1, max_size=50, unique=True).map(sorted).map(tuple)


@given(positions)
@settings(derandomize=True, deadline=None)
def test_packed_positions_come_back(given: tuple[int, ...]) -> None:
    assert tuple(unpack(pack(given))) == given


def test_a_full_batch_packs_into_few_bytes() -> None:
    assert len(pack(tuple(range(2**60, 2**60 + 500 * 4096 * 5, 4096 * 5)))) < 1600


@given(st.permutations([batch(n, n * 10, incarnation=5 + n % 2, routed_through=n) for n in range(1, 8)]))
@settings(derandomize=True, deadline=None)
def test_the_head_does_not_depend_on_the_order_of_batches(batches: list[BatchEntry]) -> None:
    head = Head(0, 0, 0, 0)
    for each in [*batches, *batches[:3]]:
        head = head.after(each)
    assert head == Head(7, 6, 7, 70)


outcomes = st.lists(
    st.lists(
        st.one_of(
            st.builds(trade, st.integers(0, 9)),
            st.builds(trade, st.integers(0, 9), kind=st.just("aggTrade")),
            st.builds(quarantined, st.integers(0, 4)),
        ),
        max_size=12,
    ),
    max_size=6,
)


@pytest.mark.parametrize("quarantine_max_rows", [0, 2, 100])
def test_the_ledger_stays_balanced_whatever_is_written(backend: Backend, quarantine_max_rows: int) -> None:
    @given(outcomes)
    @settings(derandomize=True, deadline=None, max_examples=40)
    def check(batches: list[list[object]]) -> None:
        before = store.ledger(BTC).total
        for records in batches:
            written = store.write(BTC, received_events([event(record) for record in records]))  # type: ignore[arg-type]
            assert all(delta.balanced for delta in written.counts.values())
        total = store.ledger(BTC).total
        assert total.balanced
        assert total.received - before.received == sum(map(len, batches))

    store = backend.open(quarantine_max_rows=quarantine_max_rows)
    check()


def test_events_of_one_type_add_up_over_records_and_policies(store: MarketStore) -> None:
    events = [
        Event("mixed", trade(1)),
        Event("mixed", quarantined(1)),
        Event("mixed", trade(1), keep_first=False),
    ]
    written = store.write(BTC, received_events(events))
    assert written.counts == {"mixed": Counts(received=3, stored=1, quarantined=1, duplicate=1)}
    assert trade(0).time_ms == T0

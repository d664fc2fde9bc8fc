"""What the exchange does not have is remembered as it was told, joined, and never asked again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.audit.grid import Range, joined, without
from data_manager.actors.backfill.absences import EXCHANGE, NO_TRADING, Absent, Memory
from data_manager.storage.records import Candle, Series, Trade
from tests.actors.backfill.working import BTC, MINUTE, NOW, gap

BARS, TRADES = Series(BTC, Candle, "1m"), Series(BTC, Trade)
spans = st.tuples(st.integers(0, 60), st.integers(1, 9)).map(lambda span: Absent(span[0], span[0] + span[1]))


@given(told=st.lists(spans, max_size=12), rest=spans)
def test_what_is_left_to_ask_is_what_nothing_was_said_of(told: list[Absent], rest: Absent) -> None:
    memory = Memory(BARS, ())
    for absent in told:
        memory.remember([absent], (), NOW)
    said = list(joined(sorted(Range(each.start_ms, each.end_ms) for each in told)))
    within = Range(rest.start_ms, rest.end_ms)
    assert memory.unasked(within) == list(without(within, said))
    assert memory.covers(within) == (not memory.unasked(within))


@given(told=st.lists(spans, max_size=12))
def test_a_memory_made_of_the_saved_rows_is_the_same(told: list[Absent]) -> None:
    memory, saved = Memory(BARS, ()), {}
    for absent in told:
        saved |= {row.gap_id: row for row in memory.remember([absent], (), NOW)}
    again = Memory(BARS, saved.values())
    assert again.unasked(Range(0, 99)) == memory.unasked(Range(0, 99))


def test_what_touches_becomes_one_row() -> None:
    memory = Memory(BARS, ())
    (first,) = memory.remember([Absent(NOW, NOW + MINUTE)], (), NOW)
    (second,) = memory.remember([Absent(NOW + MINUTE, NOW + 3 * MINUTE)], (), NOW + 1)
    assert second.gap_id == first.gap_id
    assert (second.start_ms, second.end_ms, second.first_seen_ms) == (NOW, NOW + 3 * MINUTE, NOW)


def test_the_same_told_again_is_the_same_row() -> None:
    one, other = Memory(BARS, ()), Memory(BARS, ())
    assert one.remember([Absent(1, 9)], (), NOW) == other.remember([Absent(1, 9)], (), NOW)


def test_what_trades_prove_has_its_own_cause_unless_it_is_joined_with_what_they_do_not() -> None:
    memory = Memory(BARS, ())
    (quiet,) = memory.remember([Absent(0, 5)], [Range(0, 5)], NOW)
    (both,) = memory.remember([Absent(5, 9)], (), NOW)
    assert (quiet.cause, both.cause) == (NO_TRADING, EXCHANGE)


def test_the_gap_that_is_repaired_ends_where_nothing_is_there() -> None:
    repairing = gap(status="backfilling", job_id="job-1")
    (ended,) = Memory(BARS, (), [repairing]).remember([Absent(repairing.start_ms, repairing.end_ms)], (), NOW)
    assert (ended.gap_id, ended.job_id, ended.status) == ("gap-1", "job-1", "exchange_empty")
    assert (ended.first_seen_ms, ended.closed_ms) == (repairing.first_seen_ms, NOW)


def test_ids_that_are_skipped_are_told_and_their_neighbours_still_wanted() -> None:
    memory = Memory(TRADES, ())
    (skipped,) = memory.remember([Absent(100, 201, 7, 9)], (), NOW)
    assert "aggTrades 7 to 9" in str(skipped.evidence)
    assert memory.unasked(Range(0, 300)) == [Range(0, 101), Range(200, 300)]
    assert memory.unasked(Range(100, 201)) == []


def test_ids_in_one_millisecond_leave_nothing_out() -> None:
    memory = Memory(TRADES, ())
    memory.remember([Absent(100, 101, 7, 9)], (), NOW)
    assert memory.unasked(Range(0, 300)) == [Range(0, 300)]


def test_ids_are_never_joined_with_times() -> None:
    memory = Memory(TRADES, ())
    (ids,) = memory.remember([Absent(100, 201, 7, 9)], (), NOW)
    (times,) = memory.remember([Absent(201, 300)], (), NOW)
    assert ids.gap_id != times.gap_id

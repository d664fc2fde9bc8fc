from itertools import pairwise
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.suspicion import MAX_HOLES, RETELL_S, Holes, Span, Unrouted

PATIENCE = 25.0

pure = settings(derandomize=True, deadline=None)


def deliver(holes: Holes, *sequences: int, now: float = 0) -> None:
    for sequence in sequences:
        holes.saw(sequence, sequence * 1_000_000, now)  # sequence n was received in second n


# -- holes ---------------------------------------------------------------------------------------------------


def test_an_unbroken_sequence_leaves_no_hole():
    holes = Holes()
    deliver(holes, 7, 8, 9, 8, 10)
    assert holes.lost(10**9, 10**9, PATIENCE) == []


def test_a_jump_over_what_feed_discarded_is_lost_with_range_and_times():
    holes = Holes()
    deliver(holes, 7, 12)
    assert holes.lost(12, 0, PATIENCE) == [Span(8, 11, 7_000, 12_000)]
    assert holes.lost(12, 0, PATIENCE) == []


def test_a_jump_over_what_feed_still_holds_is_not_lost_yet():
    holes = Holes()
    deliver(holes, 7, 12)
    assert holes.lost(1, 0, PATIENCE) == []
    deliver(holes, 8, 9, 10, 11)
    assert holes.lost(12, PATIENCE, PATIENCE) == []


def test_what_never_comes_again_is_lost_after_some_patience():
    holes = Holes()
    deliver(holes, 7, 12, now=100)
    deliver(holes, 9)
    assert holes.lost(1, 100 + PATIENCE - 1, PATIENCE) == []
    assert [(s.first, s.last) for s in holes.lost(1, 100 + PATIENCE, PATIENCE)] == [(8, 8), (10, 11)]


def test_only_the_discarded_part_of_a_hole_is_lost():
    holes = Holes()
    deliver(holes, 7, 20)
    assert [(s.first, s.last) for s in holes.lost(12, 0, PATIENCE)] == [(8, 11)]
    assert [(s.first, s.last) for s in holes.lost(20, 0, PATIENCE)] == [(12, 19)]


def test_the_first_delivery_may_already_be_too_late():
    holes = Holes(expected=5)
    deliver(holes, 9)
    assert holes.lost(9, 0, PATIENCE) == [Span(5, 8, None, 9_000)]


def test_the_number_of_holes_is_bounded():
    holes = Holes()
    deliver(holes, *range(1, 2 * (MAX_HOLES + 5), 2))
    assert [span.first for span in holes.lost(1, 0, PATIENCE)] == [2, 4, 6, 8]
    assert len(holes.lost(1, PATIENCE, PATIENCE)) == MAX_HOLES


@pure
@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 40), st.data())
def test_holes_are_what_a_set_of_the_missing_says(sequences, first_sequence, data):
    sequences = [1, *sequences]
    holes = Holes()
    deliver(holes, *sequences)
    missing = set(range(1, max(sequences))) - set(sequences)
    told = [holes.lost(first_sequence, 0, PATIENCE), holes.lost(1, PATIENCE, PATIENCE)]
    numbers = [[n for span in spans for n in range(span.first, span.last + 1)] for spans in told]
    assert sorted(numbers[0]) == sorted(n for n in missing if n < first_sequence)
    assert sorted(numbers[0] + numbers[1]) == sorted(missing)


# -- unrouted ----------------------------------------------------------------------------------------------

FULL = "market_full"


def test_the_first_loss_is_told_at_once_and_the_next_ones_merged_once_a_second():
    unrouted = Unrouted()
    unrouted.add("BTCUSDT", FULL, Span(1, 4, 10, 20))
    assert unrouted.due(0) == [(("BTCUSDT", FULL), Span(1, 4, 10, 20))]
    unrouted.add("BTCUSDT", FULL, Span(9, 11, 30, 35))
    unrouted.add("BTCUSDT", FULL, Span(7, 8, 25, 28))
    assert unrouted.due(RETELL_S / 2) == []
    assert unrouted.due(RETELL_S) == [(("BTCUSDT", FULL), Span(7, 11, 25, 35))]
    assert unrouted.due(10 * RETELL_S) == []


def test_symbols_and_reasons_are_told_apart():
    unrouted = Unrouted()
    unrouted.add("BTCUSDT", FULL, Span(1, 1))
    unrouted.due(0)
    unrouted.add("BTCUSDT", FULL, Span(2, 2))
    unrouted.add("ETHUSDT", FULL, Span(2, 3))
    unrouted.add("BTCUSDT", "other", Span(4, 4))
    assert unrouted.due(RETELL_S / 2) == [(("ETHUSDT", FULL), Span(2, 3)), (("BTCUSDT", "other"), Span(4, 4))]


def test_a_loss_after_a_pause_is_told_at_once_again():
    unrouted = Unrouted()
    unrouted.add("BTCUSDT", FULL, Span(1, 1))
    unrouted.due(0)
    unrouted.add("BTCUSDT", FULL, Span(90, 91))
    assert unrouted.due(50) == [(("BTCUSDT", FULL), Span(90, 91))]


def test_the_end_tells_the_rest_once():
    unrouted = Unrouted()
    unrouted.add("BTCUSDT", FULL, Span(1, 1))
    unrouted.due(0)
    unrouted.add("BTCUSDT", FULL, Span(2, 5))
    assert unrouted.due(inf) == [(("BTCUSDT", FULL), Span(2, 5))]
    assert unrouted.due(inf) == []


losses = st.tuples(st.integers(0, 3000), st.sampled_from("AB"), st.integers(1, 99), st.integers(0, 9))


@pure
@given(st.lists(losses, max_size=40))
def test_every_lost_sequence_is_inside_some_span_told_and_no_symbol_is_told_twice_a_second(given_losses):
    unrouted = Unrouted()
    told: list[tuple[float, str, Span]] = []
    for ms, symbol, first, more in sorted(given_losses):
        unrouted.add(symbol, FULL, Span(first, first + more))
        told += [(ms / 1000, name, span) for (name, _), span in unrouted.due(ms / 1000)]
    times = [at for at, symbol, _ in told if symbol == "A"]
    assert all(later - earlier >= RETELL_S for earlier, later in pairwise(times))
    told += [(9, name, span) for (name, _), span in unrouted.due(inf)]
    for _, symbol, first, more in given_losses:
        assert any(name == symbol and s.first <= first and first + more <= s.last for _, name, s in told)


@pure
@given(*[st.tuples(st.integers(0, 9), st.integers(0, 9), st.none() | st.integers(0, 9))] * 2)
def test_a_merged_span_holds_both(one, other):
    a, b = (Span(first, first + more, ms, ms) for first, more, ms in (one, other))
    merged = a.merged(b)
    assert merged == b.merged(a)
    assert merged.first == min(a.first, b.first)
    assert merged.last == max(a.last, b.last)
    assert (merged.start_ms is None) == (one[2] is None and other[2] is None)

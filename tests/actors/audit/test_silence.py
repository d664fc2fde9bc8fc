from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.audit.grid import Range
from data_manager.actors.audit.silence import LEARNT, Alive, Silences, judged

pure = settings(derandomize=True, deadline=None)
AFTER = 30_000


def silences(interval_ms: int = 1000, paces: int = 10) -> Silences:
    return Silences(AFTER, interval_ms, paces)


def test_rows_at_their_pace_are_no_silence() -> None:
    assert list(silences().found(range(0, 600_000, 1000))) == []


def test_more_time_than_the_limit_is_a_silence_between_the_rows() -> None:
    assert list(silences().found([0, 1000, 31_000, 62_000])) == [Range(31_001, 62_000)]


def test_a_sampling_interval_stretches_the_limit() -> None:
    assert silences(interval_ms=5000).limit_ms == 50_000


def test_a_series_that_is_slow_by_nature_is_not_silent_at_its_own_pace() -> None:
    slow = silences()
    assert list(slow.found(range(0, 20_000 * LEARNT + 1, 20_000))) == []
    assert slow.limit_ms == 200_000
    assert list(slow.found([20_000 * LEARNT + 150_000])) == []
    assert len(list(slow.found([20_000 * LEARNT + 500_000]))) == 1


def test_a_silence_does_not_change_the_usual_pace() -> None:
    quiet = silences()
    times = list(accumulate([1000] * 50))
    list(quiet.found(times))
    limit = quiet.limit_ms
    for number in range(1, 20):
        assert len(list(quiet.found([times[-1] + number * 100_000]))) == 1
    assert quiet.limit_ms == limit


def test_rows_of_one_time_or_out_of_order_are_harmless() -> None:
    assert list(silences().found([1000, 1000, 500, 2000, 1500, 33_001])) == [Range(2001, 33_001)]


@pure
@given(st.lists(st.integers(0, 100_000), max_size=LEARNT), st.integers(1, 7))
def test_until_a_pace_is_learnt_it_is_what_a_look_at_each_pair_says(steps: list[int], page: int) -> None:
    times = list(accumulate(steps, initial=5))
    streamed = silences()
    found = [each for start in range(0, len(times), page) for each in streamed.found(times[start : start + page])]
    assert found == [Range(a + 1, b) for a, b in pairwise(times) if b - a > AFTER]


def test_it_is_the_feeds_silence_while_anything_else_came() -> None:
    cause, evidence = judged(Alive(["ETHUSDT"], ["tickers"], 9, None))
    assert cause == "feed"
    assert "tickers of the symbol came meanwhile" in evidence
    assert "the same of ETHUSDT came meanwhile" in evidence


def test_it_is_the_feeds_silence_where_the_exchange_traded_on() -> None:
    cause, evidence = judged(Alive([], [], 9, True))
    assert (cause, "traded meanwhile" in evidence) == ("feed", True)


def test_it_is_the_exchanges_silence_where_all_were_silent() -> None:
    for traded in (False, None):
        cause, evidence = judged(Alive([], [], 9, traded))
        assert (cause, "all 9 others" in evidence) == ("exchange", True)

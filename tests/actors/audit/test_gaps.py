from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.audit.gaps import Changes, Found, audit_log, lost, parts_outside, reconcile
from data_manager.actors.audit.grid import Range
from data_manager.storage.protocols import Gap
from data_manager.storage.records import Candle, Series, Symbol

pure = settings(derandomize=True, deadline=None)
SERIES = Series(Symbol("BTCUSDT"), Candle, "1m")
ALL = (Range(0, 1000),)
HOUR = 3_600_000


def found(*pairs: tuple[int, int], cause: str = "unknown") -> list[Found]:
    return [Found(Range(*pair), cause, f"{pair} is missing") for pair in pairs]


def opened(*pairs: tuple[int, int], at: int = 5000) -> list[Gap]:
    changes = reconcile(SERIES, [], found(*pairs), ALL, at)
    assert (changes.seen, changes.whole, changes.expired) == ([], [], [])
    return changes.new


def test_what_is_missing_for_the_first_time_is_an_open_gap_with_its_evidence() -> None:
    (gap,) = opened((10, 20))
    assert (gap.dataset_id, gap.symbol, gap.data_type, gap.timeframe) == (
        "candles_BTCUSDT_1m",
        "BTCUSDT",
        "candles",
        "1m",
    )
    assert (gap.start_ms, gap.end_ms, gap.status, gap.cause) == (10, 20, "open", "unknown")
    assert (gap.first_seen_ms, gap.last_seen_ms, gap.closed_ms) == (5000, 5000, None)


def test_seen_again_only_the_time_of_that_changes() -> None:
    (gap,) = opened((10, 20))
    changes = reconcile(SERIES, [gap], found((10, 20)), ALL, 6000)
    assert changes == Changes([], [msgspec.structs.replace(gap, last_seen_ms=6000)], [], [])


def test_a_gap_that_is_not_missing_any_more_is_whole() -> None:
    (gap,) = opened((10, 20))
    assert reconcile(SERIES, [gap], [], ALL, 6000) == Changes([], [], [gap], [])
    assert reconcile(SERIES, [gap], [], (Range(0, 15), Range(15, 30)), 6000).whole == [gap]


def test_a_gap_outside_of_what_was_audited_is_left_alone() -> None:
    (gap,) = opened((10, 20))
    for audited in ((Range(11, 1000),), (Range(0, 19),), (Range(500, 600),), (Range(0, 12), Range(13, 30)), ()):
        assert reconcile(SERIES, [gap], [], audited, 6000) == Changes([], [], [], [])


def test_what_is_older_than_what_is_kept_is_nobodys_gap() -> None:
    (gap,) = opened((10, 20))
    assert reconcile(SERIES, [gap], [], (Range(20, 30),), 6000, kept_ms=20).expired == [gap]
    assert reconcile(SERIES, [gap], [], (Range(15, 30),), 6000, kept_ms=15).whole == [gap]
    (seen,) = reconcile(SERIES, [gap], found((15, 20)), (Range(15, 30),), 6000, kept_ms=15).seen
    assert (seen.gap_id, seen.start_ms) == (gap.gap_id, 15)


def test_a_gap_that_grows_or_shrinks_stays_the_same_gap() -> None:
    (gap,) = opened((10, 20))
    for pair in ((10, 30), (5, 20), (12, 15)):
        changes = reconcile(SERIES, [gap], found(pair), ALL, 6000)
        (same,) = changes.seen
        assert changes.new == []
        assert (same.gap_id, same.start_ms, same.end_ms, same.status) == (gap.gap_id, *pair, "open")


def test_of_gaps_that_share_a_moment_each_stays_itself() -> None:
    first, second = opened((10, 21), (20, 31))
    changes = reconcile(SERIES, [first, second], found((20, 31)), ALL, 6000)
    assert ([gap.gap_id for gap in changes.seen], changes.whole) == ([second.gap_id], [first])


def test_a_gap_that_was_filled_in_its_middle_is_two() -> None:
    (gap,) = opened((10, 20))
    changes = reconcile(SERIES, [gap], found((10, 12), (15, 20)), ALL, 6000)
    (second,), (first,) = changes.new, changes.seen
    assert (first.gap_id, first.end_ms) == (gap.gap_id, 12)
    assert (second.start_ms, second.first_seen_ms) == (15, 6000)
    assert second.gap_id != gap.gap_id


def test_what_a_job_fetches_is_no_new_gap() -> None:
    (gap,) = opened((10, 20))
    assert list(parts_outside(gap, [])) == [gap]
    assert list(parts_outside(gap, [Range(0, 5), Range(30, 40)])) == [gap]
    assert list(parts_outside(gap, [Range(0, 50)])) == []
    left, right = parts_outside(gap, [Range(12, 15)])
    assert [(each.start_ms, each.end_ms) for each in (left, right)] == [(10, 12), (15, 20)]
    assert len({left.gap_id, right.gap_id}) == 2


def test_what_nobody_can_fill_is_an_ended_gap_and_one_row_however_often_it_is_told() -> None:
    (what,) = found((10, 20), cause="feed")
    gap = lost(SERIES, what, 5000, "silence/10")
    assert (gap.status, gap.cause, gap.closed_ms) == ("unfillable", "feed", 5000)
    assert lost(SERIES, what, 6000, "silence/10").gap_id == gap.gap_id
    assert lost(SERIES, what, 5000, "silence/11").gap_id != gap.gap_id


@pure
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=6))
def test_a_second_look_at_the_same_changes_nothing_but_the_time(pairs: list[tuple[int, int]]) -> None:
    starts = {start * 6: length for start, length in pairs}
    what = found(*((start, start + length) for start, length in sorted(starts.items())))
    known = reconcile(SERIES, [], what, ALL, 5000).new
    assert len({gap.gap_id for gap in known}) == len(what)
    again = reconcile(SERIES, known, what, ALL, 6000)
    assert again == Changes([], [msgspec.structs.replace(gap, last_seen_ms=6000) for gap in known], [], [])


def test_the_audits_row_has_the_originals_words_and_is_one_for_each_gap() -> None:
    start = 1_767_225_600_000
    for length, severity in ((HOUR, "medium"), (HOUR + 60_000, "high")):
        (gap,) = opened((start, start + length))
        log = audit_log(gap)
        assert log.audit_id == gap.gap_id
        assert (log.audit_type, log.severity, log.at_ms) == ("gap", severity, 5000)
        assert log.details.startswith("Gap from 2026-01-01T00:00:00+00:00 to 2026-01-01T01:0")

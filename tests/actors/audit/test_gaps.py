from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.audit.gaps import Found, audit_log, reconcile
from data_manager.actors.audit.grid import Range
from data_manager.storage.protocols import Gap
from data_manager.storage.records import Candle, Series, Symbol

pure = settings(derandomize=True, deadline=None)
SERIES = Series(Symbol("BTCUSDT"), Candle, "1m")
ALL = Range(0, 1000)
HOUR = 3_600_000


def found(*pairs: tuple[int, int], cause: str = "unknown") -> list[Found]:
    return [Found(Range(*pair), cause, f"{pair} is missing") for pair in pairs]


def opened(*pairs: tuple[int, int], at: int = 5000) -> list[Gap]:
    new, changed = reconcile(SERIES, [], found(*pairs), ALL, at)
    assert changed == []
    return new


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
    new, changed = reconcile(SERIES, [gap], found((10, 20)), ALL, 6000)
    assert new == []
    assert changed == [msgspec.structs.replace(gap, last_seen_ms=6000)]


def test_a_gap_that_is_not_missing_any_more_is_closed_with_evidence() -> None:
    (gap,) = opened((10, 20))
    new, (closed,) = reconcile(SERIES, [gap], [], ALL, 6000)
    assert new == []
    assert (closed.status, closed.closed_ms, closed.last_seen_ms) == ("closed", 6000, 5000)
    assert closed.evidence is not None
    assert "audited again" in closed.evidence


def test_a_gap_outside_of_what_was_audited_is_left_alone() -> None:
    (gap,) = opened((10, 20))
    for audited in (Range(11, 1000), Range(0, 19), Range(500, 600)):
        assert reconcile(SERIES, [gap], [], audited, 6000) == ([], [])


def test_a_gap_that_grows_or_shrinks_stays_the_same_gap() -> None:
    (gap,) = opened((10, 20))
    for pair in ((10, 30), (5, 20), (12, 15)):
        new, (same,) = reconcile(SERIES, [gap], found(pair), ALL, 6000)
        assert new == []
        assert (same.gap_id, same.start_ms, same.end_ms, same.status) == (gap.gap_id, *pair, "open")


def test_a_gap_that_was_filled_in_its_middle_is_two() -> None:
    (gap,) = opened((10, 20))
    (second,), (first,) = reconcile(SERIES, [gap], found((10, 12), (15, 20)), ALL, 6000)
    assert (first.gap_id, first.end_ms) == (gap.gap_id, 12)
    assert (second.start_ms, second.first_seen_ms) == (15, 6000)
    assert second.gap_id != gap.gap_id


@pure
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=6))
def test_a_second_look_at_the_same_changes_nothing_but_the_time(pairs: list[tuple[int, int]]) -> None:
    starts = {start * 6: length for start, length in pairs}
    what = found(*((start, start + length) for start, length in sorted(starts.items())))
    known, _ = reconcile(SERIES, [], what, ALL, 5000)
    assert len({gap.gap_id for gap in known}) == len(what)
    new, changed = reconcile(SERIES, known, what, ALL, 6000)
    assert new == []
    assert changed == [msgspec.structs.replace(gap, last_seen_ms=6000) for gap in known]


def test_the_audits_row_has_the_originals_words_and_is_one_for_each_gap() -> None:
    start = 1_767_225_600_000
    for length, severity in ((HOUR, "medium"), (HOUR + 60_000, "high")):
        (gap,) = opened((start, start + length))
        log = audit_log(gap)
        assert log.audit_id == gap.gap_id
        assert (log.audit_type, log.severity, log.at_ms) == ("gap", severity, 5000)
        assert log.details.startswith("Gap from 2026-01-01T00:00:00+00:00 to 2026-01-01T01:0")

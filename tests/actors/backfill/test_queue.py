"""Whose turn it is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.backfill.queue import MAX_USER_JOBS, is_of_user, next_jobs
from data_manager.storage.protocols import Job
from tests.actors.backfill.working import NOW, job


def automatic(name: str, **fields: Any) -> Job:
    return job(name, **{"reason": "gap", **fields})


jobs = st.lists(
    st.builds(
        lambda name, reason, priority, status: job(name, reason=reason, priority=priority, status=status),
        st.text("abcdefgh", min_size=1, max_size=3),
        st.sampled_from(["user", "gap", "bootstrap"]),
        st.integers(1, 10),
        st.sampled_from(["pending", "running"]),
    ),
    max_size=20,
    unique_by=lambda each: each.job_id,
)


@given(live=jobs, number=st.integers(0, 9), most=st.integers(1, 5))
def test_no_kind_has_more_in_hand_than_it_may_and_no_place_stays_empty(live: list[Job], number: int, most: int) -> None:
    first = next_jobs(live, [], most)
    in_hand = first[:number]
    chosen = next_jobs(live, in_hand, most)
    assert not {each.job_id for each in chosen} & {each.job_id for each in in_hand}
    for of_user, places in ((True, MAX_USER_JOBS), (False, most)):
        there = sum(is_of_user(each) == of_user for each in live)
        taken = sum(is_of_user(each) == of_user for each in (*in_hand, *chosen))
        assert taken == min(there, places)


def test_the_lowest_number_goes_first_then_the_oldest() -> None:
    live = [
        automatic("history", reason="bootstrap", priority=10),
        automatic("younger", created_ms=NOW + 1),
        automatic("older"),
        automatic("urgent", priority=1, created_ms=NOW + 2),
    ]
    assert [each.job_id for each in next_jobs(live, [], 3)] == ["urgent", "older", "younger"]


def test_what_was_under_way_goes_on_before_all_else() -> None:
    live = [automatic("urgent", priority=1), automatic("under way", priority=10, status="running")]
    assert [each.job_id for each in next_jobs(live, [], 1)] == ["under way"]


def test_of_equals_the_finest_bars_come_first() -> None:
    live = [automatic("a", timeframe="1d"), automatic("b", timeframe="5m")]
    assert [each.job_id for each in next_jobs(live, [], 1)] == ["b"]


def test_a_job_of_a_user_does_not_wait_for_automatic_ones() -> None:
    waiting = [automatic(str(number), priority=1) for number in range(9)]
    assert "asked" in [each.job_id for each in next_jobs([*waiting, job("asked")], waiting[:5], 5)]

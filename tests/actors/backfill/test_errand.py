"""What of a job is still to be asked for, and where each part of it goes on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.errand import MAX_PIECES, Errand
from data_manager.actors.backfill.plan import Checkpoint
from data_manager.storage.protocols import Gap
from tests.actors.backfill.working import HOUR, MINUTE, NOW, gap, job

START = NOW - 3 * HOUR


def empty(first: int, last: int) -> Gap:
    """Minutes of the job's that the exchange has nothing of."""
    return gap(f"{first}", start_ms=START + first * MINUTE, end_ms=START + last * MINUTE, status="exchange_empty")


def minutes(errand: Errand) -> list[tuple[int, int]]:
    within = [work.within for work, _ in errand.pieces([errand.rest])]
    return [((start - START) // MINUTE, (end - START) // MINUTE) for start, end in within]


def test_a_job_is_one_piece_where_nothing_is_known() -> None:
    errand = Errand(job(), [], [])
    assert errand.pieces([errand.rest]) == [(errand.work, None)]


def test_what_the_exchange_has_nothing_of_is_left_out() -> None:
    assert minutes(Errand(job(), [empty(10, 20), empty(50, 70)], [])) == [(0, 10), (20, 50)]
    assert minutes(Errand(job(reason="bootstrap"), [empty(10, 20)], [])) == [(20, 60), (0, 10)]
    assert minutes(Errand(job(), [empty(-5, 70)], [])) == []


@given(at=st.integers(0, 60), first=st.integers(0, 59), length=st.integers(1, 20))
def test_a_job_goes_on_behind_its_checkpoint(at: int, first: int, length: int) -> None:
    checkpoint = f'{{"time_ms":{START + at * MINUTE}}}'
    known = [empty(first, first + length)]
    left = {
        minute for begin, end in minutes(Errand(job(checkpoint=checkpoint), known, [])) for minute in range(begin, end)
    }
    assert left == set(range(at, 60)) - set(range(first, first + length))


def test_trades_go_on_by_id_only_where_the_checkpoint_is() -> None:
    began = job(data_type="trades", checkpoint=f'{{"time_ms":{START + 5},"next_id":77}}')
    errand = Errand(began, [gap("a", data_type="trades", start_ms=START + 90, end_ms=START + 99)], [])
    (_, first), (_, second) = errand.pieces([errand.rest])
    assert (first, second) == (Checkpoint(START + 5, 77), None)


def test_more_parts_than_it_can_hold_are_fetched_as_one() -> None:
    errand = Errand(job(end_ms=START + 900 * MINUTE), [], [])
    wanted = [Range(START + 2 * n * MINUTE, START + (2 * n + 1) * MINUTE) for n in range(MAX_PIECES + 1)]
    ((work, _),) = errand.pieces(wanted)
    assert work.within == Range(wanted[0].start_ms, wanted[-1].end_ms)


def test_what_is_known_to_be_absent_needs_no_more_explanation() -> None:
    errand = Errand(job(), [empty(10, 20)], [])
    hole = Range(START + 15 * MINUTE, START + 25 * MINUTE)
    assert errand.unexplained([hole]) == [Range(START + 20 * MINUTE, hole.end_ms)]


def test_history_has_its_rest_before_its_checkpoint() -> None:
    began = replace(job(reason="bootstrap"), checkpoint=f'{{"time_ms":{START + 10 * MINUTE}}}')
    assert Errand(began, [], []).rest == Range(START, START + 10 * MINUTE)

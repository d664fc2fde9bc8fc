"""The verdict: every event that was published is in the ledger once, and all garbage in quarantine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.system.account import COUNTED, Account
from data_manager.system.commands.disorder.verdict import Count, judged

EARLIER = {"received": 10, "stored": 8, "quarantined": 1, "duplicate": 1, "redelivered": 1}


def count(published: int, **counts: int) -> Count:
    return Count(published, Account({"trade": dict.fromkeys(COUNTED, 0) | counts}))


BEFORE = count(9, **EARLIER)


def test_only_what_happened_in_between_is_judged() -> None:
    after = count(29, received=32, stored=25, quarantined=4, duplicate=3, redelivered=3)
    verdict = judged(BEFORE, after, garbage=3, found=())
    assert (verdict.published, verdict.received, verdict.quarantined) == (20, 20, 3)
    assert verdict.problems == []
    assert BEFORE.missing == after.missing == 0


@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3), st.sampled_from([(), ("BTCUSDT: a hole",)]))
def test_all_that_is_wrong_is_told_and_nothing_else(
    unstored: int, unquarantined: int, unbalanced: int, found: tuple[str, ...]
) -> None:
    after = count(
        109, received=110 - unstored, stored=88 - unstored - unbalanced, quarantined=21, duplicate=1, redelivered=1
    )
    verdict = judged(BEFORE, after, garbage=20 + unquarantined, found=found)
    told = " ".join(verdict.problems)
    assert ("events were published, but" in told) == (unstored != 0)
    assert ("are in quarantine" in told) == (unquarantined != 0)
    assert ("no outcome, or more than one" in told) == (unbalanced != 0)
    assert ("a hole" in told) == bool(found)
    assert len(verdict.problems) == bool(unstored) + bool(unquarantined) + bool(unbalanced) + len(found)


@pytest.mark.parametrize("published", [8, 12])
def test_what_was_there_before_may_differ_as_long_as_it_differs_no_further(published: int) -> None:
    before = count(published, **EARLIER)
    after = count(published + 5, **{**EARLIER, "received": 15, "stored": 13})
    assert before.missing == after.missing == published - 9
    assert judged(before, after, garbage=0, found=()).problems == []

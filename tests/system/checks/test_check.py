from __future__ import annotations

from data_manager.system.commands.checks.check import (
    Verdict,
    away,
    by_sentence,
    fail,
    ok,
    skipped,
    summed_up,
    warn,
)


def test_warnings_and_what_could_not_be_looked_at_are_no_failures():
    total = summed_up([ok("a", ""), warn("b", "", ""), skipped("c", "")])
    assert (total.failed, total.unreachable) == (False, False)
    assert total.counts == {Verdict.OK: 1, Verdict.WARN: 1, Verdict.FAIL: 0, Verdict.SKIPPED: 1}


def test_a_server_that_is_away_is_told_from_what_is_wrong():
    assert summed_up([away("a", "", "")])[1:] == (False, True)
    assert summed_up([fail("a", "", "")])[1:] == (True, False)
    assert summed_up([away("a", "", ""), fail("b", "", "")])[1:] == (True, True)


def test_an_error_of_ours_is_a_finding_and_what_to_do():
    assert by_sentence("x", "x.sqlite3 is damaged (row 7: gone): move it away")[2:4] == (
        "x.sqlite3 is damaged (row 7: gone)",
        "move it away",
    )
    assert by_sentence("x", "something is wrong")[2:4] == ("something is wrong", "")

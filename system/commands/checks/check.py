"""What one look found: the verdict, the finding, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

MIB = 2**20


class Verdict(StrEnum):
    """`warn` leaves the service working, `fail` does not; `skipped` could not be looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class Check(NamedTuple):
    """One thing that was looked at. `away`: it fails because a server is not there, which may pass."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""
    away: bool = False


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, Verdict.OK, found)


def warn(name: str, found: str, fix: str) -> Check:
    """It works, and something will go wrong, or is not what it could be."""
    return Check(name, Verdict.WARN, found, fix)


def fail(name: str, found: str, fix: str) -> Check:
    """It cannot work like this."""
    return Check(name, Verdict.FAIL, found, fix)


def away(name: str, found: str, fix: str) -> Check:
    """A server that is needed is not there."""
    return Check(name, Verdict.FAIL, found, fix, away=True)


def skipped(name: str, reason: str) -> Check:
    """It could not be looked at."""
    return Check(name, Verdict.SKIPPED, reason)


def by_sentence(name: str, sentence: str, *, is_away: bool = False) -> Check:
    """A failure whose sentence says after its colon what to do, as the project's errors do."""
    found, _, fix = sentence.rpartition(": ")
    return Check(name, Verdict.FAIL, found or sentence, fix if found else "", is_away)


class Summary(NamedTuple):
    """How many have each verdict, and whether something failed for another reason than a server that is away."""

    counts: dict[Verdict, int]
    failed: bool
    unreachable: bool


def summed_up(checks: Iterable[Check]) -> Summary:
    """Of all checks together."""
    every = list(checks)
    failures = [check for check in every if check.verdict is Verdict.FAIL]
    counts = {verdict: sum(check.verdict is verdict for check in every) for verdict in Verdict}
    return Summary(counts, any(not each.away for each in failures), any(each.away for each in failures))

from __future__ import annotations

import msgspec
import pytest

from data_manager.actors.audit.causes import REACH_MS, explained
from data_manager.actors.audit.gaps import Found
from data_manager.actors.audit.grid import Range
from data_manager.storage.protocols import Incident

FOUND = Found(Range(100_000, 160_000), "unknown", "1 bar is missing")
NOW = 1_000_000


def incident(kind: str, subject: str, started_ms: int = 120_000, ended_ms: int | None = 130_000) -> Incident:
    return Incident("id", kind, subject, "signal 9", started_ms, ended_ms)


@pytest.mark.parametrize(
    ("kind", "subject", "cause"),
    [
        ("actor_down", "ingest/BTCUSDT", "ours"),
        ("actor_down", "router", "ours"),
        ("actor_down", "ingest/ETHUSDT", "unknown"),
        ("actor_down", "http", "unknown"),
        ("suspected_gap", "BTCUSDT", "feed"),
        ("suspected_gap", "ETHUSDT", "unknown"),
        ("suspected_gap", "_all", "feed"),
        ("feed_down", "feed", "feed"),
        ("symbol_quiet", "BTCUSDT", "feed"),
        ("symbol_quiet", "ETHUSDT", "unknown"),
        ("store_finding", "market", "unknown"),
    ],
)
def test_an_incident_of_the_same_time_names_the_cause(kind: str, subject: str, cause: str) -> None:
    told = explained(FOUND, "BTCUSDT", [incident(kind, subject)], NOW)
    assert told.cause == cause
    assert told.missing == FOUND.missing
    assert told.evidence.startswith(FOUND.evidence)
    assert (subject in told.evidence) == (cause != "unknown")


@pytest.mark.parametrize(
    ("reason", "cause"),
    [("restart", "ours"), ("market_full", "ours"), ("feed_discarded", "feed"), ("depth_chain", "unknown")],
)
def test_what_was_suspected_names_who_lost_it(reason: str, cause: str) -> None:
    suspected = msgspec.structs.replace(incident("suspected_gap", "BTCUSDT"), cause=reason)
    assert explained(FOUND, "BTCUSDT", [suspected], NOW).cause == cause


@pytest.mark.parametrize(
    ("started_ms", "ended_ms", "explains"),
    [
        (0, 100_000 - REACH_MS, False),
        (0, 100_001 - REACH_MS, True),
        (160_000 + REACH_MS, None, False),
        (159_999 + REACH_MS, None, True),
        (0, None, True),
    ],
)
def test_an_incident_explains_what_lies_within_its_reach(started_ms: int, ended_ms: int | None, explains: bool) -> None:
    told = explained(FOUND, "BTCUSDT", [incident("actor_down", "router", started_ms, ended_ms)], NOW)
    assert (told.cause == "ours") == explains


def test_without_incidents_the_cause_stays_unknown() -> None:
    assert explained(FOUND, "BTCUSDT", [], NOW) == FOUND

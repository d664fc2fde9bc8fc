"""Incidents that follow what is true now, on a real catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.incidents import Trouble, settle
from data_manager.storage.protocols import Incident
from tests.storage.examples import T0, FixedClock

FULL = Trouble("store_quota", "market store", "It is too large.", "Do something.")
DAMAGED = Trouble("store_finding", "market store", "BTCUSDT.sqlite3 is damaged.")
TORN = Trouble("store_finding", "market store", "ETHUSDT.sqlite3 is torn.")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    with closing(SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=FixedClock())) as catalog:
        yield catalog


def open_causes(catalog: SqlCatalog) -> list[str]:
    return sorted(incident.cause for incident in catalog.incidents(open_only=True))


def test_a_trouble_opens_an_incident_that_says_what_it_is(catalog: SqlCatalog) -> None:
    settle(catalog, ("store_quota",), [FULL], T0)
    (incident,) = catalog.incidents()
    assert incident.incident_id.startswith(FULL.key)
    expected = Incident(
        incident.incident_id, "store_quota", "market store", "It is too large.", T0, None, "Do something."
    )
    assert incident == expected


def test_what_lasts_stays_one_incident(catalog: SqlCatalog) -> None:
    for minute in range(3):
        settle(catalog, ("store_quota",), [FULL._replace(detail=f"{minute}")], T0 + minute)
    (incident,) = catalog.incidents()
    assert (incident.started_ms, incident.ended_ms) == (T0, None)


def test_what_is_over_ends_and_may_begin_again(catalog: SqlCatalog) -> None:
    settle(catalog, ("store_quota",), [FULL], T0)
    settle(catalog, ("store_quota",), [], T0 + 5)
    settle(catalog, ("store_quota",), [FULL], T0 + 9)
    spans = [(incident.started_ms, incident.ended_ms) for incident in catalog.incidents()]
    assert spans == [(T0 + 9, None), (T0, T0 + 5)]


def test_one_of_several_ends_by_itself(catalog: SqlCatalog) -> None:
    settle(catalog, ("store_finding",), [DAMAGED, TORN], T0)
    settle(catalog, ("store_finding",), [TORN], T0 + 1)
    assert open_causes(catalog) == [TORN.cause]


def test_a_cause_too_long_for_its_column_is_still_the_same_trouble(catalog: SqlCatalog) -> None:
    long = DAMAGED._replace(cause="x" * 3000)
    settle(catalog, ("store_finding",), [long], T0)
    settle(catalog, ("store_finding",), [long], T0 + 1)
    assert len(catalog.incidents()) == 1


def test_what_two_replicas_opened_ends_together(catalog: SqlCatalog) -> None:
    for began in (T0, T0 + 1):
        catalog.save_incident(Incident(f"{FULL.key}-{began}", FULL.kind, FULL.subject, FULL.cause, began))
    settle(catalog, ("store_quota",), [], T0 + 5)
    assert open_causes(catalog) == []


def test_incidents_of_other_kinds_are_left_alone(catalog: SqlCatalog) -> None:
    catalog.save_incident(Incident("a1", "actor_down", "router", "signal 9", T0))
    settle(catalog, ("store_quota", "disk_low"), [], T0 + 5)
    assert open_causes(catalog) == ["signal 9"]

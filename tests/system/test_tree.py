"""Which actors there are, and which of them run in one of several replicas only."""

from __future__ import annotations

import pytest

from data_manager.system.settings import Settings
from data_manager.system.tree import ANALYTICS, FLEET, HTTP, ingest_spec, leasable, specs_of

SHARED = {"mongodb_url": "mongodb://db/market", "mysql_uri": "mysql://db/catalog"}


@pytest.mark.parametrize(
    ("given", "replicated"),
    [
        ({}, False),
        ({"mongodb_url": "mongodb://db/market"}, False),
        ({"mysql_host": "db"}, False),
        (SHARED, True),
        ({"mongodb_host": "db", "mysql_host": "db"}, True),
        ({**SHARED, "exchange_enabled": True}, False),
    ],
)
def test_there_may_be_several_replicas_where_both_stores_are_on_servers(
    given: dict[str, object], replicated: bool
) -> None:
    settings = Settings(**given)  # type: ignore[arg-type]
    specs = specs_of(settings, ["BTCUSDT"])
    assert settings.is_replicated == replicated
    assert any(spec.name == FLEET for spec in specs) == replicated
    assert any(spec.leased for spec in specs) == replicated
    assert ingest_spec(settings).leased == replicated


def test_what_works_for_all_is_leased_and_what_answers_is_in_each_replica() -> None:
    specs = specs_of(Settings(**SHARED, feed_enabled=True), ["BTCUSDT"])  # type: ignore[arg-type]
    assert {spec.name for spec in specs if not spec.leased} == {HTTP, FLEET, ANALYTICS}
    assert {spec.name for spec in specs if spec.leased} == {"ingest/BTCUSDT", "router", "auditor", "backfill", "feed"}


def test_fleet_stops_after_all_that_it_holds_leases_of() -> None:
    specs = specs_of(Settings(**SHARED, feed_enabled=True), ["BTCUSDT"])  # type: ignore[arg-type]
    (fleet,) = (spec for spec in specs if spec.name == FLEET)
    assert fleet.essential
    assert all(spec.stage > fleet.stage for spec in specs if spec.leased)


def test_the_leases_beside_the_symbols_are_of_what_is_switched_on() -> None:
    assert leasable(Settings(**SHARED)) == ("router", "auditor", "backfill", "analytics")  # type: ignore[arg-type]
    quiet = Settings(**SHARED, enable_backfiller=False, enable_analytics=False, feed_enabled=True)  # type: ignore[arg-type]
    assert leasable(quiet) == ("router", "auditor", "feed")

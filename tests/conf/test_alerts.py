"""Every alert fires when what it tells of happens, alone, and not before: evaluated by Prometheus' own rule engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conf.healthy import GIB, MINUTES, SYMBOLS, dataset, growing, healthy, steady, stored, then
from tests.conf.promtool import ALERTS, check, filled_in, promtool, rules

RAW = 'data_manager_messages_received_total{event_type="raw"}'


def up(actor: str) -> str:
    return f'data_manager_actor_up{{actor="{actor}"}}'


def parked(actor: str) -> str:
    return f'data_manager_actor_parked{{actor="{actor}"}}'


def stops(each_minute: float = 600, after: int = 20) -> str:
    """A counter that grows for so many minutes, and then stands."""
    return then(growing(each_minute, after), steady(each_minute * after))


def everywhere(name: str, data_type: str, value: float, timeframe: str = "") -> dict[str, str]:
    return {dataset(name, symbol, data_type, timeframe): steady(value) for symbol in SYMBOLS}


class Case(NamedTuple):
    """What is changed of a healthy service so that one alert fires `at` a time, and so that it does not quite.

    `since` is the minute from which what fires is so, and has to last.
    """

    at: str
    firing: Mapping[str, str]
    silent: Mapping[str, str]
    since: int = 0


ROUTES = 'endpoint="/data/trades",method="GET"'
LATE = 'data_manager_publish_to_stored_seconds_bucket{le="5.041599"}'
QUICK, SLOW, SLOWER = (
    f'data_manager_request_duration_seconds_bucket{{endpoint="/data/candles",le="{le}",method="GET"}}'
    for le in ("0.05", "1.0", "2.5")
)
FAILED = f'data_manager_requests_total{{{ROUTES},status_code="500"}}'
DISCARDED = 'data_manager_suspected_gaps_total{reason="feed_discarded",symbol="_all"}'
CHAIN = 'data_manager_suspected_gaps_total{reason="depth_chain",symbol="BTCUSDT"}'
SHED = 'data_manager_shed_rows_total{dataset="depth"}'
LAG = 'data_manager_ingest_lag_batches{symbol="BTCUSDT"}'
EXPORTING = 'data_manager_telemetry_exporting{actor="router",signal="traces"}'
DROPPED = 'data_manager_feed_dropped_total{reason="nats_away"}'
RESTARTS = 'data_manager_actor_restarts_total{actor="ingest/BTCUSDT"}'
CONFLICTS = 'data_manager_backfill_conflicts_total{symbol="BTCUSDT"}'
LEASE, TAKEN = (f'data_manager_lease_held{{instance="{one}",lease="router"}}' for one in ("a", "b"))
HELD = 'data_manager_lease_held{instance="a",lease="auditor"}'
RETIRED = 'data_manager_lease_held{instance="a",lease="ingest/XRPUSDT"}'
CIRCUIT = 'data_manager_store_circuit{store="market_store"}'

CASES = {
    "DataManagerNatsAway": Case(
        "10m",
        {"data_manager_nats_connection_status": steady(0)},
        {"data_manager_nats_connection_status": then("1x9", "0", "1x20")},
    ),
    "DataManagerFeedSilent": Case(
        "30m",
        {RAW: stops(6000), **{stored(symbol): stops() for symbol in SYMBOLS}},
        {RAW: then(growing(6000, 27), "162000", growing(6000, 10, start=162000))},  # a minute's pause,
        since=22,
    ),
    "DataManagerSymbolsQuiet": Case(
        "68m", {stored("BTCUSDT"): stops(after=60)}, {stored("BTCUSDT"): stops(after=64)}, since=62
    ),
    "DataManagerFeedNearlyFull": Case(
        "30m",
        {"data_manager_feed_headroom_seconds": steady(1800)},
        {"data_manager_feed_headroom_seconds": steady(7200)},
    ),
    "DataManagerRouterLags": Case(
        "40m",
        {"data_manager_router_lag_messages": growing(1000, start=15_000)},
        {"data_manager_router_lag_messages": growing(-1000, start=90_000)},
        since=6,
    ),
    "DataManagerIngestLags": Case("40m", {LAG: growing(50, start=900)}, {LAG: growing(-50, start=4000)}, since=3),
    "DataManagerStoredLate": Case("40m", {LATE: growing(5900)}, {LATE: growing(5950)}),
    "DataManagerFeedDrops": Case("30m", {DROPPED: growing(5)}, {DROPPED: steady(500)}),
    "DataManagerGapsSuspected": Case("30m", {DISCARDED: then("0x25", "1x20")}, {CHAIN: growing(1)}),
    "DataManagerGapsLast": Case(
        "130m", everywhere("gaps_open", "trades", 1), {dataset("gaps_open", "BTCUSDT", "trades"): then("0x20", "1x200")}
    ),
    "DataManagerDataLost": Case(
        "30m",
        everywhere("audit_completeness_ratio", "depth", 0.98),
        everywhere("audit_completeness_ratio", "depth", 0.995),
    ),
    "DataManagerAuditStalls": Case(
        "60m",
        {"data_manager_audit_rounds_total": stops(0.2, 10)},
        {"data_manager_audit_rounds_total": growing(0.04)},
        since=40,
    ),
    "DataManagerQuarantineGrows": Case(
        "40m",
        {stored("_all", "quarantined"): growing(10)},
        {stored("_all", "quarantined"): growing(1)},
    ),
    "DataManagerConflicts": Case("30m", {CONFLICTS: then("0x20", "3x20")}, {CONFLICTS: steady(12)}),
    "DataManagerWeightNearLimit": Case(
        "70m", {"data_manager_backfill_weight_used": steady(1150)}, {"data_manager_backfill_weight_used": steady(1000)}
    ),
    "DataManagerExchangeForbids": Case(
        "10m",
        {"data_manager_exchange_closed_seconds": growing(-60, start=2000), up("backfill"): then("1", steady(0))},
        {"data_manager_exchange_closed_seconds": then("0x7", "60 30", "0x20")},
    ),
    "DataManagerClockOff": Case(
        "20m",
        {"data_manager_exchange_clock_skew_ms": steady(-1500)},
        {"data_manager_exchange_clock_skew_ms": steady(900)},
    ),
    "DataManagerActorsParked": Case(
        "68m",
        {
            parked("ingest/BTCUSDT"): then("0x60", "1 1 0", "1x20"),  # probed meanwhile
            up("ingest/BTCUSDT"): then("1x60", "0x30"),
            stored("BTCUSDT"): stops(after=60),
        },
        {parked("ingest/BTCUSDT"): then("0x5", "1", "0x20")},
    ),
    "DataManagerActorsDown": Case(
        "30m", {up("analytics"): then("1x5", steady(0))}, {up("analytics"): then("1x24", steady(0))}, since=6
    ),
    "DataManagerActorsRestart": Case(
        "40m", {RESTARTS: then("0x20", "1 2 3 4 5", "6x20")}, {RESTARTS: then("0x20", "1 2", "3x20")}, since=24
    ),
    "DataManagerStoreAway": Case(
        "20m",
        {
            'data_manager_store_up{store="market_store"}': then("1x10", steady(0)),
            **{up(f"ingest/{symbol}"): then("1x10", steady(0)) for symbol in SYMBOLS},
            **{stored(symbol): stops(after=10) for symbol in SYMBOLS},
            FAILED: growing(60),
        },
        {'data_manager_store_up{store="market_store"}': then("1x19", "0", steady(1))},
        since=11,
    ),
    "DataManagerLeasesFree": Case(
        "10m", {LEASE: steady(0), HELD: steady(1)}, {LEASE: steady(0), TAKEN: steady(1), RETIRED: steady(0)}
    ),
    "DataManagerStoreCircuitOpen": Case("20m", {CIRCUIT: steady(2)}, {CIRCUIT: steady(1)}),
    "DataManagerStoreSheds": Case("20m", {SHED: growing(100)}, {SHED: steady(5000)}),
    "DataManagerDiskLow": Case(
        "80m",
        {"data_manager_store_free_bytes": growing(-GIB / 60, start=19 * GIB)},  # full in 19 hours
        {"data_manager_store_free_bytes": growing(-GIB / 600, start=19 * GIB)},  # in 190
    ),
    "DataManagerHttpErrors": Case("30m", {FAILED: growing(6)}, {FAILED: growing(2)}),
    "DataManagerHttpSlow": Case(
        "30m",
        {QUICK: growing(50), SLOW: growing(58), SLOWER: growing(60)},
        {QUICK: growing(50), SLOW: growing(59.8), SLOWER: growing(60)},
    ),
    "DataManagerAnalyticsStalls": Case(
        "90m",
        {"data_manager_analytics_cycles_total": stops(0.07, 10)},
        {"data_manager_analytics_cycles_total": growing(0.02)},
        since=70,
    ),
    "DataManagerAnalyticsEmpty": Case(
        "70m",
        {'data_manager_analytics_documents{state="complete"}': steady(0)},
        {'data_manager_analytics_documents{state="complete"}': steady(4)},
    ),
    "DataManagerTelemetryNotExporting": Case("20m", {EXPORTING: steady(0)}, {EXPORTING: then("1x10", steady(0))}),
}

ELSEWHERE = {  # in tests of their own
    "DataManagerAbsent",
    "DataManagerDiskFull",
    "DataManagerFreshnessBurnsFast",
    "DataManagerFreshnessBurns",
    "DataManagerCompletenessBurnsFast",
    "DataManagerCompletenessBurns",
}


def test_every_alert_is_made_to_fire_and_kept_silent() -> None:
    assert CASES.keys() | ELSEWHERE == rules("alert").keys()


def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_of_a_healthy_service_nothing_is_told(tmp_path: Path) -> None:
    check(tmp_path, healthy(), {"5m": [], "30m": [], "130m": []})


@pytest.mark.parametrize("name", CASES)
def test_it_fires_once_it_lasts_and_nothing_else_does(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    firing = {case.at: [name]}
    if lasting := rules("alert")[name].get("for"):
        firing |= {f"{case.since + minutes(lasting) - 1}m": []}
    check(tmp_path, healthy() | dict(case.firing), firing)


@pytest.mark.parametrize("name", CASES)
def test_short_of_that_it_is_silent(tmp_path: Path, name: str) -> None:
    check(tmp_path, healthy() | dict(CASES[name].silent), {CASES[name].at: []})


# -- what needs more than a change of some series -------------------------------------------------------------


def test_a_service_that_tells_nothing_is_a_page_and_nothing_else(tmp_path: Path) -> None:
    inputs = {series: f"{values} stale" for series, values in at_work(20).items()}
    check(tmp_path, inputs, {"15m": [], "25m": ["DataManagerAbsent"]})


def test_a_disk_that_is_nearly_full_is_a_page_beside_the_ticket(tmp_path: Path) -> None:
    free = {"data_manager_store_free_bytes": then(steady(100 * GIB, 40), steady(GIB / 10, 40))}
    firing = {"30m": [], "42m": ["DataManagerDiskFull"], "60m": ["DataManagerDiskFull", "DataManagerDiskLow"]}
    check(tmp_path, healthy() | free, firing)


def test_a_broker_that_is_away_is_one_alert_whatever_waits_for_it(tmp_path: Path) -> None:
    waiting = ("router", *(f"ingest/{symbol}" for symbol in SYMBOLS))
    inputs = healthy() | {
        "data_manager_nats_connection_status": then("1x20", steady(0)),
        RAW: stops(6000),
        **{up(actor): then("1x20", steady(0)) for actor in waiting},
        **{stored(symbol): stops() for symbol in SYMBOLS},
    }
    check(tmp_path, inputs, {"25m": ["DataManagerNatsAway"], "35m": ["DataManagerNatsAway"]})


def test_while_a_store_is_away_nothing_is_told_that_follows_from_it(tmp_path: Path) -> None:
    inputs = healthy() | {
        'data_manager_store_up{store="market_store"}': then("1x20", steady(0)),
        RAW: stops(6000),
        **{stored(symbol): stops() for symbol in SYMBOLS},
        up("analytics"): then("1x20", steady(0)),
        "data_manager_router_lag_messages": growing(1000),
        LAG: growing(50),
        LATE: growing(5000),
        QUICK: steady(0),
        SLOWER: growing(50),
        FAILED: then("0x20", growing(600)),
        LEASE: then("1x20", steady(0)),
        CIRCUIT: then("0x20", steady(2)),
        "data_manager_audit_rounds_total": stops(0.2),
        "data_manager_analytics_cycles_total": stops(0.07),
    }
    firing = {"25m": ["DataManagerStoreAway"], "110m": ["DataManagerStoreAway", "DataManagerFreshnessBurns"]}
    check(tmp_path, inputs, firing)


def test_a_hundred_symbols_that_are_silent_with_the_feed_are_one_alert(tmp_path: Path) -> None:
    symbols = [f"S{number}USDT" for number in range(100)]
    inputs = healthy() | {RAW: stops(6000)}
    inputs |= {stored(symbol): stops() for symbol in (*SYMBOLS, *symbols)}
    inputs |= {up(f"ingest/{symbol}"): steady(1) for symbol in symbols}
    check(tmp_path, inputs, {"19m": [], "30m": ["DataManagerFeedSilent"]})


def test_a_feed_that_was_silent_from_the_start_is_told_too(tmp_path: Path) -> None:
    never = {series: values for series, values in healthy().items() if "events_total" not in series and series != RAW}
    check(tmp_path, never, {"2m": [], "10m": ["DataManagerFeedSilent"]})


def test_several_quiet_symbols_are_one_alert_with_their_names(tmp_path: Path) -> None:
    inputs = healthy() | {stored(symbol): stops(after=60) for symbol in SYMBOLS[:2]}
    alert = filled_in(rules("alert")["DataManagerSymbolsQuiet"], "2", "BTCUSDT ETHUSDT ")
    told = [{"eval_time": "68m", "alertname": "DataManagerSymbolsQuiet", "exp_alerts": [alert]}]
    check(tmp_path, inputs, {}, told=told)


def test_one_symbol_of_three_that_stays_quiet_spends_the_budget(tmp_path: Path) -> None:
    check(
        tmp_path,
        healthy() | {stored("BTCUSDT"): stops(after=60)},
        {"90m": ["DataManagerFreshnessBurnsFast", "DataManagerSymbolsQuiet"]},
    )


def test_a_replica_that_does_not_hold_a_symbol_says_nothing_of_it(tmp_path: Path) -> None:
    elsewhere = {
        up("ingest/BTCUSDT").replace("}", ',instance="other"}'): steady(0),
        stored("BTCUSDT").replace("}", ',instance="other"}'): steady(5000),  # from before it moved
    }
    check(tmp_path, healthy() | elsewhere, {"30m": []})


def minutes(duration: str) -> int:
    """A rule's `for`, in minutes."""
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


def at_work(length: int) -> dict[str, str]:
    """A healthy service for so long."""
    return {series: values.removesuffix(f"x{MINUTES}") + f"x{length}" for series, values in healthy().items()}

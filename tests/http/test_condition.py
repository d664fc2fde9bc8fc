from __future__ import annotations

import pytest

from data_manager.http.condition import components, delivery, is_ready, set_aside, shortcomings
from data_manager.system.fleet_messages import FleetNews, Replica
from data_manager.system.messages import ActorView
from tests.http.serving import actor, tree, working_tree

CONTRACT_KEYS = ["nats", "mysql", "mongodb", "auditor", "analytics"]
OWN_KEYS = ["market_store", "catalog", "router", "ingest", "backfill"]


def all_components(*actors: ActorView, **stores: bool) -> dict[str, str]:
    return components(tree(*actors), market_ok=stores.get("market", True), catalog_ok=stores.get("catalog", True))


def test_ready_once_every_part_has_been_running() -> None:
    assert is_ready(working_tree())


def test_not_ready_before_the_first_tree_or_while_draining() -> None:
    assert not is_ready(None)
    assert not is_ready(working_tree(draining=True))


@pytest.mark.parametrize("state", ["starting", "backoff", "waiting"])
@pytest.mark.parametrize("name", ["http", "router", "ingest/BTCUSDT"])
def test_not_ready_while_a_part_has_never_been_running(name: str, state: str) -> None:
    others = [view for view in working_tree().actors if view.name != name]
    assert not is_ready(tree(*others, actor(name, state)))
    assert is_ready(tree(*others, actor(name, state, ever_running=True)))


@pytest.mark.parametrize("state", ["parked", "paused"])
def test_a_symbol_that_is_set_aside_does_not_hold_readiness_up(state: str) -> None:
    assert is_ready(tree(actor("http"), actor("router"), actor("ingest/BTCUSDT", state)))


def test_a_part_that_is_not_essential_does_not_hold_readiness_up() -> None:
    assert is_ready(tree(actor("http"), actor("exchange", "starting", essential=False)))


def test_a_part_that_waits_for_the_catalog_alone_does_not_hold_readiness_up() -> None:
    others = working_tree().actors
    assert is_ready(tree(*others, actor("auditor", "waiting", "catalog;audit=off")))
    assert not is_ready(tree(*others, actor("auditor", "waiting", "market_store;catalog")))
    assert not is_ready(tree(*others, actor("auditor", "waiting", "start")))


def test_an_auditor_that_only_keeps_house_is_not_configured() -> None:
    assert all_components(actor("auditor", detail="audit=off"))["auditor"] == "not_configured"
    assert all_components(actor("auditor", "waiting", "catalog"))["auditor"] == "healthy"


def test_every_component_has_one_of_three_values() -> None:
    for known in (None, tree(), working_tree()):
        found = components(known, market_ok=True, catalog_ok=False)
        assert list(found) == CONTRACT_KEYS + OWN_KEYS
        assert set(found.values()) <= {"healthy", "unhealthy", "not_configured"}


def test_parts_that_do_not_exist_are_not_configured() -> None:
    found = components(working_tree(), market_ok=True, catalog_ok=True)
    absent = [name for name, value in found.items() if value == "not_configured"]
    assert absent == ["mysql", "mongodb", "auditor", "analytics", "backfill"]
    assert all(value == "healthy" for name, value in found.items() if name not in absent)
    assert all_components(actor("auditor"))["auditor"] == "healthy"
    assert all_components(actor("backfill", "backoff"))["backfill"] == "unhealthy"


def test_nothing_is_healthy_before_the_first_tree() -> None:
    found = components(None, market_ok=False, catalog_ok=False)
    assert "healthy" not in found.values()


def test_stores_are_what_their_checks_say() -> None:
    assert all_components(market=False)["market_store"] == "unhealthy"
    assert all_components(catalog=False)["catalog"] == "unhealthy"


def test_a_database_server_is_as_the_store_that_lives_on_it() -> None:
    found = components(working_tree(), market_ok=False, catalog_ok=True, mongo=True, mysql=True)
    assert (found["mongodb"], found["mysql"]) == ("unhealthy", "healthy")
    found = components(working_tree(), market_ok=True, catalog_ok=False, mysql=True)
    assert (found["mongodb"], found["mysql"]) == ("not_configured", "unhealthy")


@pytest.mark.parametrize(
    ("state", "detail", "nats", "router"),
    [
        ("running", "delivery=jetstream", "healthy", "healthy"),
        ("waiting", "nats", "unhealthy", "healthy"),
        ("waiting", "nats;delivery=core", "unhealthy", "healthy"),
        ("waiting", "market_store; delivery=core", "healthy", "healthy"),
        ("backoff", "", "unhealthy", "unhealthy"),
        ("parked", "", "unhealthy", "unhealthy"),
    ],
)
def test_nats_is_as_the_router_finds_it(state: str, detail: str, nats: str, router: str) -> None:
    found = all_components(actor("router", state, detail))
    assert (found["nats"], found["router"]) == (nats, router)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["running", "running"], "healthy"),
        (["running", "waiting"], "healthy"),
        (["running", "parked"], "healthy"),
        (["paused", "retired"], "healthy"),
        (["running", "backoff"], "unhealthy"),
        (["running", "starting"], "unhealthy"),
        ([], "not_configured"),
    ],
)
def test_ingest_is_all_symbols_together(states: list[str], expected: str) -> None:
    views = [actor(f"ingest/S{number}USDT", state) for number, state in enumerate(states)]
    assert all_components(*views)["ingest"] == expected


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ("delivery=core", "core"),
        ("nats;delivery=jetstream", "jetstream"),
        ("", None),
        ("delivery=pigeon", None),
    ],
)
def test_delivery_is_read_from_the_routers_detail(detail: str, expected: str | None) -> None:
    assert delivery(tree(actor("http", detail="delivery=core"), actor("router", detail=detail))) == expected


def test_delivery_is_unknown_without_a_router() -> None:
    assert delivery(None) is None
    assert delivery(tree(actor("http"))) is None


def test_only_parked_and_paused_symbols_are_set_aside() -> None:
    states = ("running", "waiting", "parked", "paused", "backoff")
    found = set_aside(tree(*(actor(f"ingest/{state.upper()}", state) for state in states)))
    assert sorted(found) == ["PARKED", "PAUSED"]
    assert set_aside(None) == {}


def test_a_working_tree_has_no_shortcomings() -> None:
    assert shortcomings(working_tree(), None, None) == []


def test_shortcomings_are_sentences() -> None:
    shown = shortcomings(
        tree(
            actor("router", "waiting", "nats;delivery=jetstream"),
            actor("ingest/AUSDT", "parked", last_cause="signal 9"),
            actor("ingest/BUSDT", "paused"),
            actor("ingest/CUSDT", "backoff"),
            actor("ingest/DUSDT", "waiting", "market_store;delivery=core"),
            actor("ingest/EUSDT", "retired"),
            draining=True,
        ),
        "gone",
        "gone too",
    )
    assert shown == [
        "The market store is not available.",
        "The catalog is not available.",
        "The service is shutting down.",
        "The router is not connected to NATS.",
        "ingest/AUSDT is parked after signal 9.",
        "ingest/BUSDT is paused.",
        "ingest/CUSDT is not at work (backoff).",
        "ingest/DUSDT waits for market_store.",
    ]
    assert shortcomings(None, None, None) == ["The supervisor has not reported yet."]


# several replicas

THERE = "pod-b/15/2"


def replicas(*held: str, router: str = "") -> FleetNews:
    actors = (("router", "running", router, 17, 0),) if router else ()
    return FleetNews("pod-a/15/1", (Replica(THERE, "pod-b", 15, "1", 0, held, actors),), dict.fromkeys(held, THERE))


def test_what_another_replica_runs_is_healthy_while_that_holds_its_lease() -> None:
    known = tree(actor("http"), *(actor(name, "elsewhere") for name in ("router", "auditor", "backfill")))

    def found(fleet: FleetNews | None) -> list[str]:
        every = components(known, market_ok=True, catalog_ok=True, fleet=fleet)
        return [name for name in ("router", "auditor", "backfill") if every[name] == "healthy"]

    assert found(replicas("router", "auditor", "backfill")) == ["router", "auditor", "backfill"]
    assert found(replicas("router")) == ["router"]
    assert found(None) == []


def test_what_another_replica_holds_does_not_hold_readiness_up() -> None:
    elsewhere = [actor(name, "elsewhere") for name in ("router", "ingest/BTCUSDT")]
    known, held = tree(actor("http"), actor("fleet"), *elsewhere), replicas("router", "ingest/BTCUSDT")
    assert is_ready(known, held)
    assert not is_ready(tree(actor("http"), actor("fleet", "waiting", "leases"), *elsewhere), held)


def test_what_no_replica_holds_yet_holds_readiness_up_and_so_does_what_is_about_to_begin_here() -> None:
    known = tree(actor("http"), actor("fleet"), actor("router", "elsewhere"), actor("ingest/BTCUSDT", "elsewhere"))
    assert not is_ready(known)
    assert not is_ready(known, replicas("ingest/BTCUSDT"))
    here = replicas("ingest/BTCUSDT")
    assert not is_ready(known, FleetNews(here.me, here.replicas, {**here.holders, "router": here.me}))


@pytest.mark.parametrize(
    ("state", "detail", "nats"),
    [("running", "", "healthy"), ("waiting", "nats", "unhealthy"), ("parked", "", "healthy")],
)
def test_a_replica_without_the_router_is_connected_as_its_symbols_are(state: str, detail: str, nats: str) -> None:
    known = tree(actor("router", "elsewhere"), actor("ingest/BTCUSDT", state, detail))
    assert components(known, market_ok=True, catalog_ok=True)["nats"] == nats


def test_the_delivery_is_that_of_the_router_wherever_it_runs() -> None:
    known = tree(actor("router", "elsewhere"))
    assert delivery(known, replicas("router", router="delivery=core")) == "core"
    assert delivery(known, replicas()) is None


def test_what_no_replica_runs_is_told() -> None:
    known = tree(actor("http"), actor("router", "elsewhere"), actor("auditor", "elsewhere"))
    assert shortcomings(known, None, None, replicas("router")) == ["auditor runs in no replica."]
    assert shortcomings(known, None, None, replicas("router", "auditor")) == []

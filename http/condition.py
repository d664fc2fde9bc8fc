"""What a snapshot of the tree says about the service's condition. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from data_manager.system.fleet_messages import FleetNews
from data_manager.system.messages import ActorView, Tree

HEALTHY, UNHEALTHY, NOT_CONFIGURED = "healthy", "unhealthy", "not_configured"

ROUTER, AUDITOR = "router", "auditor"
SINGLETONS = (AUDITOR, "analytics", ROUTER, "backfill")
INGEST_PREFIX = "ingest/"
AT_WORK = ("running", "waiting")
SET_ASIDE = ("parked", "paused")
ELSEWHERE = "elsewhere"
RETIRED = "retired"
NOT_HERE = (RETIRED, ELSEWHERE)
CATALOG = "catalog"  # what an actor waits for that has everything else
SWITCHED_OFF = "audit=off"  # in the auditor's detail: it does the housekeeping only


def is_ingest(view: ActorView) -> bool:
    """Whether it is a symbol's ingest actor."""
    return view.name.startswith(INGEST_PREFIX)


def is_ready(tree: Tree | None, fleet: FleetNews | None = None) -> bool:
    """Whether every part has been ready once and the tree is not on its way down.

    A symbol that is parked or paused holds nothing up, nor does a part that failed after it had been ready, one whose
    lease another replica holds, or one that waits for the catalog alone: what is stored can still be served.
    """
    if tree is None or tree.draining:
        return False
    return all(
        view.ever_running
        or view.state == RETIRED
        or (view.state == ELSEWHERE and is_held_elsewhere(view.name, fleet))
        or (is_ingest(view) and view.state in SET_ASIDE)
        or awaited(view) == [CATALOG]
        for view in tree.actors
        if view.essential or is_ingest(view)
    )


def is_held_elsewhere(name: str, fleet: FleetNews | None) -> bool:
    """Whether another replica has the lease: where nobody has it yet, nothing that is published would be taken."""
    return fleet is not None and fleet.holders.get(name, fleet.me) != fleet.me


def components(
    tree: Tree | None,
    *,
    market_ok: bool,
    catalog_ok: bool,
    mongo: bool = False,
    mysql: bool = False,
    fleet: FleetNews | None = None,
) -> dict[str, str]:
    """The readiness body's components; before the first tree nothing is known to be healthy.

    `mongo` and `mysql` tell whether the market store and the catalog are these. By `fleet` a part that another replica
    runs is healthy as long as that holds its lease.
    """
    actors = {view.name: view for view in tree.actors} if tree else {}
    held = fleet.holders.keys() if fleet else ()
    singletons = {name: singleton(actors.get(name), held, known=tree is not None) for name in SINGLETONS}
    return {
        "nats": health(nats_ok(actors)),
        "mysql": health(catalog_ok) if mysql else NOT_CONFIGURED,
        "mongodb": health(market_ok) if mongo else NOT_CONFIGURED,
        AUDITOR: singletons[AUDITOR],
        "analytics": singletons["analytics"],
        "market_store": health(market_ok),
        "catalog": health(catalog_ok),
        ROUTER: singletons[ROUTER],
        "ingest": ingest([view for view in actors.values() if is_ingest(view)], known=tree is not None),
        "backfill": singletons["backfill"],
    }


def health(good: bool) -> str:
    """The word for it."""
    return HEALTHY if good else UNHEALTHY


def singleton(view: ActorView | None, held: Collection[str], *, known: bool) -> str:
    """One actor; what it may be waiting for has a component of its own."""
    if view is None:
        return NOT_CONFIGURED if known else UNHEALTHY
    if SWITCHED_OFF in detail_parts(view):
        return NOT_CONFIGURED
    return health(view.state in AT_WORK or (view.state == ELSEWHERE and view.name in held))


def ingest(views: list[ActorView], *, known: bool) -> str:
    """All of them; a parked or paused symbol shows in `/health/summary`."""
    if not views:
        return NOT_CONFIGURED if known else UNHEALTHY
    return health(all(view.state in (*AT_WORK, *SET_ASIDE, *NOT_HERE) for view in views))


def at_work(tree: Tree | None, name: str) -> bool:
    """Whether the actor of that name is there and does its work, as far as this replica knows."""
    working = (*AT_WORK, ELSEWHERE)
    return tree is not None and any(view.name == name and view.state in working for view in tree.actors)


def detail_parts(view: ActorView) -> list[str]:
    """What an actor's detail lists."""
    return parts_of(view.detail)


def parts_of(detail: str) -> list[str]:
    """An actor's detail is a list, e.g. `nats;delivery=core`."""
    return [part.strip() for part in detail.split(";")]


def awaited(view: ActorView) -> list[str]:
    """What a waiting actor waits for."""
    return [part for part in detail_parts(view) if "=" not in part] if view.state == "waiting" else []


def nats_ok(actors: Mapping[str, ActorView]) -> bool:
    """Whether the router, through which every event comes, is connected; where another replica runs it, ingest."""
    router = actors.get(ROUTER)
    if router is not None and router.state == ELSEWHERE:
        return not any("nats" in awaited(view) for view in actors.values() if is_ingest(view))
    if router is None or router.state not in AT_WORK:
        return False
    return router.state == "running" or "nats" not in detail_parts(router)


def delivery(tree: Tree | None, fleet: FleetNews | None = None) -> str | None:
    """`jetstream` or `core`, as the router says, whoever runs it; None while it has not."""
    here = [(view.name, view.detail) for view in tree.actors] if tree is not None else []
    there = [(name, detail) for each in (fleet.replicas if fleet else ()) for name, _, detail, _, _ in each.actors]
    for name, detail in (*here, *there):
        for part in parts_of(detail) if name == ROUTER else ():
            if part in ("delivery=jetstream", "delivery=core"):
                return part.removeprefix("delivery=")
    return None


def set_aside(tree: Tree | None) -> dict[str, ActorView]:
    """The ingest actors that do not work on their symbol until somebody resumes them, by symbol."""
    actors: Iterable[ActorView] = tree.actors if tree else ()
    return {
        view.name.removeprefix(INGEST_PREFIX): view for view in actors if is_ingest(view) and view.state in SET_ASIDE
    }


def shortcomings(
    tree: Tree | None, market_problem: str | None, catalog_problem: str | None, fleet: FleetNews | None = None
) -> list[str]:
    """What is not as it should be, in sentences; empty when all is well."""
    found = []
    if market_problem is not None:
        found.append("The market store is not available.")
    if catalog_problem is not None:
        found.append("The catalog is not available.")
    if tree is None:
        return [*found, "The supervisor has not reported yet."]
    if tree.draining:
        found.append("The service is shutting down.")
    connected = nats_ok({view.name: view for view in tree.actors})
    for view in tree.actors:
        if view.name == ROUTER and not connected:
            found.append("The router is not connected to NATS.")
        if view.state in SET_ASIDE:
            cause = f" after {view.last_cause}" if view.state == "parked" and view.last_cause else ""
            found.append(f"{view.name} is {view.state}{cause}.")
        elif view.state not in (*AT_WORK, *NOT_HERE):
            found.append(f"{view.name} is not at work ({view.state}).")
        elif view.state == "waiting" and not (view.name == ROUTER and not connected):
            found.append(f"{view.name} waits for {', '.join(awaited(view))}.")
        elif view.state == ELSEWHERE and fleet is not None and view.name not in fleet.holders:
            found.append(f"{view.name} runs in no replica.")
    return found

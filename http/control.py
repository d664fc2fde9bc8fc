"""`/system/*`: the tree as it is, what went wrong, and the commands an operator may give."""

from __future__ import annotations

import msgspec
from aiohttp import web

from data_manager.http.answers import answer, stamp, stamp_or_none
from data_manager.http.errors import Refusal, store_errors, unavailable
from data_manager.http.params import IncidentParams, parse
from data_manager.http.ports import Services
from data_manager.http.tokens import Guard
from data_manager.storage.protocols import Incident
from data_manager.system.clock import now_ms
from data_manager.system.errors import FeedError
from data_manager.system.messages import ActorView, IncidentNews, Tree


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes; an actor's name may hold a slash (`ingest/BTCUSDT`), plain or percent-encoded."""
    control = ControlRoutes(services)
    return [
        web.get("/system/tree", control.tree),
        web.get("/system/incidents", control.incidents),
        web.post("/system/actors/{name:.+}/{action:restart|pause|resume}", control.command),
    ]


class ControlRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._system = services.system
        self._guard = Guard(services.settings)

    async def tree(self, request: web.Request) -> web.Response:
        """Every actor as the supervisor sees it, and the incidents that are open."""
        return answer(request, tree_value(self._tree(), self._system.tree_age_s()))

    async def incidents(self, request: web.Request) -> web.Response:
        """The newest incidents, newest first, from the catalog."""
        asked = parse(IncidentParams, request)
        with store_errors("catalog"):
            found = await self._services.catalog.call(
                lambda catalog: catalog.incidents(limit=asked.limit, open_only=asked.open)
            )
        body = {
            "data": [incident_value(incident) for incident in found],
            "metadata": {
                "records_returned": len(found),
                "last_updated": stamp(now_ms(self._services.clock)),
                "source": "catalog",
            },
            "parameters": {"limit": asked.limit, "open": asked.open},
        }
        return answer(request, body)

    async def command(self, request: web.Request) -> web.Response:
        """Restart, pause or resume one actor; answered once the supervisor has accepted it."""
        self._guard.demand(request)
        name, action = request.match_info["name"], request.match_info["action"]
        if name not in {view.name for view in self._tree().actors}:
            raise Refusal(404, f"There is no actor named {name}; GET /system/tree lists them.")
        try:
            done = await self._system.command(name, action)
        except TimeoutError:
            raise Refusal(504, "The supervisor has not answered; look at /system/tree.") from None
        except FeedError:
            raise unavailable("Too many commands are under way; try again in a few seconds.") from None
        if done.problem:
            raise Refusal(409, done.problem)
        return answer(request, {"actor": name, "action": action, "state": done.state})

    def _tree(self) -> Tree:
        tree = self._system.tree()
        if tree is None:
            raise unavailable("The supervisor has not reported yet; try again in a few seconds.")
        return tree


def tree_value(tree: Tree, age_s: float) -> dict[str, object]:
    """The tree as JSON; its metrics are at `/metrics`."""
    return {
        "taken_at": stamp(tree.taken_ms),
        "started_at": stamp(tree.started_ms),
        "age_s": round(age_s, 3),
        "draining": tree.draining,
        "actors": [actor_value(view) for view in tree.actors],
        "incidents": [incident_value(incident) for incident in tree.incidents],
    }


def actor_value(view: ActorView) -> dict[str, object]:
    """One actor, with its times as text."""
    fields = msgspec.structs.asdict(view)
    fields["last_exit_at"] = stamp_or_none(fields.pop("last_exit_ms"))
    fields["started_at"] = stamp_or_none(fields.pop("started_ms"))
    return fields


def incident_value(incident: Incident | IncidentNews) -> dict[str, object]:
    """One incident; `ended_at` is null while it lasts."""
    return {
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "subject": incident.subject,
        "cause": incident.cause,
        "detail": incident.detail,
        "started_at": stamp(incident.started_ms),
        "ended_at": stamp_or_none(incident.ended_ms),
    }

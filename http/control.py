"""`/system/*`: the tree as it is, what went wrong, and the commands an operator may give."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from data_manager.http.answer_types import ReturnedFrom, Time
from data_manager.http.answers import answer, stamp, stamp_or_none
from data_manager.http.condition import ELSEWHERE
from data_manager.http.errors import Refusal, store_errors, unavailable
from data_manager.http.fleet import FleetValue, fleet_value, holder_of
from data_manager.http.operations import Access, Answer, Operation, routes_of
from data_manager.http.params import IncidentParams, Params, parse, parse_path
from data_manager.http.ports import Services
from data_manager.http.tokens import Guard
from data_manager.storage.protocols import Incident
from data_manager.system.clock import now_ms
from data_manager.system.errors import FeedError
from data_manager.system.fleet_messages import FleetNews
from data_manager.system.messages import ActorView, IncidentNews, Tree


class CommandPath(Params):
    """`/system/actors/{name}/{action}`."""

    name: Annotated[
        str,
        Field(
            description="An actor's name; the slash in it may be plain or percent-encoded.",
            examples=["ingest/BTCUSDT"],
        ),
    ]
    action: Annotated[Literal["restart", "pause", "resume"], Field(description="What to do.", examples=["restart"])]


class IncidentValue(TypedDict):
    """One incident; `ended_at` is null while it lasts."""

    incident_id: str
    kind: str
    subject: str
    cause: str
    detail: str
    started_at: Time
    ended_at: Time | None


class ActorValue(TypedDict):
    """One actor as the supervisor sees it; `detail` is a list with semicolons between its parts.

    `holder` is the replica that holds the lease which says where the one of it works that works for all.
    """

    name: str
    symbol: str | None
    essential: bool
    state: str
    detail: str
    pid: int | None
    generation: int
    restarts: int
    last_cause: str | None
    last_exit_at: Time | None
    started_at: Time | None
    uptime_s: float
    lag: int | None
    ever_running: bool
    holder: str | None


class TreeValue(TypedDict):
    """Every actor in start order, the incidents that are open, and the replicas, where there may be several."""

    taken_at: Time
    started_at: Time
    age_s: float
    draining: bool
    actors: list[ActorValue]
    incidents: list[IncidentValue]
    fleet: FleetValue | None


class IncidentEcho(TypedDict):
    """What was asked for, with its defaults."""

    limit: int
    open: bool


class IncidentList(TypedDict):
    """Incidents."""

    data: list[IncidentValue]
    metadata: ReturnedFrom
    parameters: IncidentEcho


class CommandValue(TypedDict):
    """A command, and the actor's state once it was accepted.

    `holder` is the replica that has taken it up, where there may be several; null while none has.
    """

    actor: str
    action: str
    state: str | None
    holder: str | None


class ControlRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._system = services.system
        self._guard = Guard(services.settings)

    async def tree(self, request: web.Request) -> web.Response:
        """Every actor as the supervisor sees it, and the incidents that are open."""
        return answer(request, tree_value(self._tree(), self._system.tree_age_s(), self._system.fleet()))

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
        """Restart, pause or resume one actor, in whichever replica it runs; answered once that has been accepted.

        An actor that another replica runs is told through the catalog; after two seconds without an answer from there
        the status is 202, and whoever holds the actor's lease within half a minute does it.
        """
        self._guard.demand(request)
        asked = parse_path(CommandPath, request)
        view = next((view for view in self._tree().actors if view.name == asked.name), None)
        if view is None:
            raise Refusal(404, f"There is no actor named {asked.name}; GET /system/tree lists them.")
        try:
            value = await (self._elsewhere(asked) if view.state == ELSEWHERE else self._here(asked))
        except TimeoutError:
            raise Refusal(504, "The supervisor has not answered; look at /system/tree.") from None
        except FeedError:
            raise unavailable("Too many commands are under way; try again in a few seconds.") from None
        return answer(request, value, status=202 if value["state"] is None else 200)

    async def _here(self, asked: CommandPath) -> CommandValue:
        done = await self._system.command(asked.name, asked.action)
        if done.problem:
            raise Refusal(409, done.problem)
        fleet = self._system.fleet()
        holder = None if fleet is None else fleet.me
        return {"actor": asked.name, "action": asked.action, "state": done.state, "holder": holder}

    async def _elsewhere(self, asked: CommandPath) -> CommandValue:
        found = await self._system.ask_holder(asked.name, asked.action)
        if found.problem and found.holder is None:
            raise unavailable(f"{found.problem[0].upper()}{found.problem[1:]}.")
        if found.problem:
            raise Refusal(409, found.problem)
        state = found.state if found.is_done else None
        return {"actor": asked.name, "action": asked.action, "state": state, "holder": found.holder}

    def _tree(self) -> Tree:
        tree = self._system.tree()
        if tree is None:
            raise unavailable("The supervisor has not reported yet; try again in a few seconds.")
        return tree


OPERATIONS = (
    Operation("GET", "/system/tree", ControlRoutes.tree, "system", {200: Answer(TreeValue)}, refuses=(503,)),
    Operation(
        "GET",
        "/system/incidents",
        ControlRoutes.incidents,
        "system",
        {200: Answer(IncidentList)},
        query=IncidentParams,
        refuses=(503,),
    ),
    Operation(
        "POST",
        "/system/actors/{name:.+}/{action:restart|pause|resume}",
        ControlRoutes.command,
        "system",
        {
            200: Answer(CommandValue, "The supervisor has accepted it."),
            202: Answer(CommandValue, "It is left to whichever replica holds the actor's lease."),
        },
        names=CommandPath,
        access=Access.TOKEN,
        refuses=(404, 409, 503, 504),
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, ControlRoutes(services))


def tree_value(tree: Tree, age_s: float, fleet: FleetNews | None) -> TreeValue:
    """The tree as JSON; its metrics are at `/metrics`."""
    return {
        "taken_at": stamp(tree.taken_ms),
        "started_at": stamp(tree.started_ms),
        "age_s": round(age_s, 3),
        "draining": tree.draining,
        "actors": [actor_value(view, fleet) for view in tree.actors],
        "incidents": [incident_value(incident) for incident in tree.incidents],
        "fleet": fleet_value(fleet),
    }


def actor_value(view: ActorView, fleet: FleetNews | None) -> ActorValue:
    """See ActorValue."""
    return {
        "name": view.name,
        "symbol": view.symbol,
        "essential": view.essential,
        "state": view.state,
        "detail": view.detail,
        "pid": view.pid,
        "generation": view.generation,
        "restarts": view.restarts,
        "last_cause": view.last_cause,
        "uptime_s": view.uptime_s,
        "lag": view.lag,
        "ever_running": view.ever_running,
        "holder": holder_of(view, fleet),
        "last_exit_at": stamp_or_none(view.last_exit_ms),
        "started_at": stamp_or_none(view.started_ms),
    }


def incident_value(incident: Incident | IncidentNews) -> IncidentValue:
    """See IncidentValue."""
    return {
        "incident_id": incident.incident_id,
        "kind": incident.kind,
        "subject": incident.subject,
        "cause": incident.cause,
        "detail": incident.detail,
        "started_at": stamp(incident.started_ms),
        "ended_at": stamp_or_none(incident.ended_ms),
    }

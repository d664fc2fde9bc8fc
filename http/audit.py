"""`POST /audit/run`, and `/conflicts`: what repair found that was stored otherwise."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web
from typing_extensions import TypedDict

from data_manager.http.answer_types import Returned, Time
from data_manager.http.answers import answer, applied, stamp
from data_manager.http.condition import AUDITOR, at_work
from data_manager.http.errors import store_errors, unavailable
from data_manager.http.operations import Access, Answer, Operation, routes_of
from data_manager.http.params import ConflictParams, parse
from data_manager.http.ports import Services
from data_manager.http.tokens import Guard
from data_manager.storage.protocols import Conflict
from data_manager.system.clock import now_ms
from data_manager.system.messages import AuditRequested

SWITCHED_OFF = "Audits are switched off: set ENABLE_AUDITOR=true and start the service again."
NOT_AT_WORK = "The auditor is not at work now; GET /system/tree says why."
STARTED = "Everything is audited from its beginning; /gaps and /health show what is found."


class StartedValue(TypedDict):
    """That an audit was asked for."""

    status: str
    requested_at: Time
    message: str


class ConflictValue(TypedDict):
    """Two rows under one key that said different things, both as they are stored: as text where one was too long."""

    conflict_id: str
    dataset_id: str
    pair: str
    row_key: str
    stored: Any
    offered: Any
    source: str
    found_at: Time


class ConflictList(TypedDict):
    """Conflicts."""

    data: list[ConflictValue]
    metadata: Returned
    filters_applied: dict[str, str]


class AuditRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._guard = Guard(services.settings)

    async def run(self, request: web.Request) -> web.Response:
        """Have the auditor begin at once; answered before it has."""
        self._guard.demand(request)
        if not self._services.settings.enable_auditor:
            raise unavailable(SWITCHED_OFF)
        if not at_work(self._services.system.tree(), AUDITOR):
            raise unavailable(NOT_AT_WORK)
        self._services.system.tell(AuditRequested())
        body = {"status": "started", "requested_at": stamp(now_ms(self._services.clock)), "message": STARTED}
        return answer(request, body, status=202)

    async def conflicts(self, request: web.Request) -> web.Response:
        """The conflicts that match, the newest first."""
        asked = parse(ConflictParams, request)
        with store_errors("catalog"):
            found = await self._services.catalog.call(
                lambda catalog: catalog.conflicts(dataset_id=asked.dataset, limit=asked.limit)
            )
        body = {
            "data": [conflict_value(conflict) for conflict in found],
            "metadata": {"records_returned": len(found)},
            "filters_applied": applied(asked, "dataset"),
        }
        return answer(request, body)


OPERATIONS = (
    Operation(
        "POST",
        "/audit/run",
        AuditRoutes.run,
        "audit",
        {202: Answer(StartedValue, "The auditor was told to begin.")},
        access=Access.TOKEN,
        refuses=(503,),
    ),
    Operation(
        "GET",
        "/conflicts",
        AuditRoutes.conflicts,
        "audit",
        {200: Answer(ConflictList)},
        query=ConflictParams,
        refuses=(503,),
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, AuditRoutes(services))


def conflict_value(conflict: Conflict) -> ConflictValue:
    """See ConflictValue."""
    return {
        "conflict_id": conflict.conflict_id,
        "dataset_id": conflict.dataset_id,
        "pair": conflict.symbol,
        "row_key": conflict.row_key,
        "stored": row_value(conflict.stored_row),
        "offered": row_value(conflict.offered_row),
        "source": conflict.source,
        "found_at": stamp(conflict.at_ms),
    }


def row_value(text: str) -> object:
    """A row as JSON; the text itself where the catalog had no room for all of it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text

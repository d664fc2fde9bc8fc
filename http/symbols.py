"""`/symbols`: which symbols the service works on; they can be added and retired while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, NotRequired

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from data_manager.http.answer_types import ReturnedFrom, Time
from data_manager.http.answers import answer, stamp, stamp_or_none
from data_manager.http.bodies import parse_body
from data_manager.http.condition import INGEST_PREFIX
from data_manager.http.errors import Refusal, store_errors
from data_manager.http.operations import Access, Answer, Operation, routes_of
from data_manager.http.params import Pair, Params, parse_path
from data_manager.http.ports import Services
from data_manager.http.tokens import Guard
from data_manager.storage import symbols
from data_manager.storage.protocols import ListedSymbol
from data_manager.system.clock import now_ms
from data_manager.system.memory import memory_bytes
from data_manager.system.settings import RESERVED_SYMBOL

MIB = 2**20
PROCESS_MB = 20  # of memory that a symbol's process has to itself, in quiet times
FULL = f"{symbols.SYMBOLS_MAX:,} symbols are active, which is the most: retire one first."


def check_free(symbol: str) -> str:
    """Raises ValueError for the name that no symbol may have."""
    if symbol == RESERVED_SYMBOL:
        raise ValueError(f"{RESERVED_SYMBOL} is reserved for the self-test")
    return symbol


Name = Annotated[Pair, AfterValidator(check_free), Field(examples=["XRPUSDT"])]


class SymbolRequest(BaseModel):
    """The symbol to add; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    symbol: Name


class SymbolPath(Params):
    """`/symbols/{symbol}/retire`."""

    symbol: Name


class SymbolValue(TypedDict):
    """One symbol: `active` or `retired`, since when, and the state of the actor that takes in its events.

    `state` is null where the supervisor shows no such actor; `warning` says what the host may not be able to bear.
    """

    symbol: str
    status: str
    added_at: Time
    retired_at: Time | None
    state: str | None
    warning: NotRequired[str]


class SymbolMetadata(ReturnedFrom):
    """How many of them are active."""

    active: int


class SymbolList(TypedDict):
    """All symbols."""

    data: list[SymbolValue]
    metadata: SymbolMetadata


class SymbolRoutes:
    """Handlers; each makes one call to the catalog."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._configured = services.settings.supported_pairs
        self._guard = Guard(services.settings)

    async def all(self, request: web.Request) -> web.Response:
        """Every symbol that the service works on or has worked on, in the order in which they were added."""
        now = self._now()
        with store_errors("catalog"):
            listed = await self._services.catalog.call(partial(symbols.seeded, configured=self._configured, now_ms=now))
        states = self._states()
        names = symbols.active(symbols.statuses(listed), self._configured)
        body = {
            "data": [symbol_value(each, states) for each in listed],
            "metadata": {
                "records_returned": len(listed),
                "last_updated": stamp(now),
                "source": "catalog",
                "active": len(names),
            },
        }
        return answer(request, body)

    async def add(self, request: web.Request) -> web.Response:
        """Have a symbol's events taken in from now on.

        Answered once that is listed; the symbol's actor starts afterwards, and its first history is fetched. One that
        was retired goes on with what is stored of it.
        """
        self._guard.demand(request)
        symbol = (await parse_body(SymbolRequest, request)).symbol
        with store_errors("catalog"):
            change = await self._services.catalog.call(
                partial(symbols.add, symbol=symbol, configured=self._configured, now_ms=self._now())
            )
        if change is None:
            raise Refusal(409, FULL)
        self._services.system.assign(change.active)
        body = symbol_value(change.listed, self._states())
        if warning := crowded(len(change.active), memory_bytes()):
            body["warning"] = warning
        return answer(request, body, status=201 if change.changed else 200)

    async def retire(self, request: web.Request) -> web.Response:
        """Have no more of a symbol's events taken in; what is stored of it stays, and is served.

        Its actor finishes what it has in hand. What still waits for it in the broker is taken up if it is added again.
        """
        self._guard.demand(request)
        symbol = parse_path(SymbolPath, request).symbol
        with store_errors("catalog"):
            change = await self._services.catalog.call(
                partial(symbols.retire, symbol=symbol, configured=self._configured, now_ms=self._now())
            )
        if change is None:
            raise Refusal(404, f"{symbol} is not one of the service's symbols; GET /symbols lists them.")
        self._services.system.assign(change.active)
        return answer(request, symbol_value(change.listed, self._states()))

    def _states(self) -> Mapping[str, str]:
        """Of the actors of symbols, by symbol."""
        tree = self._services.system.tree()
        views = () if tree is None else tree.actors
        return {
            view.symbol: view.state
            for view in views
            if view.symbol is not None and view.name == f"{INGEST_PREFIX}{view.symbol}"
        }

    def _now(self) -> int:
        return now_ms(self._services.clock)


OPERATIONS = (
    Operation("GET", "/symbols", SymbolRoutes.all, "symbols", {200: Answer(SymbolList)}, refuses=(503,)),
    Operation(
        "POST",
        "/symbols",
        SymbolRoutes.add,
        "symbols",
        {
            201: Answer(SymbolValue, "The symbol, which is active now."),
            200: Answer(SymbolValue, "The symbol, which was active already."),
        },
        body=SymbolRequest,
        access=Access.TOKEN,
        refuses=(409, 413, 503),
    ),
    Operation(
        "POST",
        "/symbols/{symbol}/retire",
        SymbolRoutes.retire,
        "symbols",
        {200: Answer(SymbolValue, "The symbol, which is retired now or was before.")},
        names=SymbolPath,
        access=Access.TOKEN,
        refuses=(404, 503),
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, SymbolRoutes(services))


def symbol_value(listed: ListedSymbol, states: Mapping[str, str]) -> SymbolValue:
    """See SymbolValue."""
    return {
        "symbol": listed.symbol,
        "status": listed.status,
        "added_at": stamp(listed.added_ms),
        "retired_at": stamp_or_none(listed.retired_ms),
        "state": states.get(listed.symbol),
    }


def crowded(active: int, memory: int) -> str:
    """The sentence for more symbols than this host's `memory`, in bytes, can be expected to bear; else empty."""
    needed = active * PROCESS_MB
    if needed * MIB <= memory // 2:
        return ""
    return (
        f"{active:,} symbols have a process each, which take about {needed:,} MiB together; "
        f"there are {memory // MIB:,} MiB in all: more may be killed than can be kept running."
    )

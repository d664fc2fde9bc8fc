"""`/ledger`: of every event that was delivered, what became of it."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from typing_extensions import TypedDict

from data_manager.http.answer_types import ReturnedFrom, Time
from data_manager.http.answers import answer, applied, stamp
from data_manager.http.every_symbol import of_every_symbol
from data_manager.http.operations import Answer, Operation, routes_of
from data_manager.http.params import LedgerParams, parse
from data_manager.http.ports import Services
from data_manager.storage.ledger import Counts, LedgerTotals
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.system.clock import now_ms
from data_manager.system.frames import sequence_of

NS_A_MS = 1_000_000


class CountsValue(TypedDict):
    """What became of events; `published` are the different ones that were received."""

    received: int
    stored: int
    replaced: int
    duplicate: int
    skipped: int
    quarantined: int
    redelivered: int
    published: int


class TypeValue(CountsValue):
    """Of one event type."""

    event_type: str
    balanced: bool


class FeedValue(TypedDict):
    """Where the feed stands.

    `sequence` is the last FEED sequence of which an event was written and acknowledged, `routed_through` the one up
    to which all were routed then, `market_sequence` the last batch of MARKET. FEED was made at `made_at`; null means
    core mode, whose sequences are the router's own.
    """

    sequence: int
    routed_through: int
    market_sequence: int
    made_at: Time | None


class LedgerValue(TypedDict):
    """One symbol's ledger; `pair` is null for what has no symbol."""

    pair: str | None
    event_types: list[TypeValue]
    total: CountsValue
    balanced: bool
    feed: FeedValue


class LedgerList(TypedDict):
    """The ledgers, and their sum. It is balanced when every event received has exactly one outcome."""

    data: list[LedgerValue]
    total: CountsValue
    balanced: bool
    filters_applied: dict[str, str]
    metadata: ReturnedFrom


class LedgerRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def all(self, request: web.Request) -> web.Response:
        """Every symbol's ledger, or that of `pair`; those who never received anything have none."""
        asked = parse(LedgerParams, request)
        ledgers = of_every_symbol(self._services.survey, asked.pair, lambda symbol, store: store.ledger(symbol))
        found = {symbol: totals async for symbol, totals in ledgers if totals.by_type}
        total = sum((totals.total for totals in found.values()), Counts())
        body = {
            "data": [ledger_value(symbol, totals) for symbol, totals in found.items()],
            "total": counts_value(total),
            "balanced": all_balanced(found.values()),
            "filters_applied": applied(asked, "pair"),
            "metadata": {
                "records_returned": len(found),
                "last_updated": stamp(now_ms(self._services.clock)),
                "source": self._services.market_source,
            },
        }
        return answer(request, body)


OPERATIONS = (
    Operation(
        "GET", "/ledger", LedgerRoutes.all, "ledger", {200: Answer(LedgerList)}, query=LedgerParams, refuses=(503,)
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, LedgerRoutes(services))


def all_balanced(ledgers: Iterable[LedgerTotals]) -> bool:
    """Whether every event received has exactly one outcome, symbol by symbol and type by type."""
    return all(counts.balanced for totals in ledgers for counts in totals.by_type.values())


def ledger_value(symbol: Symbol, totals: LedgerTotals) -> LedgerValue:
    """See LedgerValue."""
    return {
        "pair": None if symbol == ALL_SYMBOLS else symbol,
        "event_types": [
            {"event_type": name, **counts_value(counts), "balanced": counts.balanced}
            for name, counts in sorted(totals.by_type.items())
        ],
        "total": counts_value(totals.total),
        "balanced": all_balanced([totals]),
        "feed": feed_value(totals),
    }


def counts_value(counts: Counts) -> CountsValue:
    """See CountsValue."""
    return {
        "received": counts.received,
        "stored": counts.stored,
        "replaced": counts.replaced,
        "duplicate": counts.duplicate,
        "skipped": counts.skipped,
        "quarantined": counts.quarantined,
        "redelivered": counts.redelivered,
        "published": counts.received - counts.redelivered,
    }


def feed_value(totals: LedgerTotals) -> FeedValue:
    """See FeedValue."""
    return {
        "sequence": sequence_of(totals.last_position),
        "routed_through": totals.routed_through,
        "market_sequence": totals.last_market_seq,
        "made_at": stamp(totals.incarnation // NS_A_MS) if totals.incarnation else None,
    }

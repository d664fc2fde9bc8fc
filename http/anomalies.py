"""`/anomalies`: what is out of the ordinary, and looking for it now.

Each route has two paths: the original's, which repeats the word, and the one that its guides give.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Generic, NotRequired

from aiohttp import web
from typing_extensions import TypedDict

from data_manager.http.analysis_params import AnomalyParams, DetectParams
from data_manager.http.answer_types import InBothDialects, T, Time
from data_manager.http.answers import answer, applied, both_dialects, stamp
from data_manager.http.condition import at_work
from data_manager.http.errors import Refusal, store_errors, unavailable
from data_manager.http.operations import Access, Answer, Operation, routes_of
from data_manager.http.paging import ceil_ms, numbered
from data_manager.http.params import parse
from data_manager.http.ports import Services
from data_manager.http.tokens import Guard
from data_manager.storage.protocols import AuditLog, Catalog
from data_manager.system.clock import now_ms
from data_manager.system.errors import FeedError
from data_manager.system.messages import DetectRequested, Found

ANOMALY = "anomaly"  # the audit type
NEW = "new"  # the status of each
PREFIXES = ("/anomalies", "/anomalies/anomalies")

NOT_AT_WORK = "Analytics is not at work now; GET /system/tree says why."
TOO_LATE = "Analytics has not answered in time; its load is in GET /system/tree."
BUSY = "Anomalies are being looked for already; try again in a few seconds."


class LogValue(TypedDict):
    """One anomaly, as it stands in the audit's log."""

    audit_id: str
    dataset_id: str
    symbol: str
    audit_type: str
    severity: str
    details: str
    timestamp: Time


class AnomalyList(InBothDialects[T], Generic[T]):
    """A page of the anomalies of a symbol."""

    pair: str
    anomalies: NotRequired[list[T]]
    total_count: int
    severity_filter: str | None
    timestamp: Time


class FoundValue(TypedDict):
    """One anomaly that was found just now; of models also what they looked at. A score is above its method's limit."""

    timestamp: Time
    price: float
    method: str
    severity: str
    reason: str
    score: float
    limit: float
    volume: NotRequired[float | None]
    features: NotRequired[dict[str, float | None]]


class Note(TypedDict):
    """Why the bars that there are cannot be judged."""

    message: str


class Detection(TypedDict):
    """What was found."""

    pair: str
    timeframe: str
    method: str
    anomalies_detected: int
    anomalies: list[FoundValue]
    timestamp: Time
    metadata: NotRequired[Note]


class AnomalySummary(TypedDict):
    """How many are known."""

    total_anomalies: int
    by_severity: dict[str, int]
    by_symbol: dict[str, int]
    timestamp: Time


class AnomalyRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._catalog = services.catalog
        self._system = services.system
        self._guard = Guard(services.settings)

    async def found(self, request: web.Request) -> web.Response:
        """The anomalies of a symbol that match, the newest first; each bar and method once."""
        asked = parse(AnomalyParams, request)
        with store_errors("catalog"):
            logs, total = await self._catalog.call(partial(look_up, asked))
        dialect = asked.dialect or self._services.settings.api_dialect
        body = {
            "pair": asked.pair,
            **both_dialects(list(map(log_value, logs)), dialect, "anomalies"),
            "total_count": total,
            "severity_filter": asked.severity,
            "timestamp": self._now(),
            "pagination": numbered(asked.limit, asked.offset, total),
            "sort": {"by": asked.sort_by, "order": asked.sort_order},
            "filters_applied": applied(asked, "pair", "severity", "status", "since", "before"),
        }
        return answer(request, body)

    async def detect(self, request: web.Request) -> web.Response:
        """Have analytics look at a symbol's bars by one method, now."""
        self._guard.demand_if_set(request)
        asked = parse(DetectParams, request)
        if not at_work(self._system.tree(), DetectRequested.to):
            raise unavailable(NOT_AT_WORK)
        try:
            detected = await self._system.detect(asked.pair, asked.timeframe, asked.method)
        except TimeoutError:
            raise Refusal(504, TOO_LATE) from None
        except FeedError:
            raise unavailable(BUSY) from None
        if detected.problem:
            raise unavailable(detected.problem)
        body: dict[str, object] = {
            "pair": asked.pair,
            "timeframe": asked.timeframe,
            "method": asked.method,
            "anomalies_detected": len(detected.anomalies),
            "anomalies": list(map(found_value, detected.anomalies)),
            "timestamp": self._now(),
        }
        if detected.note:
            body["metadata"] = {"message": detected.note}
        return answer(request, body)

    async def summary(self, request: web.Request) -> web.Response:
        """How many anomalies are known, by severity and by symbol."""
        with store_errors("catalog"):
            counted = await self._catalog.call(lambda catalog: catalog.count_audit_logs(ANOMALY))
        by_severity, by_symbol = Counter[str](), Counter[str]()
        for (symbol, severity), count in counted.items():
            by_severity[severity] += count
            by_symbol[symbol] += count
        body = {
            "total_anomalies": sum(counted.values()),
            "by_severity": by_severity,
            "by_symbol": by_symbol,
            "timestamp": self._now(),
        }
        return answer(request, body)

    def _now(self) -> str:
        return stamp(now_ms(self._services.clock))


def operations_under(prefix: str) -> tuple[Operation, ...]:
    """The family's operations under one of its two names."""
    return (
        Operation(
            "GET",
            prefix,
            AnomalyRoutes.found,
            "anomalies",
            {200: Answer(AnomalyList[LogValue])},
            query=AnomalyParams,
            refuses=(503,),
        ),
        Operation(
            "POST",
            f"{prefix}/detect",
            AnomalyRoutes.detect,
            "anomalies",
            {200: Answer(Detection)},
            query=DetectParams,
            access=Access.TOKEN_IF_SET,
            refuses=(503, 504),
        ),
        Operation(
            "GET",
            f"{prefix}/summary",
            AnomalyRoutes.summary,
            "anomalies",
            {200: Answer(AnomalySummary)},
            refuses=(503,),
        ),
    )


OPERATIONS = tuple(operation for prefix in PREFIXES for operation in operations_under(prefix))


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, AnomalyRoutes(services))


def look_up(asked: AnomalyParams, catalog: Catalog) -> tuple[list[AuditLog], int]:
    """A page of those that match, and how many there are."""
    if asked.status not in (None, NEW):
        return [], 0
    return catalog.audit_logs(
        symbol=asked.pair,
        severity=asked.severity,
        audit_type=ANOMALY,
        from_ms=None if asked.since is None else ceil_ms(asked.since),
        to_ms=None if asked.before is None else ceil_ms(asked.before),
        limit=asked.limit,
        offset=asked.offset,
        descending=asked.sort_order == "desc",
    )


def log_value(log: AuditLog) -> LogValue:
    """See LogValue."""
    return {
        "audit_id": log.audit_id,
        "dataset_id": log.dataset_id,
        "symbol": log.symbol,
        "audit_type": log.audit_type,
        "severity": log.severity,
        "details": log.details,
        "timestamp": stamp(log.at_ms),
    }


def found_value(found: Found) -> FoundValue:
    """See FoundValue."""
    value: FoundValue = {
        "timestamp": stamp(found.open_time),
        "price": found.price,
        "method": found.method,
        "severity": found.severity,
        "reason": found.reason,
        "score": found.score,
        "limit": found.limit,
    }
    return value if found.features is None else {**value, "volume": found.volume, "features": found.features}

"""`/quarantine`: events that could not be used, with the reason and their raw bytes, and their way back."""

from __future__ import annotations

import base64
import logging
import re
from functools import partial
from heapq import nlargest
from typing import Annotated, Literal, NamedTuple

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from data_manager.http.answer_types import ReturnedFrom, Time
from data_manager.http.answers import answer, applied, stamp
from data_manager.http.errors import Refusal, store_errors, unavailable
from data_manager.http.every_symbol import of_every_symbol
from data_manager.http.feed_door import FeedDoor, Republished
from data_manager.http.operations import Access, Answer, Operation, routes_of
from data_manager.http.params import Params, QuarantineParams, parse, parse_path
from data_manager.http.ports import Services
from data_manager.http.replaying import obstacle
from data_manager.http.tokens import Guard
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import ALL_SYMBOLS, Quarantined, Symbol
from data_manager.system.clock import now_ms
from data_manager.system.errors import DataError, FeedError
from data_manager.system.logs import log
from data_manager.system.settings import Delivery, is_symbol

RAW_IN_LISTS = 1024  # bytes of an event that a list shows
RAW_ALONE = 256 * 1024  # ... that one event shows
EVENT_ID = re.compile(r"(?P<symbol>\w+)-(?P<incarnation>[0-9]{1,19})-(?P<position>[0-9]{1,19})")
INT64_MAX = 2**63 - 1
NATS_AWAY = "NATS takes no events now, and the event stays in quarantine; try again in a few seconds."
WHAT_BECOMES = (
    "/ledger counts what becomes of it, and /quarantine lists it under another id should it be refused again. "
    "This entry stays as history until its retention ends."
)


class Kept(NamedTuple):
    """A quarantined event and whose it is."""

    symbol: Symbol
    event: Quarantined

    @property
    def age(self) -> tuple[int, int]:
        """What lists are sorted by."""
        return self.event.stored_ms, self.event.feed_seq


class Name(NamedTuple):
    """What an id says: whose event, and its key."""

    symbol: Symbol
    incarnation: int
    position: int


def add_to(app: web.Application, services: Services) -> None:
    """The family's routes; the connection that replays use ends with the application."""
    door = FeedDoor(services.settings, services.clock, services.rng)
    app.add_routes(routes_of(OPERATIONS, QuarantineRoutes(services, door)))

    async def close(_: web.Application) -> None:
        await door.close()

    app.on_cleanup.append(close)


class EventPath(Params):
    """`/quarantine/{event_id}`."""

    event_id: Annotated[str, Field(description="A quarantined event's id.", examples=["BTCUSDT-5-40"])]


class RawValue(TypedDict):
    """An event's bytes, or the first of them: as text where all are UTF-8, else in base64."""

    raw: str
    raw_encoding: Literal["utf-8", "base64"]
    raw_bytes: int
    raw_truncated: bool


class EventValue(RawValue):
    """One event that could not be used; `pair` is null where it told no symbol."""

    event_id: str
    pair: str | None
    event_type: str
    reason: str
    detail: str
    received_at: Time
    stored_at: Time


class LimitEcho(TypedDict):
    """The limit that held."""

    limit: int


class EventList(TypedDict):
    """Events that could not be used."""

    data: list[EventValue]
    filters_applied: dict[str, str]
    metadata: ReturnedFrom
    parameters: LimitEcho


class ReplayedValue(TypedDict):
    """Where an event went; `stream` and `sequence` are null in core mode, where nobody says that it arrived."""

    event_id: str
    subject: str
    delivery: str
    stream: str | None
    sequence: int | None
    message: str


class QuarantineRoutes:
    """Handlers."""

    def __init__(self, services: Services, door: FeedDoor) -> None:
        self._services = services
        self._door = door
        self._guard = Guard(services.settings)

    async def all(self, request: web.Request) -> web.Response:
        """The events that match, the newest first, each with the beginning of its bytes."""
        asked = parse(QuarantineParams, request)
        equal = () if asked.reason is None else (("reason", asked.reason),)
        query = Query(equal=equal, limit=asked.limit, descending=True)
        kept: list[Kept] = []
        async for _, found in of_every_symbol(self._services.survey, asked.pair, partial(read, query)):
            kept = nlargest(asked.limit, (*kept, *found), key=lambda each: each.age)
        body = {
            "data": [kept_value(each, RAW_IN_LISTS) for each in kept],
            "filters_applied": applied(asked, "pair", "reason"),
            "metadata": {
                "records_returned": len(kept),
                "last_updated": stamp(now_ms(self._services.clock)),
                "source": self._services.market_source,
            },
            "parameters": {"limit": asked.limit},
        }
        return answer(request, body)

    async def one(self, request: web.Request) -> web.Response:
        """One event with its bytes, up to 256 KiB of them."""
        kept = await self._kept(parse_path(EventPath, request).event_id)
        return answer(request, kept_value(kept, RAW_ALONE))

    async def replay(self, request: web.Request) -> web.Response:
        """Publish an event's bytes on the feed's subject once more; answered when NATS has them."""
        self._guard.demand(request)
        event_id = parse_path(EventPath, request).event_id
        event = (await self._kept(event_id)).event
        reason = obstacle(event, stamp(event.received_ms))
        if reason is not None:
            raise Refusal(409, reason)
        try:
            # an id of its own, since a stream drops what it has seen within its duplicate window
            done = await self._door.publish(event.raw, f"{event_id}:{self._services.rng.getrandbits(64):016x}")
        except DataError as error:
            raise Refusal(409, str(error)) from None
        except FeedError as error:
            log("quarantine_not_replayed", logging.WARNING, event_id=event_id, cause=str(error))
            raise unavailable(NATS_AWAY) from error
        log("quarantine_replayed", event_id=event_id, delivery=done.delivery, sequence=done.sequence)
        subject = self._services.settings.nats_consumer_subject
        return answer(request, replayed_value(event_id, subject, done), status=202)

    async def _kept(self, event_id: str) -> Kept:
        """One event; 404 for what is no id, or nobody's."""
        name = name_of(event_id)
        kept: list[Kept] = []
        if name is not None:
            key = (("incarnation", name.incarnation), ("feed_seq", name.position))
            with store_errors("market store"):
                kept = await self._services.survey.call(partial(read, Query(equal=key, limit=1), name.symbol))
        if not kept:
            raise Refusal(404, f"There is no quarantined event {event_id}; /quarantine lists those that there are.")
        return kept[0]


OPERATIONS = (
    Operation(
        "GET",
        "/quarantine",
        QuarantineRoutes.all,
        "quarantine",
        {200: Answer(EventList)},
        query=QuarantineParams,
        refuses=(503,),
    ),
    Operation(
        "GET",
        "/quarantine/{event_id}",
        QuarantineRoutes.one,
        "quarantine",
        {200: Answer(EventValue)},
        names=EventPath,
        refuses=(404, 503),
    ),
    Operation(
        "POST",
        "/quarantine/{event_id}/replay",
        QuarantineRoutes.replay,
        "quarantine",
        {202: Answer(ReplayedValue, "NATS has it.")},
        names=EventPath,
        access=Access.TOKEN,
        refuses=(404, 409, 503),
    ),
)


def read(query: Query, symbol: Symbol, store: MarketStore) -> list[Kept]:
    """One symbol's events that match."""
    return [Kept(symbol, event) for event in store.rows(symbol, Quarantined, query)]


def name_of(event_id: str) -> Name | None:
    """What an id says; None for what is none."""
    found = EVENT_ID.fullmatch(event_id)
    if found is None or not (is_symbol(found["symbol"]) or found["symbol"] == ALL_SYMBOLS):
        return None
    name = Name(Symbol(found["symbol"]), int(found["incarnation"]), int(found["position"]))
    return name if max(name[1:]) <= INT64_MAX else None


def id_of(kept: Kept) -> str:
    """The id under which an event can be asked for."""
    return f"{kept.symbol}-{kept.event.incarnation}-{kept.event.feed_seq}"


def kept_value(kept: Kept, raw_max: int) -> EventValue:
    """See EventValue."""
    event = kept.event
    return {
        "event_id": id_of(kept),
        "pair": None if kept.symbol == ALL_SYMBOLS else kept.symbol,
        "event_type": event.event_type,
        "reason": event.reason,
        "detail": event.detail,
        "received_at": stamp(event.received_ms),
        "stored_at": stamp(event.stored_ms),
        **raw_value(event.raw, raw_max),
    }


def replayed_value(event_id: str, subject: str, done: Republished) -> ReplayedValue:
    """See ReplayedValue."""
    return {
        "event_id": event_id,
        "subject": subject,
        "delivery": "core" if done.delivery is Delivery.CORE else "jetstream",
        "stream": done.stream,
        "sequence": done.sequence,
        "message": WHAT_BECOMES,
    }


def raw_value(raw: bytes, limit: int) -> RawValue:
    """At most `limit` bytes; see RawValue."""
    begin, truncated = raw[:limit], len(raw) > limit
    try:
        raw.decode()
    except UnicodeDecodeError:
        text = base64.b64encode(begin).decode()
        return {"raw": text, "raw_encoding": "base64", "raw_bytes": len(raw), "raw_truncated": truncated}
    text = begin.decode(errors="ignore")  # the cut may go through a letter
    return {"raw": text, "raw_encoding": "utf-8", "raw_bytes": len(raw), "raw_truncated": truncated}

"""`/quarantine`: events that could not be used, with the reason and their raw bytes."""

from __future__ import annotations

import base64
import re
from functools import partial
from heapq import nlargest
from typing import NamedTuple

from aiohttp import web

from data_manager.http.answers import answer, applied, stamp
from data_manager.http.errors import Refusal, store_errors
from data_manager.http.every_symbol import of_every_symbol
from data_manager.http.params import QuarantineParams, parse
from data_manager.http.ports import Services
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import ALL_SYMBOLS, Quarantined, Symbol
from data_manager.system.clock import now_ms
from data_manager.system.settings import is_symbol

Value = dict[str, object]

RAW_IN_LISTS = 1024  # bytes of an event that a list shows
RAW_ALONE = 256 * 1024  # ... that one event shows
EVENT_ID = re.compile(r"(?P<symbol>\w+)-(?P<incarnation>[0-9]{1,19})-(?P<position>[0-9]{1,19})")
INT64_MAX = 2**63 - 1


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


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    quarantine = QuarantineRoutes(services)
    return [web.get("/quarantine", quarantine.all), web.get("/quarantine/{event_id}", quarantine.one)]


class QuarantineRoutes:
    """Handlers."""

    def __init__(self, services: Services) -> None:
        self._services = services

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
        """One event with its bytes, up to RAW_ALONE of them."""
        event_id = request.match_info["event_id"]
        name = name_of(event_id)
        kept: list[Kept] = []
        if name is not None:
            key = (("incarnation", name.incarnation), ("feed_seq", name.position))
            with store_errors("market store"):
                kept = await self._services.survey.call(partial(read, Query(equal=key, limit=1), name.symbol))
        if not kept:
            raise Refusal(404, f"There is no quarantined event {event_id}; /quarantine lists those that there are.")
        return answer(request, kept_value(kept[0], RAW_ALONE))


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


def kept_value(kept: Kept, raw_max: int) -> Value:
    """One event; `pair` is null where it told no symbol."""
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


def raw_value(raw: bytes, limit: int) -> Value:
    """At most `limit` bytes: as text where all of them are UTF-8, else in base64."""
    begin = raw[:limit]
    size: Value = {"raw_bytes": len(raw), "raw_truncated": len(raw) > limit}
    try:
        raw.decode()
    except UnicodeDecodeError:
        return {"raw": base64.b64encode(begin).decode(), "raw_encoding": "base64", **size}
    return {"raw": begin.decode(errors="ignore"), "raw_encoding": "utf-8", **size}  # the cut may go through a letter

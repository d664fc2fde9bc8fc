"""Response bodies: JSON by orjson, times in explicit UTC with microseconds, lists in both dialects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import orjson
from aiohttp import web

from data_manager.http.params import EPOCH, Params

Json = Mapping[str, object]

MINUTE_MS = 60_000
COMPRESS_FROM = 32 * 1024  # bytes; below it gzip costs more than it saves


def stamp(ms: int) -> str:
    """Milliseconds since 1970 as `2025-10-20T12:00:00.123000+00:00`: clock.iso at a fifth of its price."""
    minute, rest = divmod(ms, MINUTE_MS)
    return "%s:%02d.%03d000+00:00" % (minute_text(minute), rest // 1000, rest % 1000)  # noqa: UP031


@lru_cache(maxsize=16_384)  # the minutes that are asked for again and again
def minute_text(minute: int) -> str:
    """A minute since 1970 as ISO date and time."""
    return (EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M")


bar_stamp = lru_cache(maxsize=16_384)(stamp)  # bars of all symbols share their open times


def stamp_or_none(ms: int | None) -> str | None:
    """The same for a time that may be unknown."""
    return None if ms is None else stamp(ms)


def stamp_datetime(moment: datetime) -> str:
    """An aware UTC datetime in the same form."""
    return moment.isoformat(timespec="microseconds")


def from_us(us: int) -> datetime:
    """The aware UTC datetime for microseconds since 1970."""
    return EPOCH + timedelta(microseconds=us)


def applied(asked: Params, *filters: str) -> dict[str, object]:
    """Those of the filters that were given, under the names that requests give them."""
    given = asked.model_dump(by_alias=True, include=set(filters), exclude_none=True)
    return {name: stamp_datetime(value) if isinstance(value, datetime) else value for name, value in given.items()}


def both_dialects(values: Sequence[Json], dialect: str, old_name: str = "values") -> dict[str, orjson.Fragment]:
    """The list under its old name, its new one or both; encoded once."""
    return in_dialect(orjson.dumps(values), dialect, old_name)


def in_dialect(encoded: bytes, dialect: str, old_name: str = "values") -> dict[str, orjson.Fragment]:
    """The same for a list that is JSON already."""
    names = {"v11": (old_name,), "head": ("data",), "both": (old_name, "data")}[dialect]
    return dict.fromkeys(names, orjson.Fragment(encoded))


def answer(
    request: web.Request, body: Json, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON response; a large one is compressed for clients that ask for it."""
    encoded = orjson.dumps(body)
    response = web.Response(
        body=encoded, status=status, headers={"Content-Type": "application/json", **(headers or {})}
    )
    if len(encoded) > COMPRESS_FROM:
        vary = response.headers.get("Vary")
        response.headers["Vary"] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            response.enable_compression(web.ContentCoding.gzip)
    return response

"""The exchange: how far this host's clock is from its own, and what of the request weight is left."""

from __future__ import annotations

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from data_manager.storage.choice import MYSQL, catalog_backend, catalog_url
from data_manager.system.clock import Clock, now_ms, to_datetime
from data_manager.system.commands.checks.check import Check, fail, ok, skipped, warn
from data_manager.system.commands.showing import when
from data_manager.system.errors import StoreError
from data_manager.system.settings import Settings

CLOCK, WEIGHT = "clock", "weight budget"
ANSWER_S = 4.0
ANSWER_BYTES = 4096
SKEW_WARN_MS, SKEW_FAIL_MS = 1_000, 30_000  # a bar counts as late after GAP_TOLERANCE_SECONDS, 60 s by default
WEIGHT_A_MINUTE = 2_400  # that the exchange allows an address
CLOSED = (418, 429)
BUDGET = "budget"  # under this name the catalog keeps it (actors/backfill/door.py)


class Told(NamedTuple):
    """What the exchange said: its time, ours in the middle of the request, how long that took, and the weight used."""

    status: int
    server_ms: int | None
    local_ms: int
    took_ms: int
    used_weight: int | None


class _Time(msgspec.Struct):
    serverTime: int  # noqa: N815  the exchange's own name


def exchange(settings: Settings, clock: Clock) -> list[Check]:
    """Both checks; one request, of weight 1, unless the exchange forbade them all."""
    closed_ms = closed_until(settings)
    if closed_ms > now_ms(clock):
        until = f"The exchange takes no requests from here until {when(to_datetime(closed_ms))}"
        fix = "wait: backfill goes on by itself; lower BINANCE_RATE_LIMIT if others use this address too"
        return [skipped(CLOCK, f"{until}."), warn(WEIGHT, f"{until}.", fix)]
    try:
        told = asked(settings.binance_fapi_base_url, clock)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        sentence = f"{settings.binance_fapi_base_url} does not answer ({reason}), so nothing tells the right time."
        return [skipped(CLOCK, sentence), budget(settings, None)]
    return [skew(told), budget(settings, told)]


def asked(base_url: str, clock: Clock) -> Told:
    """`GET /fapi/v1/time`; raises OSError and HTTPException."""
    parts = urlsplit(base_url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_S)
    try:
        connection.connect()  # what that takes is no part of the answer's age
        before = clock.now_us()
        connection.request("GET", "/fapi/v1/time")
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES)
        after = clock.now_us()
    finally:
        connection.close()
    middle, took = (before + after) // 2000, (after - before) // 1000
    return Told(answer.status, time_in(body), middle, took, weight_in(answer.getheader("X-MBX-USED-WEIGHT-1M", "")))


def time_in(body: bytes) -> int | None:
    """The exchange's time; None where the body is not its own."""
    try:
        return msgspec.json.decode(body, type=_Time).serverTime
    except msgspec.DecodeError:
        return None


def weight_in(used: str) -> int | None:
    """The weight that this address has used in this minute, by the exchange's own count."""
    return int(used) if used.isdecimal() else None


def skew(told: Told) -> Check:
    """How far our clock is from the exchange's; half of the request's time is what cannot be known."""
    if told.server_ms is None:
        fix = "check BINANCE_FAPI_BASE_URL, and what stands between here and there"
        return warn(CLOCK, f"What answers is not the exchange's API (status {told.status}).", fix)
    off, unknown = told.local_ms - told.server_ms, told.took_ms // 2 + 1
    says = f"This host's clock is {abs(off):,} ms {'ahead of' if off > 0 else 'behind'} the exchange's, +- {unknown:,}"
    fix = "synchronise it: `timedatectl set-ntp true`, or chrony"
    if abs(off) - unknown > SKEW_FAIL_MS:
        return fail(CLOCK, f"{says}: bars would be late, or not closed yet.", fix)
    if abs(off) - unknown > SKEW_WARN_MS:
        return warn(CLOCK, f"{says}.", fix)
    return ok(CLOCK, f"{says}. Its time zone changes nothing: every time is kept in UTC.")


def budget(settings: Settings, told: Told | None) -> Check:
    """What may be asked, and what others have left of it."""
    ours = settings.binance_rate_limit
    if told is not None and told.status in CLOSED:
        fix = "wait for its Retry-After; lower BINANCE_RATE_LIMIT if others use this address too"
        return fail(WEIGHT, f"The exchange refuses requests from this address (status {told.status}).", fix)
    says = f"BINANCE_RATE_LIMIT is {ours:,} of {WEIGHT_A_MINUTE:,} a minute"
    if told is not None and told.used_weight is not None:
        says += f"; this address has used {told.used_weight:,} in this one"
    if ours > WEIGHT_A_MINUTE * 9 // 10:
        fix = f"BINANCE_RATE_LIMIT={WEIGHT_A_MINUTE // 2}, unless nobody else uses this address"
        return warn(WEIGHT, f"{says}: hardly anything is left for others.", fix)
    return ok(WEIGHT, f"{says}; the rest is left to whoever else uses it.")


def closed_until(settings: Settings) -> int:
    """Until when the exchange forbade requests, as the catalog remembers it; 0 where that is not known."""
    if catalog_backend(settings) != MYSQL and not settings.catalog_file.exists():
        return 0
    from data_manager.storage.catalog_rows import EXCHANGE_STATES
    from data_manager.storage.database import Database

    database = Database(catalog_url(settings), timeout_s=settings.store_timeout_s, read_only=True)
    query = EXCHANGE_STATES.select.where(EXCHANGE_STATES["name"] == BUDGET)
    try:
        states = database.run(lambda connection: EXCHANGE_STATES.items(connection, query))
    except StoreError:  # the catalog's own check says so; or it has no tables yet
        return 0
    finally:
        database.close()
    return next((state.until_ms or 0 for state in states), 0)

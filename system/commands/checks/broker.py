"""NATS and JetStream: whether they are there, hold what the settings want, and how durable that is."""

from __future__ import annotations

import asyncio

import msgspec
import nats.errors
from nats.js import JetStreamContext
from nats.js.api import AccountInfo, StreamInfo
from nats.js.errors import NotFoundError

from data_manager.system.broker import find_binary, running_url
from data_manager.system.clock import Clock
from data_manager.system.commands.checks.check import MIB, Check, away, by_sentence, fail, ok, skipped, warn
from data_manager.system.connection import Connection
from data_manager.system.errors import ConfigError, FeedError
from data_manager.system.logs import redact_url
from data_manager.system.settings import EMBEDDED, Delivery, Settings
from data_manager.system.streams import (
    STREAM_LIMITS,
    capturing_stream,
    differences,
    feed_config,
    has_jetstream,
    market_config,
)

CONNECT_S = 3.0


class Facts(msgspec.Struct, frozen=True):
    """What a server tells; the rest is None where it has no JetStream."""

    version: str
    max_payload: int
    account: AccountInfo | None = None
    feed: StreamInfo | None = None  # the stream that captures the subject, whoever made it
    market: StreamInfo | None = None


def broker(settings: Settings, clock: Clock, running: int | None) -> list[Check]:
    """All checks of the broker; `running` is the process of the service that runs here."""
    url = settings.nats_url
    if url == EMBEDDED:
        started = running_url(settings.data_dir / "jetstream") if running else None
        if started is None:
            return [embedded(settings), durability(settings)]
        url = started
    reached = settings.model_copy(update={"nats_url": url, "nats_connect_timeout": CONNECT_S})
    try:
        facts = asyncio.run(told(reached, clock))
    except FeedError as error:
        fix = "start it, set NATS_URL to where it is, or NATS_URL=embedded to have one started"
        return [away("NATS", f"{str(error)[:1].upper()}{str(error)[1:]}.", fix)]
    except ConfigError as error:
        return [by_sentence("NATS", str(error))]
    return [server(settings, redact_url(url), facts), *jetstream(settings, facts), durability(settings)]


def embedded(settings: Settings) -> Check:
    """Whether a broker can be started here."""
    try:
        return ok("NATS", f"{find_binary()} is started with the service, its data in {settings.data_dir}/jetstream.")
    except ConfigError as error:
        return by_sentence("NATS", str(error))


async def told(settings: Settings, clock: Clock) -> Facts:
    """What the server tells; raises FeedError when it is away."""
    connection = Connection(settings, "doctor", clock)
    try:
        await connection.open_in_time()
        client = connection.client
        version = client.connected_server_version
        facts = Facts(f"{version.major}.{version.minor}.{version.patch}", client.max_payload)
        if settings.delivery is Delivery.CORE or not await has_jetstream(client):
            return facts
        js = client.jetstream()
        captured_by = await capturing_stream(js, settings.nats_consumer_subject)
        return msgspec.structs.replace(
            facts,
            account=await js.account_info(),
            feed=await found(js, captured_by or settings.feed_stream),
            market=await found(js, settings.market_stream),
        )
    except (nats.errors.Error, OSError) as error:
        raise FeedError(f"NATS did not answer ({error!r})") from error
    finally:
        await connection.close()


async def found(js: JetStreamContext, name: str) -> StreamInfo | None:
    """A stream by its name."""
    try:
        return await js.stream_info(name)
    except NotFoundError:
        return None


def server(settings: Settings, url: str, facts: Facts) -> Check:
    """The server itself."""
    says = f"{url} answers: version {facts.version}, messages of up to {facts.max_payload:,} bytes"
    if facts.max_payload < settings.max_batch_bytes:
        fix = f"set max_payload of the server to {settings.max_batch_bytes * 2}, or MAX_BATCH_BYTES lower"
        return warn("NATS", f"{says}, fewer than MAX_BATCH_BYTES.", fix)
    return ok("NATS", f"{says}.")


def jetstream(settings: Settings, facts: Facts) -> list[Check]:
    """Whether events are kept, and the streams as they are."""
    if settings.delivery is Delivery.CORE:
        fix = "set DELIVERY=auto where the server has JetStream"
        return [warn("JetStream", "DELIVERY=core: events are delivered at most once.", fix)]
    if facts.account is None:
        judge = fail if settings.delivery is Delivery.JETSTREAM else warn
        fix = "give the server a `jetstream` block with a store_dir, or set DELIVERY=core to accept it"
        return [judge("JetStream", "The server has none: events are delivered at most once.", fix)]
    return [room(settings, facts.account, facts.feed), feed(settings, facts.feed), market(settings, facts.market)]


def room(settings: Settings, account: AccountInfo, feed: StreamInfo | None) -> Check:
    """Whether FEED fits into what the account may store."""
    used, limit = account.storage, account.limits.max_storage
    says = f"{used // MIB:,} MiB stored in {account.streams} streams"
    if limit is None or limit < 0:
        return ok("JetStream", f"{says}; the account has no limit of its own.")
    left = limit - used + (feed.state.bytes if feed else 0)
    if left < settings.feed_max_bytes:
        fix = f"raise the account's storage, or set FEED_MAX_BYTES to {max(left, MIB)} or less"
        judge = warn if feed else fail
        return judge("JetStream", f"{says} of {limit // MIB:,}: FEED_MAX_BYTES does not fit.", fix)
    return ok("JetStream", f"{says} of {limit // MIB:,}.")


def feed(settings: Settings, info: StreamInfo | None) -> Check:
    """FEED: ours, as the settings want it, or another one that captures the subject."""
    subject = settings.nats_consumer_subject
    if info is None:
        return ok("FEED", f"No stream captures {subject} yet; {settings.feed_stream} is made at the first start.")
    name = info.config.name or ""
    if name != settings.feed_stream:
        return ok("FEED", f"{name} captures {subject} and is used as it is; its limits are not ours to change.")
    return compared("FEED", info, differences(info.config, feed_config(settings), ("subjects", *STREAM_LIMITS)))


def market(settings: Settings, info: StreamInfo | None) -> Check:
    """MARKET."""
    if info is None:
        return ok("MARKET", f"{settings.market_stream} is made at the first start.")
    return compared("MARKET", info, differences(info.config, market_config(settings), ("subjects", *STREAM_LIMITS)))


def compared(name: str, info: StreamInfo, different: dict[str, str]) -> Check:
    """A stream of ours, and what of it is not as the settings say: it is never changed by itself."""
    stream = info.config.name
    if "subjects" in different:
        fix = f"`nats stream rm {stream}` deletes it with all that it holds, or set another STREAM_PREFIX"
        return fail(name, f"{stream} captures {different['subjects']}.", fix)
    if different:
        says = "; ".join(f"{field} is {values}" for field, values in different.items())
        return warn(
            name, f"{stream} was left as it is: {says}.", f"`nats stream edit {stream}`, or change the settings"
        )
    return ok(name, f"{stream} holds {info.state.messages:,} messages, {info.state.bytes // MIB:,} MiB.")


def durability(settings: Settings) -> Check:
    """What of the broker's data a loss of power takes."""
    if settings.nats_url != EMBEDDED:
        reason = "A server does not tell its clients its sync_interval: with less than `always` in its configuration"
        return skipped("power loss", f"{reason} a loss of power may cost what it accepted in that time.")
    interval = settings.nats_sync_interval
    if interval == "always":
        return ok("power loss", "NATS_SYNC_INTERVAL=always: what is accepted is on disk.")
    said = f"NATS_SYNC_INTERVAL={interval}: kills lose nothing, a loss of power up to {interval} of events."
    return ok("power loss", f"{said} `always` would cost nine tenths of the throughput.")

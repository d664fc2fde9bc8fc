"""The two streams and their consumers: created if absent, never silently reconfigured.

Every failure is a FeedError with a sentence; the caller waits and tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from data_manager.system.errors import FeedError
from data_manager.system.logs import log
from data_manager.system.settings import Delivery, Settings

PROBE_S = 1.0
STREAM_LIMITS = ("retention", "discard", "discard_new_per_subject", "max_age", "max_bytes", "max_msgs_per_subject")
DUPLICATE_WINDOW_S = 120.0  # how long a Nats-Msg-Id is remembered: longer than any resend of ours

_NOT_ENABLED = {0, 10039, 10076}  # nobody answers; not enabled for the account; not enabled on the server
_NO_STORAGE = {10023, 10047}
_STREAM_NOT_FOUND = 10059
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FeedStream(msgspec.Struct, frozen=True):
    """The stream that captures the raw subject.

    `incarnation` is its creation time in ns (to the microsecond), another one after it was deleted.
    `exclusive`: it holds nothing but our subject, so that a jump in its sequence means messages were
    discarded.
    """

    name: str
    incarnation: int
    first_seq: int
    last_seq: int
    exclusive: bool


async def has_jetstream(client: Client) -> bool:
    """Whether this account can use JetStream. Raises FeedError when there is no answer within PROBE_S."""
    try:
        await client.jetstream(timeout=PROBE_S).account_info()
    except ServiceUnavailableError as error:
        if (error.err_code or 0) in _NOT_ENABLED:
            return False
        raise FeedError(f"JetStream is not ready: {error.description}") from error
    except (nats.errors.Error, OSError) as error:
        raise FeedError(f"NATS did not say within {PROBE_S:g} s whether it has JetStream ({error})") from error
    return True


async def resolve_delivery(client: Client, settings: Settings) -> Delivery:
    """JETSTREAM or CORE: what is set, or for AUTO what the server can do.

    Raises FeedError when JetStream is demanded and absent, or when the server does not answer: an unknown is
    no reason to fall back to at-most-once.
    """
    if settings.delivery is Delivery.CORE:
        return Delivery.CORE
    if await has_jetstream(client):
        return Delivery.JETSTREAM
    if settings.delivery is Delivery.JETSTREAM:
        raise FeedError("DELIVERY=jetstream, but NATS has no JetStream: enable it there, or set DELIVERY=core")
    return Delivery.CORE


def feed_config(settings: Settings) -> StreamConfig:
    """FEED as the settings want it."""
    return StreamConfig(
        name=settings.feed_stream,
        subjects=[settings.nats_consumer_subject],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.OLD,
        storage=StorageType.FILE,
        max_age=settings.feed_max_age_s,
        max_bytes=settings.feed_max_bytes,
        duplicate_window=min(DUPLICATE_WINDOW_S, settings.feed_max_age_s),
    )


def market_config(settings: Settings) -> StreamConfig:
    """MARKET as the settings want it: a subject at its limit refuses further batches of its own symbol only."""
    return StreamConfig(
        name=settings.market_stream,
        subjects=[settings.market_subject("*")],
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=True,
        storage=StorageType.FILE,
        max_msgs_per_subject=settings.market_max_batches,
        duplicate_window=DUPLICATE_WINDOW_S,
    )


async def ensure_feed(js: JetStreamContext, settings: Settings) -> FeedStream:
    """The stream that captures NATS_CONSUMER_SUBJECT: the user's if there is one, else ours."""
    subject = settings.nats_consumer_subject
    wanted = feed_config(settings)
    with _refusals(f"stream {wanted.name}"):
        name = await capturing_stream(js, subject) or settings.feed_stream
        info = await _ensure_stream(js, wanted) if name == settings.feed_stream else await js.stream_info(name)
    state, config = info.state, info.config
    return FeedStream(
        name=name,
        incarnation=incarnation_of(info),
        first_seq=state.first_seq,
        last_seq=state.last_seq,
        exclusive=config.subjects == [subject] and not config.sources and not config.mirror,
    )


async def ensure_market(js: JetStreamContext, settings: Settings) -> int:
    """The work queue between router and ingest; returns its incarnation (see FeedStream)."""
    wanted = market_config(settings)
    with _refusals(f"stream {wanted.name}"):
        return incarnation_of(await _ensure_stream(js, wanted))


async def ensure_consumer(
    js: JetStreamContext,
    stream: str,
    durable: str,
    *,
    filter_subject: str | None = None,
    ack_wait: float,
    max_ack_pending: int,
    start_after: int | None = None,
) -> None:
    """The durable pull consumer; `start_after` is a sequence and counts only when it is created.

    It redelivers for ever (any `max_deliver` but -1 loses silently) and does not go away when unused.
    """
    wanted = ConsumerConfig(
        durable_name=durable,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait,
        max_deliver=-1,
        max_ack_pending=max_ack_pending,
        filter_subject=filter_subject,
        deliver_policy=DeliverPolicy.ALL if start_after is None else DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=None if start_after is None else start_after + 1,
    )
    with _refusals(f"consumer {durable} of stream {stream}"):
        info = await _find_consumer(js, stream, durable)
        if info is None:
            try:
                await js.add_consumer(stream, wanted)
            except APIError:
                info = await _find_consumer(js, stream, durable)  # perhaps another replica was faster
                if info is None:
                    raise
    if info is not None:
        names = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "filter_subject")
        _warn_of_difference(f"{stream}/{durable}", info.config, wanted, names)


async def capturing_stream(js: JetStreamContext, subject: str) -> str | None:
    """The name of the stream that captures `subject`; raises nats-py's errors as they are."""
    try:
        return str(await js.find_stream_name_by_subject(subject))
    except NotFoundError:
        return None


def incarnation_of(info: StreamInfo) -> int:
    """The stream's creation time in ns, to the microsecond."""
    assert info.created is not None  # the server always says
    return (info.created - _EPOCH) // timedelta(microseconds=1) * 1000


async def _ensure_stream(js: JetStreamContext, wanted: StreamConfig) -> StreamInfo:
    assert wanted.name is not None
    try:
        info = await js.stream_info(wanted.name)
    except NotFoundError:
        return await js.add_stream(wanted)  # the same from another replica at the same time is no error
    if info.config.subjects != wanted.subjects:
        raise FeedError(
            f"stream {wanted.name} captures {info.config.subjects}, not {wanted.subjects}: "
            "delete it, or set another STREAM_PREFIX"
        )
    _warn_of_difference(wanted.name, info.config, wanted, STREAM_LIMITS)
    return info


async def _find_consumer(js: JetStreamContext, stream: str, durable: str) -> ConsumerInfo | None:
    try:
        info: ConsumerInfo = await js.consumer_info(stream, durable)
    except NotFoundError as error:
        if error.err_code == _STREAM_NOT_FOUND:
            raise
        return None
    return info


def differences(
    have: StreamConfig | ConsumerConfig, want: StreamConfig | ConsumerConfig, fields: tuple[str, ...]
) -> dict[str, str]:
    """In words, what of these fields is not as it should be; a limit that nobody asks for and nobody set is none."""
    return {
        field: f"{getattr(have, field)}, the settings say {getattr(want, field)}"
        for field in fields
        if (getattr(have, field) or None) != (getattr(want, field) or None)
        and not (getattr(want, field) is None and getattr(have, field) == -1)  # no limit
    }


def _warn_of_difference(
    name: str,
    have: StreamConfig | ConsumerConfig,
    want: StreamConfig | ConsumerConfig,
    fields: tuple[str, ...],
) -> None:
    """Log what differs: limits are the operator's to change, with the NATS tools."""
    if different := differences(have, want, fields):
        log("nats_limits_differ", logging.WARNING, of=name, **different)


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Turn nats-py's errors into FeedErrors."""
    try:
        yield
    except APIError as error:
        advice = ""
        if error.err_code in _NO_STORAGE:
            advice = ": give JetStream more storage (max_file_store), or lower FEED_MAX_BYTES"
        raise FeedError(
            f"NATS refuses {what}: {error.description or 'JetStream is not there'} (error {error.err_code}){advice}"
        ) from error
    except (nats.errors.Error, OSError) as error:
        raise FeedError(f"NATS gave no answer about {what} ({error})") from error

"""From a frame of the exchange's combined streams to a message of the feed; the event's bytes stay as they are."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from data_manager.system.errors import DataError

SOURCE, VERSION = "binance-websocket", "1.0"
NOT_A_FRAME = "not_a_frame"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event as it came, under the exchange's own name of its stream."""

    stream: Annotated[str, msgspec.Meta(min_length=1)]
    data: msgspec.Raw


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    """The keys, in their order."""

    stream: str
    data: msgspec.Raw
    timestamp: str
    message_id: str
    source: str = SOURCE
    version: str = VERSION


_frame = msgspec.json.Decoder(Frame).decode
_encode = msgspec.json.Encoder().encode


def parse(text: bytes) -> Frame:
    """The frame; raises DataError `not_a_frame` for anything else, such as the answer to a request."""
    try:
        return _frame(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(NOT_A_FRAME, f"The exchange sent no event of a stream ({error}): {text[:120]!r}") from error


def envelope(stream: str, event: bytes | msgspec.Raw, timestamp: str, rng: random.Random) -> bytes:
    """One message of the feed: compact JSON, `event` (JSON itself) as it is, and a random UUID4 made by `rng`."""
    raw = event if isinstance(event, msgspec.Raw) else msgspec.Raw(event)
    return _encode(_Envelope(stream, raw, timestamp, str(UUID(int=rng.getrandbits(128), version=4))))


def timestamp(now_us: int) -> str:
    """Microseconds since 1970 as the envelope writes time: ISO-8601 with `Z`, no decimals when they are 0."""
    return (_EPOCH + timedelta(microseconds=now_us)).isoformat().removesuffix("+00:00") + "Z"

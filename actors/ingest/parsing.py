"""From raw bytes to a wire event.

An event comes bare or in an envelope `{"stream": ..., "data": ...}`. As Binance and the socket client send
them, events take the fast path: one typed pass over the bytes. What that refuses is read again without types
and completed by what its stream's name and its arrival tell: another case of `e`, another order of the
envelope's keys, spot shapes without `e`, `s` or a time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from data_manager.actors.ingest.quarantine import BAD_SHAPE, BAD_TIME, NOT_JSON, UNKNOWN_TYPE
from data_manager.actors.ingest.wire import MAX_TIME_MS, MIN_TIME_MS, PartialBook, Typed
from data_manager.system.errors import DataError
from data_manager.system.event_types import UNKNOWN, ledger_label


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    data: Typed
    stream: str = ""


class _Untyped(msgspec.Struct, frozen=True):
    """An event as read on the slow path, with what surrounds it."""

    event: dict[str, Any]
    stream: str
    timestamp: object

    @property
    def label(self) -> str:
        """The ledger label: by `e` in any case, without one by the stream's name; else `unknown`."""
        name = self.event.get("e")
        if isinstance(name, str):
            return "depthUpdate" if name.lower() == "depthlevel" else ledger_label(name)
        if name is not None:
            return UNKNOWN
        topic = (self.stream.partition("@")[2] or self.stream).lower()
        return next((label for part, label in _BY_STREAM if part in topic), UNKNOWN)


# The first that the stream's name contains decides; the longer names stand before those they contain.
_BY_STREAM = (
    ("aggtrade", "aggTrade"),
    ("trade", "trade"),
    ("bookticker", "bookTicker"),
    ("miniticker", "24hrMiniTicker"),
    ("ticker", "24hrTicker"),
    ("depth", "depthUpdate"),
    ("markprice", "markPriceUpdate"),
    ("fundingrate", "fundingRate"),
    ("kline", "kline"),
)

_ENVELOPE_OPENS = (b'{"stream"', b'{"data"')
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_bare = msgspec.json.Decoder[Typed](Typed).decode
_envelope = msgspec.json.Decoder(_Envelope).decode
_untyped = msgspec.json.Decoder().decode


def parse(raw: bytes, received_us: int) -> tuple[Typed | PartialBook, str]:
    """The event and the name of its stream, `""` where it came bare.

    `received_us` is the time of an event that has none, unless its envelope gives one. Raises DataError
    `not_json`, `bad_shape`, `bad_time` or `unknown_type`; numbers are still unchecked text.
    """
    try:
        if raw.startswith(_ENVELOPE_OPENS):
            envelope = _envelope(raw)
            return envelope.data, envelope.stream
        return _bare(raw), ""
    except _UNREADABLE:
        return _complete(_read(raw), received_us)


def label_of(raw: bytes) -> str:
    """The ledger label of an event that could not be parsed; `unknown` where nothing tells. Never raises."""
    try:
        return _read(raw).label
    except DataError:
        return UNKNOWN


def _read(raw: bytes) -> _Untyped:
    try:
        message = _untyped(raw)
    except msgspec.ValidationError as error:
        raise DataError(BAD_SHAPE, f"The event holds a number beyond 64 bits: {error}.") from None
    except RecursionError:
        raise DataError(BAD_SHAPE, "The event is nested too deeply.") from None
    except _UNREADABLE as error:
        raise DataError(NOT_JSON, f"The event is not JSON: {error}.") from None
    if not isinstance(message, dict):
        raise DataError(BAD_SHAPE, f"The event is JSON, but a {type(message).__name__}, not an object.")
    data, stream = message.get("data"), message.get("stream")
    event = data if isinstance(data, dict) else message
    return _Untyped(event, stream if isinstance(stream, str) else "", message.get("timestamp"))


def _complete(source: _Untyped, received_us: int) -> tuple[Typed | PartialBook, str]:
    """Add what the shape leaves out and other parts of the message tell, then convert."""
    event, label = dict(source.event), source.label
    is_typed = event.get("e") is not None
    if label == UNKNOWN:
        raise DataError(UNKNOWN_TYPE, _untold(event.get("e")))
    event["e"] = label
    if "s" not in event and "@" in source.stream:
        event["s"] = source.stream.partition("@")[0].upper()
    if "T" not in event and label in ("bookTicker", "depthUpdate"):
        if "E" in event:
            event["T"] = event["E"]
        elif not is_typed:
            event["T"] = _arrival(source.timestamp, received_us)
    try:
        if not is_typed and "lastUpdateId" in event:
            return msgspec.convert(event, PartialBook), source.stream
        return msgspec.convert(event, Typed), source.stream
    except msgspec.ValidationError as error:
        raise _misshapen(label, str(error)) from None


def _untold(name: object) -> str:
    if name is None:
        return "Neither `e` nor a stream's name tells the type of the event."
    return f"Events of type {repr(name)[:60]} are not stored."


def _arrival(timestamp: object, received_us: int) -> int:
    """The envelope's time, else when the server received it: both stay the same on redelivery."""
    if timestamp is None:
        return received_us // 1000
    try:
        moment: datetime = msgspec.convert(timestamp, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError:
        sentence = f"The envelope's timestamp {repr(timestamp)[:60]} is no ISO-8601 time with a zone."
        raise DataError(BAD_TIME, sentence) from None
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _misshapen(label: str, problem: str) -> DataError:
    """msgspec names the field; a time out of range is known by its limits, which nothing else has."""
    if f">= {MIN_TIME_MS}" in problem or f"<= {MAX_TIME_MS}" in problem:
        return DataError(BAD_TIME, f"A time of the {label} is no millisecond of 2017 to 2099: {problem}.")
    return DataError(BAD_SHAPE, f"The {label} is not as expected: {problem}.")

"""Which symbol a message of the feed belongs to, and how each symbol's events are cut into batches.

A pattern search (0.5 µs) tells the symbol of almost every message; where it cannot be sure, we decode.
Each event ends in exactly one place: *routed* to its symbol's ingest actor, *skipped* because that symbol is
not configured, or *refused*, which means quarantine.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec

from data_manager.system.delivery import Delivery
from data_manager.system.event_types import UNKNOWN, ledger_label
from data_manager.system.frames import MAX_ARRAY, Frame, position, sequence_of
from data_manager.system.settings import RESERVED_SYMBOL, is_symbol
from data_manager.system.trace_context import MAX_TRACEPARENT, carried

MAX_EVENTS = 16_384  # of one gathering, reached only by arrays
FRAME_BYTES = 32  # the most that a frame adds to its raw bytes and its trace ...
BATCH_BYTES = 64  # ... and a batch to its frames

NOT_JSON = "not_json"
NO_SYMBOL = "no_symbol"
MALFORMED_SYMBOL = "malformed_symbol"
RESERVED = "reserved_symbol"
TOO_MANY_ELEMENTS = "too_many_elements"
TOO_LARGE = "too_large"


class Routed(msgspec.Struct, frozen=True, gc=False):
    """An event for the ingest actor of a configured symbol."""

    symbol: str
    raw: bytes


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """An event of a well-formed symbol that is not configured; `event_type` is its ledger label."""

    symbol: str
    event_type: str
    raw: bytes


class Refused(msgspec.Struct, frozen=True, gc=False):
    """An event for quarantine: `reason` is one of this module's constants, `sentence` says more."""

    event_type: str
    reason: str
    sentence: str
    raw: bytes


Piece = Routed | Skipped | Refused


class Aside(msgspec.Struct, frozen=True, gc=False):
    """One event that is not routed, with its feed position and when FEED received it."""

    position: int
    received_us: int
    piece: Skipped | Refused


class _Message(msgspec.Struct):
    """The keys that can tell a symbol, undecoded: `o` is an order in one event type and a price in others."""

    s: msgspec.Raw = msgspec.Raw()
    o: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    stream: msgspec.Raw = msgspec.Raw()


_find_symbol = re.compile(rb'"s"\s*:\s*"([^"\\]*)"').search
_find_event_type = re.compile(rb'"e"\s*:\s*"([^"\\]*)"').search
_opens_array = re.compile(rb"\s*\[").match
_opens_object = re.compile(rb"\s*\{").match
_message = msgspec.json.Decoder(_Message)
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def route(payload: bytes, known: Collection[str]) -> list[Piece]:
    """Where each event of one message goes. Never empty, never raises.

    Piece i is element i of a JSON array, at the top level or as an envelope's `data`; any other message is
    one piece, an array of no or more than MAX_ARRAY elements one refused piece.
    """
    routed = _by_pattern(payload, known)
    if routed is not None:
        return [routed]
    try:
        array = payload if _opens_array(payload) else _data_of(payload)
        elements = _elements.decode(array) if _opens_array(array) else None
    except _UNDECODABLE as error:
        return [_not_json(payload, error)]
    if elements is None:
        return [_by_decoding(payload, known)]
    if not elements:
        return [_refused(payload, NO_SYMBOL, "The message is an empty array.")]
    if len(elements) > MAX_ARRAY:
        sentence = f"The array has {len(elements)} events, more than {MAX_ARRAY}."
        return [_refused(payload, TOO_MANY_ELEMENTS, sentence)]
    return [_by_pattern(raw, known) or _by_decoding(raw, known) for raw in map(bytes, elements)]


def event_type_of(raw: bytes) -> str:
    """The ledger label of the first `e`, `unknown` where there is none; found without decoding."""
    match = _find_event_type(raw)
    return UNKNOWN if match is None else ledger_label(match[1].decode(errors="replace"))


def _by_pattern(raw: bytes, known: Collection[str]) -> Routed | None:
    """The event routed by its first `"s":"..."`; None where only decoding can tell.

    An array opened before the symbol may mean many events, a backslash that the quotes are part of a text.
    """
    match = _find_symbol(raw)
    if match is None:
        return None
    start = match.start()
    if raw.find(b"[", 0, start) >= 0 or raw.find(b"\\", 0, start) >= 0:
        return None
    symbol = str(match[1], "utf-8", "replace")
    return Routed(symbol, raw) if symbol in known else None


def _by_decoding(raw: bytes, known: Collection[str]) -> Piece:
    try:
        symbol = _symbol_of(_message.decode(raw))
    except msgspec.ValidationError:
        return _refused(raw, NO_SYMBOL, "The event is JSON, but no object.")
    except _UNDECODABLE as error:
        return _not_json(raw, error)
    if symbol is None:
        return _refused(raw, NO_SYMBOL, "Neither s, nor o.s, nor the stream's name tells a symbol.")
    if not isinstance(symbol, str) or not is_symbol(symbol):
        return _refused(raw, MALFORMED_SYMBOL, f"{repr(symbol)[:60]} is no symbol.")
    if symbol == RESERVED_SYMBOL:
        return _refused(raw, RESERVED, f"{symbol} is reserved for the self-test.")
    if symbol not in known:
        return Skipped(symbol, event_type_of(raw), raw)
    return Routed(symbol, raw)


def _symbol_of(message: _Message) -> object:
    """What stands where the symbol should: the event's `s`, its order's, else the stream's name; or None."""
    for event in (_nested(message.data), message):
        for holder in (event, _nested(event.o)):
            if bytes(holder.s):
                return msgspec.json.decode(holder.s)
    stream = msgspec.json.decode(message.stream) if bytes(message.stream) else None
    if not isinstance(stream, str):
        return None
    name = stream.partition("@")[0].upper()
    return name if is_symbol(name) else None  # "!ticker@arr" names no symbol


def _nested(raw: msgspec.Raw) -> _Message:
    return _message.decode(raw) if _opens_object(raw) else _Message()


def _data_of(payload: bytes) -> msgspec.Raw | bytes:
    """An envelope's `data`; empty for everything else that is JSON."""
    return _message.decode(payload).data if _opens_object(payload) else b""


def _not_json(raw: bytes, error: Exception) -> Refused:
    return _refused(raw, NOT_JSON, f"The message is not JSON: {error}.")


def _refused(raw: bytes, reason: str, sentence: str) -> Refused:
    return Refused(event_type_of(raw), reason, sentence, raw)


class Gathering(msgspec.Struct, eq=False):
    """Deliveries and what becomes of their events; they are acknowledged together, once all of it is safe."""

    deliveries: list[Delivery] = msgspec.field(default_factory=list)
    frames: dict[str, list[Frame]] = msgspec.field(default_factory=dict)  # by symbol
    asides: list[Aside] = msgspec.field(default_factory=list)
    events: int = 0


def sort_out(
    deliveries: Iterable[Delivery], known: Collection[str], *, max_event_bytes: int, look_for_traces: bool = False
) -> Iterator[Gathering]:
    """Route every delivery: one gathering, or more where arrays bring more than MAX_EVENTS events.

    A larger event than `max_event_bytes` is refused, for it could never be published. `look_for_traces` finds those
    that only the publisher's envelope carries, too; a header's is always kept.
    """
    gathering = Gathering()
    for delivery in deliveries:
        if gathering.events >= MAX_EVENTS:
            yield gathering
            gathering = Gathering()
        gathering.deliveries.append(delivery)
        pieces = route(delivery.payload, known)
        gathering.events += len(pieces)
        trace = delivery.trace or (carried(delivery.payload) if look_for_traces else None)
        if trace is not None and len(trace) > MAX_TRACEPARENT:
            trace = None
        for index, piece in enumerate(pieces):
            place = position(delivery.sequence, index)
            if isinstance(piece, Routed) and len(piece.raw) > max_event_bytes:
                sentence = f"The event has {len(piece.raw)} bytes, more than {max_event_bytes}."
                piece = _refused(piece.raw, TOO_LARGE, sentence)
            if isinstance(piece, Routed):
                frame = Frame(place, delivery.received_us, piece.raw, trace)
                gathering.frames.setdefault(piece.symbol, []).append(frame)
            else:
                gathering.asides.append(Aside(place, delivery.received_us, piece))
    if gathering.deliveries:
        yield gathering


def cut(frames: Sequence[Frame], max_events: int, max_bytes: int) -> Iterator[list[Frame]]:
    """One symbol's frames, by position, in lists within both limits; bytes are those of the encoded batch.

    An event larger than `max_bytes` goes alone.
    """
    piece: list[Frame] = []
    size = 0
    for frame in sorted(frames, key=attrgetter("position")):
        length = len(frame.raw) + FRAME_BYTES + len(frame.trace or "")
        if piece and (len(piece) == max_events or size + length > max_bytes):
            yield piece
            piece, size = [], 0
        piece.append(frame)
        size += length
    if piece:
        yield piece


def message_id(incarnation: int, symbol: str, frames: Sequence[Frame], payload: bytes) -> str:
    """The Nats-Msg-Id of a batch.

    The range alone would repeat across symbols, and across redeliveries that are cut differently.
    """
    first, last = sequence_of(frames[0].position), sequence_of(frames[-1].position)
    return f"{incarnation}:{symbol}:{first}-{last}:{zlib.crc32(payload)}"

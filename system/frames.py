"""The frames between router and ingest: feed position, receive time, raw bytes untouched.

A *position* names one event of the feed for ever: the stream sequence of the message that brought it, shifted by
`INDEX_BITS`, plus its index where the message is a JSON array. In core mode the sequence is the router's start
time in microseconds plus a counter, which stays below 2**51 until the year 2041.
"""

from __future__ import annotations

import msgspec

INDEX_BITS = 12
MAX_ARRAY = 1 << INDEX_BITS  # longest JSON array that is fanned out


def position(sequence: int, index: int = 0) -> int:
    """The position of the event at `index` of the message with that FEED sequence."""
    return sequence << INDEX_BITS | index


def sequence_of(position: int) -> int:
    """The FEED sequence of the message that brought the event."""
    return position >> INDEX_BITS


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event as the router saw it."""

    position: int
    received_us: int  # when the server received it (JetStream), else when the router did; microseconds UTC
    raw: bytes
    trace: str | None = None  # a W3C traceparent


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """One MARKET message: events of one symbol, by position."""

    incarnation: int  # FEED's creation time in ns; 0 in core mode
    routed_through: int  # every FEED sequence up to here was routed when this was cut
    frames: list[Frame]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def encode(batch: Batch) -> bytes:
    """The msgpack form of a batch."""
    return _encoder.encode(batch)


def decode(payload: bytes) -> Batch:
    """The batch; raises msgspec.DecodeError for anything a router did not write."""
    try:
        return _decoder.decode(payload)
    except UnicodeDecodeError as error:  # a trace that is no text
        raise msgspec.DecodeError(str(error)) from error

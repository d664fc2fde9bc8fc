"""Which quarantined events may go through the feed again. Pure.

An event goes the way of every other one: router, ingest, ledger. Its old entry stays in quarantine as history until its
retention ends: the ledger has counted it there, and counts the replay as an event of its own. What is stored has
natural keys, so that a replay of what meanwhile came another way is a duplicate.
"""

from __future__ import annotations

import msgspec

from data_manager.storage.records import Quarantined

UNTIMED = (
    "The event tells no time of its own, in its envelope neither: it would be stored as of its replay. It came at {}."
)

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Timed(msgspec.Struct, frozen=True):
    """What of a message can tell its event's time; `e` marks shapes that need one of their own."""

    e: object = None
    E: object = None
    T: object = None
    timestamp: object = None
    data: msgspec.Raw = msgspec.Raw()


_message = msgspec.json.Decoder(_Timed)


def obstacle(event: Quarantined, received_at: str) -> str | None:
    """Why a replay would store the event as what it is not; None where nothing speaks against it.

    Ingest dates events of the spot shapes that tell no time by their arrival, which a replay is not. Bytes that
    are no JSON object may be replayed: they will be refused as before.
    """
    try:
        message = _message.decode(event.raw)
        inner = _message.decode(message.data) if bytes(message.data).lstrip().startswith(b"{") else message
    except _UNREADABLE:
        return None
    times = (inner.e, inner.E, inner.T, message.timestamp)
    return UNTIMED.format(received_at) if all(each is None for each in times) else None

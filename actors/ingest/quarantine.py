"""Events that cannot be used: why, and the row that keeps them.

The reasons are the `error_type` labels of `data_manager_messages_failed_total`:

- `not_json`: the bytes are no JSON;
- `bad_shape`: JSON, but a field is missing, has another type or contradicts its neighbour;
- `unknown_type`: nothing says which kind of event it is, or it is a kind that is not stored;
- `bad_number`: a price or quantity is no plain decimal, or is not positive where it must be;
- `bad_time`: a time is no millisecond of 2017 to 2099, or a bar does not open on its timeframe;
- `symbol_mismatch`: the event, or its price, belongs to another symbol.
"""

from __future__ import annotations

import msgspec

from data_manager.storage.records import Quarantined
from data_manager.system.frames import Frame

NOT_JSON = "not_json"
BAD_SHAPE = "bad_shape"
UNKNOWN_TYPE = "unknown_type"
BAD_NUMBER = "bad_number"
BAD_TIME = "bad_time"
SYMBOL_MISMATCH = "symbol_mismatch"

REASONS = (NOT_JSON, BAD_SHAPE, UNKNOWN_TYPE, BAD_NUMBER, BAD_TIME, SYMBOL_MISMATCH)


class Quarantine(msgspec.Struct, frozen=True, gc=False):
    """The verdict on an event that cannot be used: one of `REASONS`, and a sentence that says more."""

    reason: str
    sentence: str


def quarantined(frame: Frame, incarnation: int, event_type: str, error: Quarantine, now_ms: int) -> Quarantined:
    """The row that keeps the frame's bytes; `incarnation` is its batch's, `event_type` its ledger label."""
    return Quarantined(
        incarnation=incarnation,
        feed_seq=frame.position,
        event_type=event_type,
        reason=error.reason,
        detail=error.sentence,
        raw=frame.raw,
        received_ms=frame.received_us // 1000,
        stored_ms=now_ms,
    )

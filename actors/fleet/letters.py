"""Messages to actors of other replicas, as text that a row has room for."""

from __future__ import annotations

import msgspec

from data_manager.system.messages import (
    AuditRequested,
    Disturbed,
    GapFound,
    JobRequested,
    Message,
    RangeRepaired,
    Suspected,
)

KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (AuditRequested, Disturbed, GapFound, JobRequested, RangeRepaired, Suspected)
}


class _Letter(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    fields: msgspec.Raw


def sealed(message: Message) -> str | None:
    """The text; None for a message that concerns its own replica only."""
    kind = type(message).__name__
    if kind not in KINDS:
        return None
    return msgspec.json.encode(_Letter(kind, msgspec.Raw(msgspec.json.encode(message)))).decode()


def opened(text: str) -> Message | None:
    """The message; None for one that only a later version knows. Raises msgspec.DecodeError for anything else."""
    letter = msgspec.json.decode(text, type=_Letter)
    return msgspec.json.decode(letter.fields, type=KINDS[letter.kind]) if letter.kind in KINDS else None

"""What the restart policy asks its supervisor to do, and what it tells it of."""

from __future__ import annotations

import msgspec


class Create(msgspec.Struct, frozen=True):
    """Create the actor and send it Init with this generation."""

    name: str
    generation: int


class SendPing(msgspec.Struct, frozen=True):
    """Send the heartbeat."""

    name: str


class SendDrain(msgspec.Struct, frozen=True):
    """Ask it to finish and exit."""

    name: str


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL its process."""

    name: str


class WentDown(msgspec.Struct, frozen=True):
    """It died unasked: the start of an incident."""

    name: str
    cause: str


class CameBack(msgspec.Struct, frozen=True):
    """It runs again, or an operator took over: the end of the incident."""

    name: str


class Escalate(msgspec.Struct, frozen=True):
    """An essential child is given up: end the process."""

    name: str
    cause: str


Action = Create | SendPing | SendDrain | Kill | WentDown | CameBack | Escalate

"""Incidents that last for as long as something is true: opened when it begins, ended when it is over."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec

from data_manager.storage.protocols import Catalog, Incident

NAMESPACE = UUID("4a3e4f8e-0f5c-4d0e-9a57-0d7f6c1b2e11")
MAX_OPEN = 1000  # open incidents of all kinds that are looked through


class Trouble(NamedTuple):
    """Something wrong now. Kind, subject and cause name it, so figures that change belong into `detail`."""

    kind: str
    subject: str
    cause: str
    detail: str = ""

    @property
    def key(self) -> str:
        """What the ids of its incidents begin with; the rest is when they began."""
        return uuid5(NAMESPACE, "\n".join((self.kind, self.subject, self.cause))).hex


def settle(catalog: Catalog, kinds: Collection[str], troubles: Collection[Trouble], now_ms: int) -> None:
    """Make the open incidents of these kinds those of the troubles.

    What is open stays as it is, whoever opened it: nothing is kept in memory, so a restart changes nothing.
    """
    there = [incident for incident in catalog.incidents(MAX_OPEN, open_only=True) if incident.kind in kinds]
    wanted = {trouble.key: trouble for trouble in troubles}
    for incident in there:
        if key_of(incident) not in wanted:
            catalog.save_incident(msgspec.structs.replace(incident, ended_ms=now_ms))
    for key in wanted.keys() - {key_of(incident) for incident in there}:
        kind, subject, cause, detail = wanted[key]
        catalog.save_incident(Incident(f"{key}-{now_ms}", kind, subject, cause, now_ms, detail=detail))


def key_of(incident: Incident) -> str:
    """The key of the trouble it is about."""
    return incident.incident_id.partition("-")[0]

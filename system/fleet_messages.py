"""What fleet, through which several replicas are one service, hears and says. See messages.py."""

from __future__ import annotations

import msgspec

from data_manager.system.messages import Hint, Message


class Scheduled(Hint, frozen=True):
    """Who computes for all of them: analytics here, under this token, or with 0 that of another replica."""

    to = "analytics"

    token: int


class Replica(msgspec.Struct, frozen=True):
    """One of several; `actors` are those that it runs: name, state, detail, pid and restarts of each."""

    replica: str
    host: str
    pid: int
    version: str
    started_ms: int
    leases: tuple[str, ...]
    actors: tuple[tuple[str, str, str, int | None, int], ...]


class FleetNews(Hint, frozen=True):
    """All replicas that are alive, as fleet saw them at its last look; `me` is this process's own name."""

    to = "http"

    me: str
    replicas: tuple[Replica, ...]
    holders: dict[str, str]  # of leases that are held, by name


class AskHolder(Hint, frozen=True):
    """Have the replica that holds an actor's lease carry out a command; answered by HolderAnswered."""

    to = "fleet"

    request_id: str
    actor: str
    action: str


class HolderAnswered(Hint, frozen=True):
    """What became of AskHolder: by whom, and whether it is done yet; nobody may have taken it up so far."""

    to = "http"

    request_id: str
    holder: str | None = None
    is_done: bool = False
    state: str = ""
    problem: str = ""


class Elsewhere(Hint, frozen=True):
    """A message to an actor that another replica runs; fleet has it brought there."""

    to = "fleet"

    actor: str
    message: Message


class Brought(Message, frozen=True):
    """A message from another replica to an actor that runs here; the supervisor passes it on."""

    actor: str
    message: Message

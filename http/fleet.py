"""The replicas that are one service, as `/system/tree` shows them: who is alive, what runs there, who holds what."""

from __future__ import annotations

from typing_extensions import TypedDict

from data_manager.http.answer_types import Time
from data_manager.http.answers import stamp
from data_manager.system.fleet_messages import FleetNews, Replica
from data_manager.system.messages import ActorView
from data_manager.system.tree import FLEET


class FleetActor(TypedDict):
    """One actor, as its own replica saw it at its last look."""

    name: str
    state: str
    detail: str
    pid: int | None
    restarts: int


class ReplicaValue(TypedDict):
    """One replica: the leases that it holds, by name, and the actors that it runs."""

    replica: str
    host: str
    pid: int
    version: str
    started_at: Time
    leases: list[str]
    actors: list[FleetActor]


class FleetValue(TypedDict):
    """All replicas that are alive; `me` is the one that answers."""

    me: str
    replicas: list[ReplicaValue]


def fleet_value(news: FleetNews | None) -> FleetValue | None:
    """None where there is only one, or nothing is known of the others yet."""
    return None if news is None else {"me": news.me, "replicas": [replica_value(each) for each in news.replicas]}


def replica_value(replica: Replica) -> ReplicaValue:
    """See ReplicaValue."""
    return {
        "replica": replica.replica,
        "host": replica.host,
        "pid": replica.pid,
        "version": replica.version,
        "started_at": stamp(replica.started_ms),
        "leases": list(replica.leases),
        "actors": [
            {"name": name, "state": state, "detail": detail, "pid": pid, "restarts": restarts}
            for name, state, detail, pid, restarts in replica.actors
        ],
    }


def holder_of(view: ActorView, news: FleetNews | None) -> str | None:
    """The replica in which the actor is at work for all of them.

    None where nobody has its lease now, and for what each replica has one of.
    """
    return None if news is None or view.name == FLEET else news.holders.get(view.name)

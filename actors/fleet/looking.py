"""One look of one replica at what all share: it says that it is here, and comes to hold what it should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from data_manager.actors.fleet.shared import Shared
from data_manager.actors.fleet.sharing import plan
from data_manager.storage.leases import Lease
from data_manager.storage.members import Member
from data_manager.storage.symbols import active, seeded, statuses
from data_manager.system.tree import INGEST


class Seen(NamedTuple):
    """What a look found."""

    symbols: tuple[str, ...]  # the active ones
    tokens: Mapping[str, int]  # of the leases under which this replica is to work from now on
    members: Sequence[Member]  # that are alive
    holders: Mapping[str, str]  # of leases, by name
    was_gone: bool  # others took this replica for gone, and may be as late as it is


def look(
    shared: Shared, member: Member, configured: Sequence[str], busy: Set[str] | None, now_ms: int, *, may_take: bool
) -> Seen:
    """Renew, take, and give back.

    `busy` are the leases under which somebody may still be at work here, None where that is not known: such a one is
    given back at a later look.
    Without `may_take`, and by a replica that was gone, nothing is taken that it has not had. Raises StoreError.
    """
    me = member.replica
    known = shared.members.is_here(member)
    symbols = active(statuses(seeded(shared.catalog, configured, now_ms)), configured)
    members = shared.members.alive()
    alive = {me, *(each.replica for each in members)}
    leases = shared.leases.all()
    holders = held_by(leases, alive)
    was_gone = not known or any(lease.owner == me and not lease.live for lease in leases)
    names = [f"{INGEST}{symbol}" for symbol in symbols]
    mine = plan(me, names, able(members), alive, holders)
    free = mine.take - {lease.name for lease in leases if lease.live} if may_take and not was_gone else frozenset()
    tokens = {**shared.leases.renew(me, mine.keep), **shared.leases.take(me, free)}
    stopped = mine.give_up - busy if busy is not None else frozenset()
    shared.leases.renew(me, mine.give_up - stopped)
    shared.leases.release(me, stopped)
    gone = (mine.keep - tokens.keys()) | stopped
    now = {name: owner for name, owner in holders.items() if name not in gone} | dict.fromkeys(tokens, me)
    return Seen(symbols, tokens, members, now, was_gone)


def leave(shared: Shared, replica: str, busy: Set[str]) -> None:
    """Count no more, and give back all under which nobody is at work here any more. Raises StoreError."""
    shared.members.leaves(replica)
    held = {lease.name for lease in shared.leases.all() if lease.owner == replica}
    shared.leases.renew(replica, held & busy)
    shared.leases.release(replica, held - busy)


def held_by(leases: Sequence[Lease], alive: Set[str]) -> dict[str, str]:
    """Who has each lease that somebody has.

    One that has expired is still its owner's where that is alive: after an outage of the database all have expired,
    and nobody shall take all of them before the others are back.
    """
    return {lease.name: lease.owner for lease in leases if lease.live or lease.owner in alive}


def able(members: Sequence[Member]) -> dict[str, set[str]]:
    """Which members can do what there is once, by its name."""
    found: dict[str, set[str]] = {}
    for member in members:
        for name in member.leasable:
            found.setdefault(name, set()).add(member.replica)
    return found

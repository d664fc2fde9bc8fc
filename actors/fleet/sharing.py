"""Who should hold which lease: fair, with as few moves as that takes, and the same wherever it is asked. Pure.

Symbols and what there is once (router, auditor, ...) are shared out apart from each other, and of these each among
those who can run it, so that in every such group the most that anybody holds is at most one more than the least.
Nobody talks to anybody about it: each replica comes to the same result from the same rows, and where two have seen
different rows, the database decides between them and the next look puts it right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple


class Plan(NamedTuple):
    """What one replica does about the leases, each by name."""

    keep: frozenset[str]  # it has them, and should
    take: frozenset[str]  # it should have them: to be tried for until it does, whoever has them now
    give_up: frozenset[str]  # it has them, and another one should


def plan(
    me: str,
    symbols: Sequence[str],
    singletons: Mapping[str, Set[str]],
    members: Iterable[str],
    holders: Mapping[str, str],
) -> Plan:
    """What `me` does, by the leases of the symbols, those of singletons with the members that can run them, the
    members that are alive, and who holds each lease that is held.

    What it holds beyond these, of a symbol that is retired, is given up.
    """
    target = targets(symbols, singletons, members, holders)
    mine = {name for name, owner in target.items() if owner == me}
    held = {name for name, owner in holders.items() if owner == me}
    return Plan(frozenset(held & mine), frozenset(mine - held), frozenset(held - mine))


def targets(
    symbols: Sequence[str],
    singletons: Mapping[str, Set[str]],
    members: Iterable[str],
    holders: Mapping[str, str],
) -> dict[str, str]:
    """Who should hold each lease; one that nobody alive can run is not in it."""
    alive = frozenset(members)
    groups: dict[frozenset[str], list[str]] = defaultdict(list)
    for name, able in singletons.items():
        groups[alive & able].append(name)
    found = shares(symbols, alive, holders)
    for able, names in groups.items():
        found |= shares(names, able, holders)
    return found


def shares(names: Sequence[str], members: Set[str], holders: Mapping[str, str]) -> dict[str, str]:
    """The names, dealt out to the members as evenly as they go; each keeps what it has up to its share.

    Who has most is the first to have one more than others, and of what is free who lacks most is the first to get.
    """
    if not members:
        return {}
    held: dict[str, list[str]] = {member: [] for member in sorted(members)}
    for name in names:
        if holders.get(name) in held:
            held[holders[name]].append(name)
    least, over = divmod(len(names), len(held))
    by_load = sorted(held, key=lambda member: -len(held[member]))
    share = {member: least + (rank < over) for rank, member in enumerate(by_load)}
    found = {name: member for member, mine in held.items() for name in mine[: share[member]]}
    lacking = [member for member in reversed(by_load) for _ in range(share[member] - len(held[member]))]
    free = [name for name in names if name not in found]
    return found | dict(zip(free, lacking, strict=True))

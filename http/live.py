"""What `/system/events` tells of: named parts, each a set of values by key, and how one state differs from the next.

Pure. Whatever changes by itself (how long an actor has been up, how old the tree is) is left out, so that a part is
told again only when something has happened.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from data_manager.http.condition import NOT_HERE
from data_manager.http.control import actor_value, incident_value
from data_manager.http.fleet import replica_value
from data_manager.http.gaps import gap_value
from data_manager.http.jobs import job_value
from data_manager.storage.protocols import Gap, Job
from data_manager.system.fleet_messages import FleetNews
from data_manager.system.messages import Tree

Value = Mapping[str, object]
Part = Mapping[str, Value]

EVENTS = "data_manager_events_total"
QUARANTINED = "quarantined"
RATE_WINDOW_MS = 10_000  # a rate is the mean of this long: heartbeats bring the counters in jerks


class Difference(NamedTuple):
    """What has become of a part: the values that are new or others now, and the keys that are gone."""

    changed: list[Value]
    removed: list[str]


class Counted(NamedTuple):
    """A symbol's events since the service was started."""

    events: float
    quarantined: float


class Findings(NamedTuple):
    """What the catalog has of gaps and jobs; the totals count those that the lists had no room for, too."""

    gaps: list[Gap]
    gaps_total: int
    jobs: list[Job]
    jobs_total: int


def difference(before: Part, after: Part) -> Difference | None:
    """None when nothing has changed."""
    changed = [value for key, value in after.items() if before.get(key) != value]
    removed = [key for key in before if key not in after]
    return Difference(changed, removed) if changed or removed else None


def actors_of(tree: Tree, fleet: FleetNews | None) -> Part:
    """Every actor, in start order."""
    return {
        view.name: {key: value for key, value in actor_value(view, fleet).items() if key != "uptime_s"}
        for view in tree.actors
    }


def replicas_of(fleet: FleetNews | None) -> Part:
    """The replicas that are alive, by their names; none where there is only one. What each runs shows in the tree."""
    if fleet is None:
        return {}
    return {
        each.replica: {
            "me": each.replica == fleet.me,
            **{key: value for key, value in replica_value(each).items() if key != "actors"},
        }
        for each in fleet.replicas
    }


def incidents_of(tree: Tree) -> Part:
    """Those that are open."""
    return {incident.incident_id: incident_value(incident) for incident in tree.incidents}


def gaps_of(gaps: Iterable[Gap]) -> Part:
    """Gaps by their ids; when one was seen last changes with every audit and says nothing."""
    return {gap.gap_id: {key: value for key, value in gap_value(gap).items() if key != "last_seen"} for gap in gaps}


def jobs_of(jobs: Iterable[Job], now_ms: int) -> Part:
    """Jobs by their ids."""
    return {job.job_id: job_value(job, now_ms) for job in jobs}


def counted(tree: Tree) -> dict[str, Counted]:
    """The events of every symbol that has an actor or had one."""
    found = {view.symbol: Counted(0, 0) for view in tree.actors if view.symbol is not None}
    for (name, labels), value in tree.counters.items():
        if name == EVENTS:
            given = dict(labels)
            sums = found.get(given["symbol"], Counted(0, 0))
            bad = value if given["outcome"] == QUARANTINED else 0
            found[given["symbol"]] = Counted(sums.events + value, sums.quarantined + bad)
    return found


def quarantined(tree: Tree | None) -> int:
    """The events that could not be used, those that told no symbol with them, since the service was started."""
    counters = {} if tree is None else tree.counters
    return int(
        sum(
            value
            for (name, labels), value in counters.items()
            if name == EVENTS and dict(labels)["outcome"] == QUARANTINED
        )
    )


class Rates:
    """Events a second of every symbol, by the counters of the trees of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, dict[str, Counted]]] = deque()

    def add(self, tree: Tree) -> Part:
        """The rates as they are with this tree, of the symbols whose actors are here: nobody else is heard.

        None for a symbol of which one count is known only.
        """
        now, counts = tree.taken_ms, counted(tree)
        self._seen.append((now, counts))
        while len(self._seen) > 2 and now - self._seen[1][0] >= RATE_WINDOW_MS:
            self._seen.popleft()
        then, first = self._seen[0]
        seconds = (now - then) / 1000
        here = {view.symbol for view in tree.actors if view.state not in NOT_HERE}
        return {
            symbol: {
                "symbol": symbol,
                "events_per_second": rate(first.get(symbol), count, seconds),
                "events": int(count.events),
                "quarantined": int(count.quarantined),
            }
            for symbol, count in counts.items()
            if symbol in here
        }


def rate(first: Counted | None, last: Counted, seconds: float) -> float | None:
    """Events a second between two counts; None where there are no two."""
    if first is None or seconds <= 0:
        return None
    return round(max(0.0, last.events - first.events) / seconds, 1)

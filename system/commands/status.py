"""`data-manager status`: on one screen, whether data flows, anything is missing, and anything is being repaired."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import typer

from data_manager.system.commands.options import Assign, ConfigFile
from data_manager.system.commands.service import AsJson, Service, Url, connect, echo_json

if TYPE_CHECKING:
    from data_manager.system.clock import Clock

T = TypeVar("T")

RATE_S = 1.0  # over which the rate of events is measured


class Status(NamedTuple):
    """What was found; None is what could not be asked, since a part of the service is away."""

    url: str
    ready: bool
    components: dict[str, str]
    delivery: str | None
    status: str | None
    reasons: list[str]
    events: int | None
    events_per_second: float | None
    balanced: bool | None
    gaps: dict[str, int | None]  # by status
    jobs: dict[str, int | None]  # by status
    datasets: int | None
    score: float | None  # percent

    @property
    def problems(self) -> list[str]:
        """What is wrong, in words: gaps that are being repaired are none."""
        found = [] if self.ready else ["it is not ready"]
        found += self.reasons
        if self.balanced is False:
            found.append("the ledger does not balance: see `data-manager ledger show`")
        unknown = [name for name in ("status", "events") if getattr(self, name) is None]
        unknown += [name for name, counts in (("gaps", self.gaps), ("jobs", self.jobs)) if None in counts.values()]
        return found + [f"{name} cannot be read now" for name in unknown]


def status(url: Url = None, config_file: ConfigFile = None, assign: Assign = None, as_json: AsJson = False) -> None:
    """Show how the running service is; takes a second, over which it measures the rate of events.

    Exit codes: 0 good, 1 there is a problem, 2 usage, 3 the service does not answer.
    """
    import orjson

    from data_manager.system.cli import PROBLEM_FOUND
    from data_manager.system.clock import SystemClock

    found = asked(connect(config_file, assign, url), SystemClock())
    if as_json:
        echo_json(orjson.dumps({**found._asdict(), "problems": found.problems}))
    else:
        typer.echo(in_words(found))
    if found.problems:
        raise typer.Exit(PROBLEM_FOUND)


def asked(service: Service, clock: Clock) -> Status:
    """All of it; raises ServiceAway where nothing answers."""
    import msgspec

    from data_manager.system.commands.service_answers import Ledger, Listed, Readiness, Summary, decode

    def part(path: str, kind: type[T], **query: object) -> T | None:
        reply = service.look(path, query)
        return decode(reply.body, kind) if reply.status == 200 else None

    def total(path: str, status: str) -> int | None:
        page = part(path, Listed[msgspec.Raw], status=status, limit=1)
        return None if page is None else page.pagination.total

    ready = decode(service.look("/health/readiness").body, Readiness)  # its body is the same when it is 503
    began, before = clock.monotonic(), part("/ledger", Ledger)
    summary = part("/health/summary", Summary)
    gaps = {name: total("/gaps", name) for name in ("open", "backfilling", "unfillable")}
    jobs = {name: total("/backfill/jobs", name) for name in ("running", "pending", "failed")}
    time.sleep(max(0.0, RATE_S - (clock.monotonic() - began)))
    took, after = clock.monotonic() - began, part("/ledger", Ledger)
    rate = None
    if before is not None and after is not None:
        rate = round((after.total.received - before.total.received) / took, 1)
    return Status(
        url=service.url,
        ready=ready.ready,
        components=ready.components,
        delivery=ready.delivery,
        status=None if summary is None else summary.data.status,
        reasons=[] if summary is None else summary.data.reasons,
        events=None if after is None else after.total.received,
        events_per_second=rate,
        balanced=None if after is None else after.balanced,
        gaps=gaps,
        jobs=jobs,
        datasets=None if summary is None else summary.data.total_datasets,
        score=None if summary is None else summary.data.overall_score,
    )


def in_words(found: Status) -> str:
    """The screen."""
    from data_manager.system.commands.showing import columns

    components = "  ".join(f"{name} {state}" for name, state in found.components.items())
    lines = [
        ("service", f"{found.url}, {'ready' if found.ready else 'not ready'}, {found.status or 'status unknown'}"),
        ("components", components),
        ("delivery", found.delivery or "unknown"),
        ("events", f"{number(found.events)} received, {number(found.events_per_second)} a second"),
        ("ledger", {True: "balanced", False: "does not balance", None: "unknown"}[found.balanced]),
        ("gaps", by_status(found.gaps)),
        ("jobs", by_status(found.jobs)),
        ("health", f"{number(found.datasets)} datasets, score {number(found.score)}"),
        *(("problem", problem) for problem in found.problems),
    ]
    name, value = lines[0]
    return columns((name, value), lines[1:])


def by_status(counts: dict[str, int | None]) -> str:
    """Counts with their names."""
    return ", ".join(f"{number(count)} {name}" for name, count in counts.items())


def number(value: float | None) -> str:
    """A number, or that it is not known."""
    return "unknown" if value is None else f"{value:,}"

"""`data-manager selftest`: whether an event gets through the running service, without touching market data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from data_manager.system.commands.options import Assign, ConfigFile, NatsUrl, load_settings
from data_manager.system.commands.service import Service, Url, connect, echo_json
from data_manager.system.errors import ConfigError, ServiceAway

if TYPE_CHECKING:
    from data_manager.system.clock import Clock
    from data_manager.system.settings import Settings

POLL_S = 0.25
LISTED = 100  # of the newest quarantined probes, among which ours must be: as many tests may run at the same time

THROUGH = "An event came through NATS, the router and the store, and is where it belongs."
ACCOUNTED = "The service is ready, receives events, and accounts for each of them."

Check = Callable[[], str | None]


def selftest(
    within: Annotated[
        float, typer.Option("--within", metavar="SECONDS", min=1, help="How long all of it may take.")
    ] = 60,
    url: Url = None,
    nats: NatsUrl = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a sentence.")] = False,
) -> None:
    """Send an event of the reserved symbol SELFTEST through NATS and find it in the service's quarantine.

    Nothing is stored beside that. With NATS_URL=embedded, a broker that only the service's own host can reach,
    nothing is sent: the service must be ready, have received events, and account for all of them.

    Exit codes: 0 good, 1 it did not get through in time, 2 usage or settings, 3 NATS or the service is away.
    """
    import sys

    import orjson

    from data_manager.system.cli import PROBLEM_FOUND
    from data_manager.system.clock import SystemClock
    from data_manager.system.logs import configure
    from data_manager.system.settings import EMBEDDED

    settings = load_settings(config_file, assign, nats_url=nats).settings
    if not settings.quarantine_max_rows:
        raise ConfigError("QUARANTINE_MAX_ROWS is 0, so nothing is kept that a self-test could find.")
    configure("selftest", "WARNING", sys.stderr, human=True)
    service, clock = connect(config_file, assign, url), SystemClock()
    deadline = clock.monotonic() + within
    embedded = settings.nats_url == EMBEDDED
    problem = wait(lambda: not_ready(service), clock, deadline)
    if problem is None and embedded:
        problem = wait(lambda: not_accounted(service), clock, deadline)
    elif problem is None:
        problem = not_through(service, settings, clock, deadline)
    if as_json:
        echo_json(orjson.dumps({"passed": problem is None, "problem": problem, "sent": not embedded}))
    elif problem is None:
        typer.echo(ACCOUNTED if embedded else THROUGH)
    else:
        typer.echo(f"Not within {within:g} s: {problem}", err=True)
    if problem is not None:
        raise typer.Exit(PROBLEM_FOUND)


def not_through(service: Service, settings: Settings, clock: Clock, deadline: float) -> str | None:
    """Publish a probe and look for it; the sentence when it is not found, None when it is. Raises FeedError."""
    import asyncio
    import uuid

    from data_manager.system import selftest as library
    from data_manager.system.clock import now_ms

    probe_id = uuid.uuid4().hex
    asyncio.run(library.publish(library.probe(probe_id, now_ms(clock)), settings, clock))
    return wait(lambda: not_quarantined(service, probe_id), clock, deadline)


def wait(check: Check, clock: Clock, deadline: float, pause: Callable[[float], None] = time.sleep) -> str | None:
    """Ask until nothing is wrong any more; what still is at `deadline`, a time of the monotonic clock.

    The last word counts: raises ServiceAway only where the service does not answer at the deadline either.
    """
    while True:
        try:
            problem = check()
            if problem is None or clock.monotonic() >= deadline:
                return problem
        except ServiceAway:
            if clock.monotonic() >= deadline:
                raise
        pause(POLL_S)


def not_ready(service: Service) -> str | None:
    """Which parts keep the service from being ready; None when it is."""
    from data_manager.system.commands.service_answers import Readiness, decode

    found = decode(service.look("/health/readiness").body, Readiness)  # its body is the same when it is 503
    parts = ", ".join(f"{name} is {state}" for name, state in found.components.items())
    return None if found.ready else f"the service is not ready: {parts}."


def not_accounted(service: Service) -> str | None:
    """What is wrong with the ledger; None when it counts events and balances."""
    from data_manager.system.commands.service_answers import Ledger, decode

    found = decode(service.get("/ledger"), Ledger)
    if not found.total.received:
        return "the ledger counts no event."
    return None if found.balanced else "the ledger does not balance: see `data-manager ledger show`."


def not_quarantined(service: Service, probe_id: str) -> str | None:
    """That the probe is not there; None when it is."""
    from data_manager.system import selftest as library
    from data_manager.system.commands.service_answers import Quarantine, decode

    found = decode(service.get("/quarantine", {"reason": library.REASON, "limit": LISTED}), Quarantine)
    if any(probe_id in event.raw for event in found.data):
        return None
    return (
        f"event {probe_id} was published and is not in quarantine. Has this command the service's NATS_URL,"
        " NATS_CONSUMER_SUBJECT and --url?"
    )

"""Waiting for a backfill job, and showing how far it is: a bar on a terminal, else a line now and then; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from data_manager.system.clock import Clock
from data_manager.system.commands.service import Service
from data_manager.system.commands.service_answers import Job, decode
from data_manager.system.commands.showing import counted, lasting, when
from data_manager.system.errors import ServiceAway, ServiceError

POLL_S = 0.5
PATIENCE_S = 60.0  # with a service that has stopped answering: it may be starting again
TELL_EVERY_S = 5.0  # between lines where there is no terminal

Show = Callable[[Job], None]


def follow(
    service: Service, body: bytes, clock: Clock, show: Show, pause: Callable[[float], None] = time.sleep
) -> bytes:
    """The job, both times as the service tells it, once it has ended; each state on the way is shown.

    Raises ServiceAway when the service has not answered for PATIENCE_S, and ServiceError when the job is gone.
    """
    job, heard_at = decode(body, Job), clock.monotonic()
    while not job.ended:
        show(job)
        pause(POLL_S)
        try:
            found = service.find(f"/backfill/jobs/{job.job_id}")
        except ServiceAway:
            if clock.monotonic() - heard_at >= PATIENCE_S:
                raise
            continue
        if found is None:
            raise ServiceError(f"The job {job.job_id} is not in the catalog any more.")
        body = found
        job, heard_at = decode(body, Job), clock.monotonic()
    show(job)
    return body


@contextmanager
def shown(clock: Clock) -> Iterator[Show]:
    """How states are shown while a job runs."""
    if not sys.stderr.isatty():
        yield told_in_lines(clock)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("waiting", total=100, pace="")
        yield lambda job: bar.update(
            task, description=f"{job.request.subject} {job.status}", completed=job.progress, pace=pace(job)
        )


def told_in_lines(clock: Clock) -> Show:
    """Tell each turn that the job takes, and progress at most every TELL_EVERY_S."""
    told: Job | None = None
    told_at = clock.monotonic()

    def tell(job: Job) -> None:
        nonlocal told, told_at
        due = clock.monotonic() - told_at >= TELL_EVERY_S
        if told is None or turned(told, job) or (due and job.progress != told.progress):
            told, told_at = job, clock.monotonic()
            typer.echo(f"{job.status}, {job.progress:.1f} %, {pace(job)}", err=True)

    return tell


def turned(before: Job, after: Job) -> bool:
    """Whether it goes another way now: a new status, or something that holds it up or no longer does."""
    return (before.status, before.exchange_closed_until) != (after.status, after.exchange_closed_until)


def pace(job: Job) -> str:
    """How many rows, how fast, how long the rest takes and what holds it up; what is not known is left out."""
    known = [counted(job.records_fetched, "row")]
    if job.rows_per_second is not None:
        places = 1 if job.rows_per_second < 10 else 0
        known.append(f"{job.rows_per_second:,.{places}f} a second")
    if job.eta_seconds is not None:
        known.append(f"{lasting(job.eta_seconds)} left")
    if job.exchange_closed_until is not None:
        known.append(f"the exchange takes no requests until {when(job.exchange_closed_until)}")
    return ", ".join(known)

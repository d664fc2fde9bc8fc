"""`data-manager backfill`: history fetched from the exchange, by jobs of the running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from data_manager.system.commands.options import EXIT_CODES, Assign, ConfigFile, load_settings
from data_manager.system.commands.service import AsJson, HowMany, OfSymbol, TokenFile, Url, connect, echo_json
from data_manager.system.errors import ConfigError

if TYPE_CHECKING:
    from data_manager.system.commands.planning import Wanted
    from data_manager.system.commands.service import Service
    from data_manager.system.commands.service_answers import Job
    from data_manager.system.settings import Settings

backfill = typer.Typer(
    help="Fetch history from the exchange: jobs of the running service.", no_args_is_help=True, rich_markup_mode=None
)

INTERRUPTED = 130

Symbol = Annotated[str, typer.Option("--symbol", metavar="SYMBOL", help="For example BTCUSDT.")]
DataType = Annotated[str, typer.Option("--type", metavar="TYPE", help="candles, trades or funding.")]
Timeframe = Annotated[
    str | None, typer.Option("--timeframe", metavar="TIMEFRAME", help="Of candles: 1m, 5m, 15m, 1h, 4h or 1d.")
]
Since = Annotated[str, typer.Option("--from", metavar="TIME", help="For example 2025-10-20 or 2025-10-20T12:00:00Z.")]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="The first moment after; now by default.")]
Priority = Annotated[int, typer.Option("--priority", min=1, max=10, help="1 is worked on first, 10 last.")]


@backfill.command()
def run(
    symbol: Symbol,
    data_type: DataType,
    since: Since,
    until: Until = None,
    timeframe: Timeframe = None,
    priority: Priority = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it costs and do nothing: `plan`.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return once the job is queued.")] = False,
    url: Url = None,
    token_file: TokenFile = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Have the service fetch a range, and wait for the end of the job.

    While the same is being fetched already, that job is waited for. Ctrl-C leaves the job running. Exit codes:
    0 completed, 1 failed, 2 usage or settings, 3 the service does not answer, 130 Ctrl-C.
    """
    from data_manager.system.cli import PROBLEM_FOUND

    wanted = read(symbol, data_type, timeframe, since, until)
    if dry_run:
        show_plan(wanted, load_settings(config_file, assign).settings, as_json)
        return
    service = connect(config_file, assign, url, token_file)
    started = service.post("/backfill/start", wanted.body(priority))
    if no_wait:
        show_job(started, as_json)
    elif show_job(wait(service, started), as_json).status != "completed":
        raise typer.Exit(PROBLEM_FOUND)


@backfill.command(epilog=EXIT_CODES)
def plan(
    symbol: Symbol,
    data_type: DataType,
    since: Since,
    until: Until = None,
    timeframe: Timeframe = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a range costs: requests, weight and time. Needs no service, and asks nobody."""
    wanted = read(symbol, data_type, timeframe, since, until)
    show_plan(wanted, load_settings(config_file, assign).settings, as_json)


@backfill.command(epilog=EXIT_CODES)
def jobs(
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="pending, running, completed or failed.")
    ] = None,
    symbol: OfSymbol = None,
    limit: HowMany = 20,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """List the jobs, the newest first."""
    from data_manager.system.commands.service_answers import Job, Listed, decode
    from data_manager.system.commands.showing import when
    from data_manager.system.commands.tables import echo_table

    query = {"status": status, "symbol": symbol, "limit": limit, "dialect": "head"}
    body = connect(config_file, assign, url).get("/backfill/jobs", query)
    page = decode(body, Listed[Job])
    if as_json:
        echo_json(body)
        return
    rows = [
        (
            job.job_id,
            job.request.subject,
            when(job.request.start_time),
            when(job.request.end_time),
            job.status,
            f"{job.progress:.0f} %",
            f"{job.records_fetched:,}",
            job.reason,
        )
        for job in page.data
    ]
    echo_table(("JOB", "WHAT", "FROM", "TO", "STATUS", "DONE", "ROWS", "REASON"), rows)
    if page.pagination.total > len(rows):
        typer.echo(f"{len(rows)} of {page.pagination.total:,}; more with --limit", err=True)


@backfill.command(epilog=EXIT_CODES)
def show(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="As `backfill jobs` lists it.")],
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Tell all about one job."""
    body = connect(config_file, assign, url).find(f"/backfill/jobs/{quote(job_id, safe='')}")
    if body is None:
        raise ConfigError(f"There is no job {job_id}: `data-manager backfill jobs` lists those that there are.")
    show_job(body, as_json)


def read(symbol: str, data_type: str, timeframe: str | None, since: str, until: str | None) -> Wanted:
    """The options of `run` and `plan`; raises ConfigError."""
    from data_manager.system.clock import SystemClock, now_ms, to_datetime
    from data_manager.system.commands.planning import wanted

    return wanted(symbol, data_type, timeframe, since, until, to_datetime(now_ms(SystemClock())))


def show_plan(wanted: Wanted, settings: Settings, as_json: bool) -> None:
    """A plan on stdout."""
    import orjson

    from data_manager.system.commands.planning import in_json, in_words, packaged_plan

    plan = packaged_plan(wanted, settings)
    if as_json:
        echo_json(orjson.dumps(in_json(plan)))
    else:
        typer.echo(in_words(plan))


def show_job(body: bytes, as_json: bool) -> Job:
    """A job on stdout, as the service has told it."""
    from data_manager.system.commands.service_answers import Job, decode

    job = decode(body, Job)
    if as_json:
        echo_json(body)
    else:
        typer.echo(job_in_words(job))
    return job


def job_in_words(job: Job) -> str:
    """A job for people."""
    from data_manager.system.commands.following import pace
    from data_manager.system.commands.showing import printable, when

    asked = job.request
    lines = [
        f"{job.job_id}: {asked.subject} from {when(asked.start_time)} to {when(asked.end_time)}",
        f"{job.status}, {job.progress:.1f} %, {pace(job)}, {job.records_inserted:,} new",
    ]
    if job.error_message:
        lines.append(f"because: {printable(job.error_message)}")
    if job.gap_ids:
        lines.append(f"for the gaps: {', '.join(job.gap_ids)}")
    if not job.ended:
        lines.append(f"`data-manager backfill show {job.job_id}` tells how far it is")
    return "\n".join(lines)


def wait(service: Service, body: bytes) -> bytes:
    """The job once it has ended, its progress shown on the way; both as the service tells it."""
    from data_manager.system.clock import SystemClock
    from data_manager.system.commands.following import follow, shown
    from data_manager.system.commands.service_answers import Job, decode

    clock = SystemClock()
    job_id = decode(body, Job).job_id
    try:
        with shown(clock) as show:
            return follow(service, body, clock, show)
    except KeyboardInterrupt:
        typer.echo(f"The job goes on: `data-manager backfill show {job_id}` tells how far it is.", err=True)
        raise typer.Exit(INTERRUPTED) from None

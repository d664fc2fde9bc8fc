"""`data-manager chaos`: a demo is killed, hung, starved and fed garbage by a seed, and must account for everything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data_manager.system.commands.options import Assign, ConfigFile, DataDir, load_settings, require_linux
from data_manager.system.commands.service import TokenFile
from data_manager.system.errors import ConfigError, ServiceAway

if TYPE_CHECKING:
    from data_manager.system.clock import Clock
    from data_manager.system.commands.disorder.campaign import Outcome
    from data_manager.system.commands.disorder.schedule import Event
    from data_manager.system.commands.disorder.territory import Demo
    from data_manager.system.commands.disorder.verdict import Verdict
    from data_manager.system.settings import Settings

MAX_MINUTES = 24 * 60

Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same faults.")]
Minutes = Annotated[float, typer.Option("--minutes", min=0.1, max=MAX_MINUTES, help="How long faults are committed.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]

chaos = typer.Typer(
    help="Faults of every kind on a demo that runs here, and the proof that it got over them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@chaos.command()
def plan(
    seed: Seed = 1,
    minutes: Minutes = 5,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Print what `run` would do, by the symbols of the settings; nothing is asked and nothing is done.

    Exit codes: 0 printed, 2 usage or settings.
    """
    from data_manager.system.commands.disorder.schedule import schedule
    from data_manager.system.commands.service import echo_json
    from data_manager.system.commands.tables import echo_table

    events = schedule(seed, minutes, load_settings(config_file, assign).settings.supported_pairs)
    if as_json:
        echo_json(encoded({"seed": seed, "minutes": minutes, "faults": [event_in_json(each) for each in events]}))
    else:
        echo_table(("AT", "FAULT", "TARGET", "HOW MUCH"), [planned(each) for each in events])


@chaos.command()
def run(
    seed: Seed = 1,
    minutes: Minutes = 5,
    token_file: TokenFile = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Commit the faults of a seed on the demo that runs on the data folder, and hold its ledger against the stores.

    Only processes that the demo's supervisor names are touched, on this host. The demo's own token is taken from its
    data folder. Afterwards the demo runs on; it takes up to three minutes more until what its feed lost is repaired.

    Exit codes: 0 everything was got over and the counts reconcile, 1 something was not or they do not, 2 usage or no
    demo, 3 nothing runs there.
    """
    require_linux("chaos")
    from data_manager.storage.choice import SQLITE, market_backend
    from data_manager.system.cli import PROBLEM_FOUND
    from data_manager.system.clock import SystemClock
    from data_manager.system.commands.disorder.territory import Demo
    from data_manager.system.commands.service import echo_json

    settings = load_settings(config_file, assign, data_dir=data_dir, nats_url="embedded").settings
    if market_backend(settings) != SQLITE:
        raise ConfigError("Chaos holds SQLite's locks, and these settings name a MongoDB: unset MONGODB_URL.")
    demo = Demo(settings.data_dir, token_of(settings, token_file))
    outcomes, verdict, broken_off = carried_out(demo, settings, SystemClock(), seed, minutes)
    problems = problems_of(outcomes, verdict, broken_off)
    if as_json:
        report: dict[str, object] = {
            "seed": seed,
            "minutes": minutes,
            "faults": [outcome_in_json(each) for each in outcomes],
            "verdict": None if verdict is None else verdict._asdict(),
            "problems": problems,
        }
        echo_json(encoded(report))
    else:
        show(outcomes, verdict, problems)
    if problems:
        raise typer.Exit(PROBLEM_FOUND)


def token_of(settings: Settings, token_file: Path | None) -> str:
    """Of the demo: as it is given, else as the demo wrote it down; raises ConfigError."""
    from data_manager.system.commands.service import check_token, read_token
    from data_manager.system.demo import TOKEN_NAME

    if token_file is not None:
        return read_token(token_file)
    if settings.api_token is not None:
        token = settings.api_token.get_secret_value()
        check_token(token, "API_TOKEN")
        return token
    if not (settings.data_dir / TOKEN_NAME).exists():
        raise ServiceAway(
            f"No demo has written its token to {settings.data_dir}: start one with `data-manager demo`, or say with"
            " --data-dir where it is."
        )
    return read_token(settings.data_dir / TOKEN_NAME)


def carried_out(
    demo: Demo, settings: Settings, clock: Clock, seed: int, minutes: float
) -> tuple[list[Outcome], Verdict | None, str | None]:
    """The faults and the verdict; without one, what broke it off. Raises ServiceAway before anything is done."""
    from data_manager.system.commands.disorder.campaign import Campaign
    from data_manager.system.commands.disorder.schedule import PARTS, schedule
    from data_manager.system.commands.disorder.verdict import count, holes, judged
    from data_manager.system.errors import DataManagerError
    from data_manager.system.tree import INGEST

    actors = [actor.name for actor in demo.tree().actors]
    symbols = sorted(name.removeprefix(INGEST) for name in actors if name.startswith(INGEST))
    events = schedule(seed, minutes, symbols, [name for name in PARTS if name in actors])
    before = count(demo, settings, clock)
    campaign = Campaign(demo, settings, symbols, clock, tell)
    try:
        campaign.run(events)
        found = holes(settings, clock)
        after = count(demo, settings, clock, before.missing)
    except DataManagerError as error:  # which is a finding: the demo worked when this began
        return campaign.outcomes, None, str(error)
    return campaign.outcomes, judged(before, after, campaign.garbage, found), None


def problems_of(outcomes: list[Outcome], verdict: Verdict | None, broken_off: str | None) -> list[str]:
    """All that is wrong, in words."""
    from data_manager.system.commands.disorder.campaign import RECOVERY_S

    lasting = [
        f"{each.event.fault} of {each.event.target} at {clock_time(each.at_s)} was not got over within {RECOVERY_S:g} s"
        for each in outcomes
        if not each.survived
    ]
    broken = [] if broken_off is None else [f"it broke off: {broken_off}"]
    return [*lasting, *broken, *([] if verdict is None else verdict.problems)]


def tell(outcome: Outcome) -> None:
    """One line on stderr, as it happens."""
    typer.echo("  ".join(row(outcome)), err=True)


def show(outcomes: list[Outcome], verdict: Verdict | None, problems: list[str]) -> None:
    """The table and the verdict."""
    from data_manager.system.commands.tables import echo_table

    echo_table(("AT", "FAULT", "TARGET", "HOW MUCH", "RECOVERED AFTER"), [row(each) for each in outcomes])
    if verdict is not None:
        typer.echo(
            f"published {verdict.published:,}, received {verdict.received:,}, garbage {verdict.garbage:,},"
            f" quarantined {verdict.quarantined:,}"
        )
    for problem in problems:
        typer.echo(f"problem: {problem}")
    if not problems:
        typer.echo("All of it was got over. The counts reconcile, each event has one outcome, no trade id is missing.")


def row(outcome: Outcome) -> tuple[str, ...]:
    """One line of the table."""
    from data_manager.system.commands.showing import lasting, printable

    if outcome.left_out is not None:
        end = f"left out: {printable(outcome.left_out)}"
    else:
        end = "NOT" if outcome.recovered_s is None else lasting(outcome.recovered_s)
    return (*planned(outcome.event._replace(at_s=outcome.at_s)), end)


def planned(event: Event) -> tuple[str, ...]:
    """One line of the plan."""
    from data_manager.system.commands.showing import counted

    much = f"{event.seconds:g} s" if event.seconds else counted(event.messages, "message") if event.messages else ""
    return (clock_time(event.at_s), event.fault, event.target, much)


def clock_time(seconds: float) -> str:
    """Minutes and seconds from the start."""
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"


def event_in_json(event: Event) -> dict[str, object]:
    """For programs."""
    return event._asdict()


def outcome_in_json(outcome: Outcome) -> dict[str, object]:
    """Likewise; `at_s` is when it was committed, `planned_s` when it was due."""
    times = {"planned_s": outcome.event.at_s, "at_s": outcome.at_s, "recovered_s": outcome.recovered_s}
    return event_in_json(outcome.event) | times | {"left_out": outcome.left_out}


def encoded(report: dict[str, object]) -> bytes:
    """As JSON."""
    import orjson

    return orjson.dumps(report, option=orjson.OPT_PASSTHROUGH_SUBCLASS, default=str)

"""`data-manager quarantine`: events that could not be used, with the reason and their bytes, and their way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import quote

import typer

from data_manager.system.commands.options import EXIT_CODES, Assign, ConfigFile
from data_manager.system.commands.service import AsJson, HowMany, OfSymbol, Service, TokenFile, Url, connect, echo_json
from data_manager.system.errors import ConfigError, DataManagerError, ServiceAway, ServiceError

if TYPE_CHECKING:
    from data_manager.system.commands.progress import Tell
    from data_manager.system.commands.service_answers import ReplayedEvent

quarantine = typer.Typer(help="Events that could not be used, and why.", no_args_is_help=True, rich_markup_mode=None)


Reason = Annotated[str | None, typer.Option("--reason", metavar="REASON", help="For this reason only.")]


@quarantine.command("list", epilog=EXIT_CODES)
def all_events(
    symbol: OfSymbol = None,
    reason: Reason = None,
    limit: HowMany = 20,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """List quarantined events, the newest first."""
    from data_manager.system.commands.service_answers import Quarantine, decode
    from data_manager.system.commands.showing import printable, when
    from data_manager.system.commands.tables import echo_table

    query = {"pair": symbol, "reason": reason, "limit": limit}
    body = connect(config_file, assign, url).get("/quarantine", query)
    found = decode(body, Quarantine).data
    if as_json:
        echo_json(body)
        return
    heading = ("EVENT", "STORED", "TYPE", "REASON", "DETAIL")
    rows = [
        (each.event_id, when(each.stored_at), each.event_type, each.reason, printable(each.detail)) for each in found
    ]
    if rows:
        echo_table(heading, rows)
    else:
        typer.echo("Nothing is in quarantine that matches.")


@quarantine.command(epilog=EXIT_CODES)
def show(
    event_id: Annotated[str, typer.Argument(metavar="ID", help="As `quarantine list` lists it.")],
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Show one quarantined event with its bytes: as text where they are UTF-8, else in base64."""
    from data_manager.system.commands.service_answers import QuarantinedEvent, decode
    from data_manager.system.commands.showing import counted, printable, when

    body = connect(config_file, assign, url).find(f"/quarantine/{quote(event_id, safe='')}")
    if body is None:
        raise ConfigError(f"There is no quarantined event {event_id}: `data-manager quarantine list` lists them.")
    event = decode(body, QuarantinedEvent)
    if as_json:
        echo_json(body)
        return
    typer.echo(f"{event.event_id}: {event.event_type} of {event.pair or 'no symbol'}, {event.reason}")
    typer.echo(f"Why: {printable(event.detail)}")
    typer.echo(f"Received {when(event.received_at)}, stored {when(event.stored_at)}.")
    shown = " of which the first are shown" if event.raw_truncated else ""
    typer.echo(f"{counted(event.raw_bytes, 'byte')}{shown}, {event.raw_encoding}:")
    typer.echo(printable(event.raw))


class Replayed(NamedTuple):
    """Where events went, as the service tells it, and why others went nowhere, by their ids."""

    replayed: list[ReplayedEvent]
    refused: dict[str, str]


@quarantine.command()
def replay(
    event_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As `quarantine list` lists them.")
    ] = None,
    symbol: OfSymbol = None,
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="Of every symbol and for every reason.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="The newest so many of those that match.")
    ] = 100,
    url: Url = None,
    token_file: TokenFile = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Publish quarantined events on the feed's subject once more, with their very bytes, the oldest first.

    Worth it after what refused them has changed. Each goes the way of every event, and is stored, a duplicate, or
    refused again under another id; its old entry stays until its retention ends. Needs the service's API_TOKEN. Exit
    codes: 0 all are published, 1 some cannot be replayed, 2 usage, settings or token, 3 the service or NATS is away.
    """
    import msgspec

    from data_manager.system.cli import PROBLEM_FOUND
    from data_manager.system.clock import SystemClock
    from data_manager.system.commands.progress import progress

    chosen = everything or symbol is not None or reason is not None
    if chosen == bool(event_ids):
        raise ConfigError(
            "Name events by their ids, or choose them with --symbol, --reason or --all: "
            "`data-manager quarantine list` lists them."
        )
    service = connect(config_file, assign, url, token_file)
    ids = event_ids or matching(service, symbol, reason, limit)
    with progress(SystemClock(), "event") as tell:
        done = replayed(service, ids, tell)
    if as_json:
        echo_json(msgspec.json.encode({"replayed": done.replayed, "refused": done.refused}))
    else:
        typer.echo(in_words(done))
    if done.refused:
        raise typer.Exit(PROBLEM_FOUND)


def matching(service: Service, symbol: str | None, reason: str | None, limit: int) -> list[str]:
    """The ids of the newest events that match, the oldest of them first."""
    from data_manager.system.commands.service_answers import Quarantine, decode

    body = service.get("/quarantine", {"pair": symbol, "reason": reason, "limit": limit})
    return [event.event_id for event in reversed(decode(body, Quarantine).data)]


def replayed(service: Service, ids: Sequence[str], tell: Tell) -> Replayed:
    """Have them published one by one; an error that would meet the next one too ends it, and says how far it came."""
    from data_manager.system.commands.service_answers import ReplayedEvent, decode

    done = Replayed([], {})
    for number, event_id in enumerate(ids):
        tell(number, number / len(ids))
        try:
            done.replayed.append(decode(service.post(f"/quarantine/{quote(event_id, safe='')}/replay"), ReplayedEvent))
        except DataManagerError as error:
            if type(error) is not ServiceError:
                raise so_far(error, len(done.replayed), len(ids)) from error
            done.refused[event_id] = str(error)
    return done


def so_far(error: DataManagerError, published: int, of: int) -> DataManagerError:
    """The same kind of error, with how many events were published before it, if any."""
    from data_manager.system.commands.showing import counted

    kind = ServiceAway if isinstance(error, ServiceAway) else ConfigError
    return (
        kind(f"{error}\n{counted(published, 'event')} of {of:,} had been published before that.")
        if published
        else error
    )


def in_words(done: Replayed) -> str:
    """What became of the request, and where to look for what becomes of the events."""
    from data_manager.system.commands.showing import counted

    lines = [f"{event_id} was not replayed: {sentence}" for event_id, sentence in done.refused.items()]
    if done.replayed:
        last = done.replayed[-1]
        at_most_once = " to whoever listens, at most once" if last.stream is None else ""
        lines.append(f"{counted(len(done.replayed), 'event')} published on {last.subject}{at_most_once}.")
        lines.append("`data-manager ledger show` counts what becomes of them, `data-manager quarantine list` shows")
        lines.append("what is refused again.")
    return "\n".join(lines or ["Nothing is in quarantine that matches."])

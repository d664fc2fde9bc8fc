"""`data-manager quarantine`: events that could not be used, with the reason and their bytes."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from data_manager.system.commands.options import Assign, ConfigFile
from data_manager.system.commands.service import AsJson, Url, connect, echo_json
from data_manager.system.errors import ConfigError

quarantine = typer.Typer(help="Events that could not be used, and why.", no_args_is_help=True, rich_markup_mode=None)


@quarantine.command("list")
def all_events(
    symbol: Annotated[str | None, typer.Option("--symbol", metavar="SYMBOL", help="Of this symbol only.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="REASON", help="For this reason only.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many to list.")] = 20,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """List quarantined events, the newest first."""
    from data_manager.system.commands.service_answers import Quarantine, decode
    from data_manager.system.commands.showing import columns, printable, when

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
    typer.echo(columns(heading, rows) if rows else "Nothing is in quarantine that matches.")


@quarantine.command()
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

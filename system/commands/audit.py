"""`data-manager audit`: have the running service look at its data now."""

from __future__ import annotations

import typer

from data_manager.system.commands.options import Assign, ConfigFile
from data_manager.system.commands.service import AsJson, TokenFile, Url, connect, echo_json

audit = typer.Typer(help="Look for what is missing of the data.", no_args_is_help=True, rich_markup_mode=None)


@audit.callback()
def family() -> None:
    """Look for what is missing of the data."""


@audit.command()
def run(
    url: Url = None,
    token_file: TokenFile = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Have everything audited from its beginning, at once; does not wait for the end.

    Needs the service's API_TOKEN. Exit codes: 0 it begins, 2 usage, settings or token, 3 the service does not
    answer or its auditor is not at work.
    """
    from data_manager.system.commands.service_answers import Started, decode

    body = connect(config_file, assign, url, token_file).post("/audit/run")
    started = decode(body, Started)
    if as_json:
        echo_json(body)
        return
    typer.echo(started.message)
    typer.echo("`data-manager gaps list --status open` lists what is found.")

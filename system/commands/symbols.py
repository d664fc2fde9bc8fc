"""`data-manager symbols`: which symbols the running service works on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from data_manager.system.commands.options import EXIT_CODES, Assign, ConfigFile
from data_manager.system.commands.service import AsJson, TokenFile, Url, connect, echo_json

if TYPE_CHECKING:
    from data_manager.system.commands.service_answers import ListedSymbol

symbols = typer.Typer(help="The symbols that the service works on.", no_args_is_help=True, rich_markup_mode=None)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="For example XRPUSDT.")]


@symbols.command("list", epilog=EXIT_CODES)
def all_symbols(
    url: Url = None, config_file: ConfigFile = None, assign: Assign = None, as_json: AsJson = False
) -> None:
    """List the symbols, also those that were retired, in the order in which they were added."""
    from data_manager.system.commands.service_answers import SymbolPage, decode
    from data_manager.system.commands.showing import when
    from data_manager.system.commands.tables import echo_table

    body = connect(config_file, assign, url).get("/symbols")
    page = decode(body, SymbolPage)
    if as_json:
        echo_json(body)
        return
    rows = [
        (
            each.symbol,
            each.status,
            when(each.added_at),
            "-" if each.retired_at is None else when(each.retired_at),
            each.state or "-",
        )
        for each in page.data
    ]
    echo_table(("SYMBOL", "STATUS", "ADDED", "RETIRED", "ACTOR"), rows)


@symbols.command()
def add(
    names: Names,
    url: Url = None,
    token_file: TokenFile = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Have the events of symbols taken in from now on, and their first history fetched.

    A simulated exchange publishes those that it was configured with and no others. Needs the service's API_TOKEN.
    Exit codes: 0 active, 2 usage, settings or token, 3 the service does not answer.
    """
    service = connect(config_file, assign, url, token_file)
    tell((service.post("/symbols", {"symbol": name}) for name in names), as_json=as_json)


@symbols.command()
def retire(
    names: Names,
    url: Url = None,
    token_file: TokenFile = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Have no more events of symbols taken in; what is stored of them stays, and is served.

    They stay retired after a restart, whatever SUPPORTED_PAIRS says, until they are added again. Needs the service's
    API_TOKEN. Exit codes: 0 retired, 2 usage, settings or token, 3 the service does not answer.
    """
    service = connect(config_file, assign, url, token_file)
    tell((service.post(f"/symbols/{quote(name, safe='')}/retire") for name in names), as_json=as_json)


def tell(bodies: Iterable[bytes], *, as_json: bool) -> None:
    """The symbols, each as soon as the service has answered, on stdout; what it warns of on stderr."""
    from data_manager.system.commands.service_answers import ListedSymbol, decode

    if as_json:
        echo_json(b"[%s]" % b",".join(bodies))
        return
    for listed in (decode(body, ListedSymbol) for body in bodies):
        typer.echo(in_words(listed))
        if listed.warning:
            typer.echo(listed.warning, err=True)


def in_words(listed: ListedSymbol) -> str:
    """A symbol, and since when it is what it is."""
    from data_manager.system.commands.showing import when

    return f"{listed.symbol} is {listed.status} since {when(listed.retired_at or listed.added_at)}"

"""`data-manager gaps`: what is missing of the data, why, and what becomes of it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from data_manager.system.commands.options import EXIT_CODES, Assign, ConfigFile
from data_manager.system.commands.service import AsJson, HowMany, OfSymbol, Url, connect, echo_json
from data_manager.system.errors import ConfigError

gaps = typer.Typer(help="What is missing of the data, and why.", no_args_is_help=True, rich_markup_mode=None)


@gaps.command("list", epilog=EXIT_CODES)
def all_gaps(
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="open, backfilling, closed, unfillable or exchange_empty."),
    ] = None,
    symbol: OfSymbol = None,
    limit: HowMany = 20,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """List the gaps, the latest first."""
    from data_manager.system.commands.service_answers import Gap, Listed, decode
    from data_manager.system.commands.showing import when
    from data_manager.system.commands.tables import echo_table

    body = connect(config_file, assign, url).get("/gaps", {"status": status, "pair": symbol, "limit": limit})
    page = decode(body, Listed[Gap])
    if as_json:
        echo_json(body)
        return
    rows = [
        (gap.gap_id, gap.dataset_id, when(gap.start), when(gap.end), gap.status, gap.cause or "-") for gap in page.data
    ]
    echo_table(("GAP", "DATASET", "FROM", "TO", "STATUS", "CAUSE"), rows)
    if page.pagination.total > len(rows):
        typer.echo(f"{len(rows)} of {page.pagination.total:,}; more with --limit", err=True)


@gaps.command(epilog=EXIT_CODES)
def explain(
    gap_id: Annotated[str, typer.Argument(metavar="ID", help="As `gaps list` lists it.")],
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Tell what is missing, since when, why, what is being done, and what happens next."""
    from data_manager.system.commands.explaining import explained
    from data_manager.system.commands.service_answers import Gap, decode

    body = connect(config_file, assign, url).find(f"/gaps/{quote(gap_id, safe='')}")
    if body is None:
        raise ConfigError(f"There is no gap {gap_id}: `data-manager gaps list` lists those that there are.")
    gap = decode(body, Gap)
    if as_json:
        echo_json(body)
    else:
        typer.echo("\n".join(explained(gap)))

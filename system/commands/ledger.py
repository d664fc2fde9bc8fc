"""`data-manager ledger`: what became of every event, and whether the stores bear it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from data_manager.system.commands.options import Assign, ConfigFile, DataDir, load_settings
from data_manager.system.commands.service import AsJson, OfSymbol, Url, connect, echo_json

if TYPE_CHECKING:
    from data_manager.system.clock import Clock
    from data_manager.system.commands.service_answers import EventType, SymbolLedger
    from data_manager.system.commands.verifying import Verdict
    from data_manager.system.settings import Settings

ledger = typer.Typer(help="What became of every event that was delivered.", no_args_is_help=True, rich_markup_mode=None)

COUNTED = ("received", "stored", "replaced", "duplicate", "skipped", "quarantined", "redelivered")
HOUR_MS = 3_600_000


@ledger.command()
def show(
    symbol: OfSymbol = None,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Show the running service's ledger, by symbol and event type.

    Exit codes: 0 every event has exactly one outcome, 1 one has not, 2 usage, 3 the service does not answer.
    """
    from data_manager.system.cli import PROBLEM_FOUND
    from data_manager.system.commands.service_answers import Ledger, decode
    from data_manager.system.commands.tables import echo_table

    body = connect(config_file, assign, url).get("/ledger", {"pair": symbol})
    found = decode(body, Ledger)
    if as_json:
        echo_json(body)
    else:
        heading = ("SYMBOL", "EVENT TYPE", *(name.upper() for name in COUNTED), "BALANCED")
        rows = [row(each, kind) for each in found.data for kind in each.event_types]
        total = ("total", "", *(f"{getattr(found.total, name):,}" for name in COUNTED), yes(found.balanced))
        echo_table(heading, [*rows, total])
    if not found.balanced:
        raise typer.Exit(PROBLEM_FOUND)


@ledger.command()
def verify(
    hours: Annotated[
        int, typer.Option("--hours", min=1, max=8760, help="How far back trade ids are looked at for holes.")
    ] = 24,
    config_file: ConfigFile = None,
    assign: Assign = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Hold the ledger against the rows of the stores that the settings name, without any service.

    May be used while one runs. Rows that are fewer than were stored are no problem where their age or the space
    they took may have ended them. Exit codes: 0 all is well, 1 a count is wrong or a trade id is missing, 2 settings,
    3 the store is not there.
    """
    from data_manager.system.cli import PROBLEM_FOUND
    from data_manager.system.clock import SystemClock

    verdicts = verified(load_settings(config_file, assign, data_dir=data_dir).settings, SystemClock(), hours)
    if as_json:
        import orjson

        typer.echo(orjson.dumps([in_json(each) for each in verdicts], option=orjson.OPT_INDENT_2).decode())
    else:
        for each in verdicts:
            typer.echo(in_words(each))
    if any(each.problems for each in verdicts):
        raise typer.Exit(PROBLEM_FOUND)


def verified(settings: Settings, clock: Clock, hours: int) -> list[Verdict]:
    """The verdict on every symbol that ever received anything; raises StoreError."""
    from data_manager.storage.choice import open_market_store
    from data_manager.storage.records import ALL_SYMBOLS
    from data_manager.storage.retention import retention_of
    from data_manager.system.clock import now_ms
    from data_manager.system.commands.verifying import verify as verify_symbol

    kept, known, now = retention_of(settings), registered(settings, clock), now_ms(clock)
    market = open_market_store(settings, clock, read_only=True)
    try:
        symbols = (*market.symbols(), ALL_SYMBOLS)
        verdicts = [verify_symbol(market, symbol, kept, known, now, now - hours * HOUR_MS) for symbol in symbols]
    finally:
        market.close()
    return [each for each in verdicts if each.totals.by_type]


def registered(settings: Settings, clock: Clock) -> dict[str, int]:
    """When each dataset first held data, as the catalog knows; raises StoreError."""
    from data_manager.storage.catalog import SqlCatalog
    from data_manager.storage.choice import SQLITE, catalog_backend, catalog_url

    if catalog_backend(settings) == SQLITE and not settings.catalog_file.exists():
        return {}
    catalog = SqlCatalog(catalog_url(settings), clock=clock, timeout_s=settings.store_timeout_s)
    try:
        total = catalog.datasets(limit=1)[1]
        return {dataset.dataset_id: dataset.created_ms for dataset in catalog.datasets(limit=max(1, total))[0]}
    finally:
        catalog.close()


def row(each: SymbolLedger, kind: EventType) -> tuple[str, ...]:
    """One line of the table."""
    counts = (f"{getattr(kind, name):,}" for name in COUNTED)
    return (each.pair or "(none)", kind.event_type, *counts, yes(kind.balanced))


def yes(good: bool) -> str:
    """A truth in a table."""
    return "yes" if good else "NO"


def in_words(verdict: Verdict) -> str:
    """One line on one symbol."""
    from data_manager.system.commands.showing import counted

    name = "(no symbol)" if verdict.symbol.startswith("_") else verdict.symbol
    looked = f"{counted(verdict.totals.total.received, 'event')}, {counted(verdict.trades, 'trade')} looked at"
    return f"{name}: {looked}; {'; '.join(verdict.problems) or 'all is well'}"


def in_json(verdict: Verdict) -> dict[str, object]:
    """The same for programs."""
    return {
        "symbol": None if verdict.symbol.startswith("_") else verdict.symbol,
        "received": verdict.totals.total.received,
        "compared": [each._asdict() for each in verdict.compared],
        "trades_looked_at": verdict.trades,
        "first_hole": None if verdict.hole is None else {"first": verdict.hole.first, "last": verdict.hole.last},
        "problems": verdict.problems,
    }

"""The console command `data-manager`.

Commands live in system/commands/, one module per family, and import what they need when they run: `--help`
must answer at once. An error is one sentence a line on stderr, and an exit code that says who must act.
"""

from __future__ import annotations

import sys

import typer

from data_manager.system.commands.analytics import analytics
from data_manager.system.commands.audit import audit
from data_manager.system.commands.backfill import backfill
from data_manager.system.commands.chaos import chaos
from data_manager.system.commands.config import config
from data_manager.system.commands.demo import demo
from data_manager.system.commands.doctor import doctor
from data_manager.system.commands.export import export
from data_manager.system.commands.feed import feed
from data_manager.system.commands.gaps import gaps
from data_manager.system.commands.ledger import ledger
from data_manager.system.commands.migrate import migrate
from data_manager.system.commands.openapi import openapi
from data_manager.system.commands.options import EXIT_CODES
from data_manager.system.commands.quarantine import quarantine
from data_manager.system.commands.replay import replay
from data_manager.system.commands.run import run
from data_manager.system.commands.selftest import selftest
from data_manager.system.commands.status import status
from data_manager.system.commands.store import store
from data_manager.system.commands.symbols import symbols
from data_manager.system.commands.tree import tree
from data_manager.system.commands.version import version
from data_manager.system.errors import ConfigError, DataManagerError, FeedError, ServiceAway, StoreUnavailable

PROBLEM_FOUND, USAGE, UNREACHABLE = 1, 2, 3

app = typer.Typer(
    help="Market data for crypto futures: stored exactly once, audited and repaired.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich would double the time --help takes
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(run)
app.command()(doctor)
app.command(epilog=EXIT_CODES)(config)
app.command()(migrate)
app.command()(feed)
app.command()(replay)
app.command()(selftest)
app.command()(status)
app.command()(tree)
app.command()(export)
app.add_typer(backfill, name="backfill")
app.add_typer(gaps, name="gaps")
app.add_typer(audit, name="audit")
app.add_typer(ledger, name="ledger")
app.add_typer(quarantine, name="quarantine")
app.add_typer(analytics, name="analytics")
app.add_typer(store, name="store")
app.add_typer(symbols, name="symbols")
app.add_typer(chaos, name="chaos")
app.command(epilog=EXIT_CODES)(openapi)
app.command(epilog=EXIT_CODES)(version)


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    try:
        app()
    except DataManagerError as error:
        typer.echo(told(error), err=True)
        sys.exit(exit_code(error))


def told(error: DataManagerError) -> str:
    """Its sentence; for what is unreachable with the command to type next, unless the sentence names one itself."""
    sentence = str(error)
    if exit_code(error) != UNREACHABLE or "`data-manager " in sentence:
        return sentence
    return f"{sentence}\n`data-manager doctor` looks for the cause."


def exit_code(error: DataManagerError) -> int:
    """2 when the operator's words are wrong, 3 when a server is away, 1 for anything else."""
    if isinstance(error, ConfigError):
        return USAGE
    return UNREACHABLE if isinstance(error, FeedError | ServiceAway | StoreUnavailable) else PROBLEM_FOUND

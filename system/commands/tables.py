"""Tables on stdout: as wide as the terminal, with its colours, where there is one; plain columns otherwise."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from data_manager.system.commands.showing import columns


def echo_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; its cells are text that steers no terminal (see `printable`)."""
    if not sys.stdout.isatty():
        typer.echo(columns(heading, rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in heading:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # what stands in square brackets is no markup
    Console(file=sys.stdout, highlight=False).print(table)

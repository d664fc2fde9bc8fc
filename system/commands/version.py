"""`data-manager version`."""

from __future__ import annotations

from typing import Annotated

import typer

from data_manager import __version__


def version(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Print the version."""
    typer.echo(f'{{"version": "{__version__}"}}' if as_json else __version__)

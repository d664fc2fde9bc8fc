"""`data-manager openapi`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data_manager.system.errors import ConfigError


def openapi(
    output: Annotated[Path | None, typer.Option(help="The file to write to, instead of stdout.")] = None,
) -> None:
    """Print the API's description (OpenAPI 3.1), the same that the service has at /openapi.json.

    Nothing needs to run.
    """
    from data_manager.http.app import OPERATIONS
    from data_manager.http.docs import written

    description = written(OPERATIONS)
    if output is None:
        typer.echo(description.decode(), nl=False)
        return
    try:
        output.write_bytes(description)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from error
